"""The blocking client of ApsaraVideo Live's interaction metrics."""

from typing import Any

from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.blocking.wrappers import Blocking, constructor, copy_docstring, copy_init, listing, plain


@copy_docstring(AsyncApsaraVideo)
class ApsaraVideo(Blocking[AsyncApsaraVideo]):  # noqa: D101 - it has the docstring of AsyncApsaraVideo
    @copy_init(AsyncApsaraVideo)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncApsaraVideo, *args, **settings)

    from_env = constructor(AsyncApsaraVideo.from_env)
    from_config = constructor(AsyncApsaraVideo.from_config)
    interaction_metrics = listing(AsyncApsaraVideo.interaction_metrics)
    all_metrics = listing(AsyncApsaraVideo.all_metrics)
    reach = plain(AsyncApsaraVideo.reach)

    @property
    def app_id(self) -> str:
        """The app, the default of every listing."""
        return self._subject.app_id
