"""The blocking client of ApsaraVideo Live's interaction metrics."""

from collections.abc import Mapping
from typing import Any, Self

from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_constructor,
    copy_docstring,
    copy_init,
    listing,
    plain,
)


@copy_docstring(AsyncApsaraVideo)
class ApsaraVideo(Blocking[AsyncApsaraVideo]):  # noqa: D101 - it has the words of AsyncApsaraVideo
    @copy_init(AsyncApsaraVideo)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncApsaraVideo, *args, **settings)

    @classmethod
    @copy_constructor(AsyncApsaraVideo.from_env)
    def from_env(cls, *args: Any, **settings: Any) -> Self:  # noqa: D102
        return cls._made_by(AsyncApsaraVideo.from_env, *args, **settings)

    interaction_metrics = listing(AsyncApsaraVideo.interaction_metrics)
    all_metrics = listing(AsyncApsaraVideo.all_metrics)
    quota = awaited(AsyncApsaraVideo.quota)
    reach = plain(AsyncApsaraVideo.reach)

    @property
    def app_id(self) -> str:
        """The app, the default of every listing."""
        return self._subject.app_id

    @property
    @copy_docstring(AsyncApsaraVideo.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
