"""The blocking client of Agora Signaling."""

from collections.abc import Mapping
from typing import Any, Self

from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_constructor,
    copy_docstring,
    copy_init,
    listing,
    stream,
)
from agora_analytics.signaling.client import AsyncSignaling
from agora_analytics.signaling.credentials import Credentials


@copy_docstring(AsyncSignaling)
class Signaling(Blocking[AsyncSignaling]):  # noqa: D101 - it has the docstring of AsyncSignaling
    @copy_init(AsyncSignaling)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncSignaling, *args, **settings)

    @classmethod
    @copy_constructor(AsyncSignaling.from_env)
    def from_env(cls, *args: Any, **settings: Any) -> Self:  # noqa: D102
        return cls._created_by(AsyncSignaling.from_env, *args, **settings)

    peer_message = awaited(AsyncSignaling.peer_message)
    channel_message = awaited(AsyncSignaling.channel_message)
    user_events = stream(AsyncSignaling.user_events)
    channel_events = stream(AsyncSignaling.channel_events)
    history = listing(AsyncSignaling.history)
    legacy_history = listing(AsyncSignaling.legacy_history)
    legacy_count = awaited(AsyncSignaling.legacy_count)
    quota = awaited(AsyncSignaling.quota)

    @property
    def app_id(self) -> str:
        """The project's App ID."""
        return self._subject.app_id

    @property
    def credentials(self) -> Credentials:
        """How the client authenticates. Its repr has no secret."""
        return self._subject.credentials

    @property
    @copy_docstring(AsyncSignaling.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
