"""The blocking client of ApsaraVideo Live's interaction metrics."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.apsaravideo.records import MetricPage, MetricPoint
from agora_analytics.apsaravideo.records import MetricPages as AsyncMetricPages
from agora_analytics.blocking.pages import Pages
from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_docstring,
    copy_init,
    plain,
    wrapped,
)


@copy_docstring(AsyncMetricPages)
class MetricPages(Pages[MetricPoint]):  # noqa: D101 - it has the words of the asynchronous one
    @copy_docstring(AsyncMetricPages.pages)
    def pages(self) -> Iterator[MetricPage]:  # noqa: D102
        for page in super().pages():
            assert isinstance(page, MetricPage)  # noqa: S101 - its walk makes no other
            yield page


@copy_docstring(AsyncApsaraVideo)
class ApsaraVideo(Blocking[AsyncApsaraVideo]):  # noqa: D101 - it has the words of AsyncApsaraVideo
    @copy_init(AsyncApsaraVideo)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncApsaraVideo, *args, **settings)

    @classmethod
    @copy_docstring(AsyncApsaraVideo.from_env)
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:  # noqa: D102
        return cls._made_by(AsyncApsaraVideo.from_env, environment, **settings)

    interaction_metrics = wrapped(AsyncApsaraVideo.interaction_metrics, MetricPages)
    all_metrics = wrapped(AsyncApsaraVideo.all_metrics, MetricPages)
    quota = awaited(AsyncApsaraVideo.quota)
    reach = plain(AsyncApsaraVideo.reach)

    @property
    def app_id(self) -> str:
        """The app, the default of every question."""
        return self._subject.app_id

    @property
    @copy_docstring(AsyncApsaraVideo.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
