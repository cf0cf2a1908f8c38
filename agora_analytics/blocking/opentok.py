"""The blocking client of Vonage / OpenTok Insights."""

from typing import Any, TypeVar

from agora_analytics.blocking.wrappers import (
    Blocking,
    Pages,
    awaited,
    constructor,
    copy_docstring,
    copy_init,
    listing,
    plain,
)
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.credentials import Credentials
from agora_analytics.opentok.pagination import InsightsPage

T = TypeVar("T")

InsightsPages = Pages[T, InsightsPage[T]]
"""A listing of Insights. What the server could not return is left out and reported in `problems` of its page."""


@copy_docstring(AsyncOpenTok)
class OpenTok(Blocking[AsyncOpenTok]):  # noqa: D101 - it has the docstring of AsyncOpenTok
    @copy_init(AsyncOpenTok)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncOpenTok, *args, **settings)

    from_env = constructor(AsyncOpenTok.from_env)
    from_config = constructor(AsyncOpenTok.from_config)
    project_data = listing(AsyncOpenTok.project_data)
    session_summaries = listing(AsyncOpenTok.session_summaries)
    sessions = listing(AsyncOpenTok.sessions)
    meetings = listing(AsyncOpenTok.meetings)
    connections = listing(AsyncOpenTok.connections)
    publishers = listing(AsyncOpenTok.publishers)
    subscribers = listing(AsyncOpenTok.subscribers)
    stream_stats = listing(AsyncOpenTok.stream_stats)
    query = awaited(AsyncOpenTok.query)
    window = plain(AsyncOpenTok.window)
    reach = plain(AsyncOpenTok.reach)

    @property
    def credentials(self) -> Credentials:
        """The credentials. Their repr has no secret."""
        return self._subject.credentials

    @property
    @copy_docstring(AsyncOpenTok.project_id)
    def project_id(self) -> str:  # noqa: D102
        return self._subject.project_id
