"""The blocking client of Vonage / OpenTok Insights."""

from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

from agora_analytics.blocking.pages import Pages
from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    copy_docstring,
    copy_init,
    plain,
    wrapped,
)
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.credentials import Credentials
from agora_analytics.opentok.walk import InsightsPage
from agora_analytics.opentok.walk import InsightsPages as AsyncInsightsPages

T = TypeVar("T")


@copy_docstring(AsyncInsightsPages)
class InsightsPages(Pages[T]):  # noqa: D101 - it has the words of the asynchronous one
    @copy_docstring(AsyncInsightsPages.pages)
    def pages(self) -> Iterator[InsightsPage[T]]:  # noqa: D102
        for page in super().pages():
            assert isinstance(page, InsightsPage)  # noqa: S101 - its walk makes no other
            yield page


@copy_docstring(AsyncOpenTok)
class OpenTok(Blocking[AsyncOpenTok]):  # noqa: D101 - it has the words of AsyncOpenTok
    @copy_init(AsyncOpenTok)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncOpenTok, *args, **settings)

    @classmethod
    @copy_docstring(AsyncOpenTok.from_env)
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Self:  # noqa: D102
        return cls._made_by(AsyncOpenTok.from_env, environment, **settings)

    project_data = wrapped(AsyncOpenTok.project_data, InsightsPages)
    session_summaries = wrapped(AsyncOpenTok.session_summaries, InsightsPages)
    sessions = wrapped(AsyncOpenTok.sessions, InsightsPages)
    meetings = wrapped(AsyncOpenTok.meetings, InsightsPages)
    connections = wrapped(AsyncOpenTok.connections, InsightsPages)
    publishers = wrapped(AsyncOpenTok.publishers, InsightsPages)
    subscribers = wrapped(AsyncOpenTok.subscribers, InsightsPages)
    stream_stats = wrapped(AsyncOpenTok.stream_stats, InsightsPages)
    query = awaited(AsyncOpenTok.query)
    quota = awaited(AsyncOpenTok.quota)
    window = plain(AsyncOpenTok.window)
    reach = plain(AsyncOpenTok.reach)

    @property
    def credentials(self) -> Credentials:
        """Who asks. Its repr has no secret."""
        return self._subject.credentials

    @property
    @copy_docstring(AsyncOpenTok.project_id)
    def project_id(self) -> str:  # noqa: D102
        return self._subject.project_id

    @property
    @copy_docstring(AsyncOpenTok.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent
