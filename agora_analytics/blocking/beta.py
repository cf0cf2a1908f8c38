"""The blocking client of the 2021 beta API."""

from collections.abc import Mapping
from typing import Any, Self

from agora_analytics.agora.beta.client import AsyncAgoraBeta
from agora_analytics.agora.settings import Settings
from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_constructor,
    copy_docstring,
    copy_init,
    listing,
)


@copy_docstring(AsyncAgoraBeta)
class AgoraBeta(Blocking[AsyncAgoraBeta]):  # noqa: D101 - it has the docstring of AsyncAgoraBeta
    @copy_init(AsyncAgoraBeta)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncAgoraBeta, *args, **settings)

    @classmethod
    @copy_constructor(AsyncAgoraBeta.from_env)
    def from_env(cls, *args: Any, **settings: Any) -> Self:  # noqa: D102
        return cls._created_by(AsyncAgoraBeta.from_env, *args, **settings)

    calls = listing(AsyncAgoraBeta.calls)
    details = listing(AsyncAgoraBeta.details)
    usage = awaited(AsyncAgoraBeta.usage)
    live_scale = awaited(AsyncAgoraBeta.live_scale)
    live_experience = awaited(AsyncAgoraBeta.live_experience)
    live_net = awaited(AsyncAgoraBeta.live_net)
    live_diagnosis = listing(AsyncAgoraBeta.live_diagnosis)
    quota = awaited(AsyncAgoraBeta.quota)

    @property
    def settings(self) -> Settings:
        """The settings of the client. Its repr has no secret."""
        return self._subject.settings

    @property
    @copy_docstring(AsyncAgoraBeta.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
