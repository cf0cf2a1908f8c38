"""The histories of messages, as methods of the client."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.engine.engine import Engine
from agora_analytics.engine.legacy import old_pages
from agora_analytics.engine.pages import Page, Pages
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant
from agora_analytics.signaling import checks, operations
from agora_analytics.signaling.history import ArchivePaginator, ArchiveQuery, HistoryPaginator, resumed
from agora_analytics.signaling.operations import at
from agora_analytics.signaling.records import ArchivedMessage, HistoryMessage

if TYPE_CHECKING:
    import pyarrow as pa


class Histories:
    """The histories of one App ID; `AsyncSignaling` is one, with its credentials and its connections."""

    def __init__(
        self,
        engine: Engine,
        history: Engine,
        *,
        app_id: str,
        validate: bool,
        retry: float | None,
    ) -> None:
        self.app_id = app_id
        self._engine = engine
        self._history = history  # today's history has a host of its own
        self._validate = validate
        self._retry = retry

    def history(
        self,
        user_id: str,
        channel: str,
        *,
        channel_type: str = "message",
        start: int = 0,
        end: int = 0,
        page_size: int = 100,
        resume: str | None = None,
    ) -> Pages[HistoryMessage]:
        """List the messages of a channel or of a user, as Signaling 2.x keeps them.

        A message that stands at the end of one page and the beginning of the next comes once.

        Args:
            user_id: who asks.
            channel: the channel's name; for `channel_type="user"` the other user.
            channel_type: `message` (a channel) or `user`.
            start: where to begin; 0: at the first. Sent as it is: the vendor does not say in which unit.
            end: where to end; 0: at the last. Sent as it is.
            page_size: messages a page, 1 to 100.
            resume: a page's `resume_token`, to go on behind that page.

        Raises:
            InvalidRequest: a name, the type or the page size cannot be.
            AccessDenied: the feature is not enabled for the App ID.

        Source: `reference/signaling-api.md`, section 5a.
        """
        if self._validate:
            checks.check_name(user_id, "user_id", history=True)
            checks.check_name(channel, "channel", history=True)
            if channel_type not in checks.CHANNEL_TYPES:
                raise InvalidRequest(
                    f"channel_type={channel_type!r} is none of {', '.join(checks.CHANNEL_TYPES)}"
                )
            if not 1 <= page_size <= 100:
                raise InvalidRequest(f"page_size={page_size}, but the API takes 1 to 100")
        begin = resumed(resume, begin=start)
        endpoint = at(
            operations.HISTORY,
            app_id=self.app_id,
            user_id=user_id,
            channel_type=channel_type,
            channel=channel,
        )

        async def walk() -> HistoryPaginator:
            return HistoryPaginator(endpoint, list(begin), end=end, count=page_size, run=self._history.run)

        return old_pages(
            walk,
            spawn=self._history.spawn,
            prefetch=1,
            arrow=_table,
            prefetch_budget=self._history.prefetch_budget,
        )

    def legacy_history(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        source: str | None = None,
        destination: str | None = None,
        order: str = "asc",
        page_size: int = 100,
        resume: str | None = None,
    ) -> Pages[ArchivedMessage]:
        """List messages that were sent with the historical flag, as RTM 1.x keeps them (7 days by default).

        Each page takes two steps: a query is created, and its result asked for every 2 s until it is ready.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise.
            source: only what this user sent.
            destination: only what this user, or this channel, was sent. One of the two must be given.
            order: `asc`, the oldest first, or `desc`.
            page_size: messages a page: 20, 50 or 100.
            resume: a page's `resume_token`, to go on behind that page.

        Raises:
            InvalidRequest: neither source nor destination, or something else that cannot be.
            DeadlineExceeded: a result is still in progress after `retry.deadline` seconds.

        Source: `reference/signaling-api.md`, section 5b.
        """
        if self._validate:
            checks.check_ends(source, destination)
            if page_size not in checks.PAGE_SIZES:
                raise InvalidRequest(f"page_size={page_size}, but the API takes 20, 50 or 100")
            if order not in {"asc", "desc"}:
                raise InvalidRequest(f"order={order!r} is neither asc nor desc")
        question = self._archive_query(since, until, source, destination)
        begin = resumed(resume, begin=0)

        async def walk() -> ArchivePaginator:
            return ArchivePaginator(question, list(begin), limit=page_size, order=order)

        return old_pages(
            walk,
            spawn=self._engine.spawn,
            prefetch=1,
            arrow=_table,
            prefetch_budget=self._engine.prefetch_budget,
        )

    async def legacy_count(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        source: str | None = None,
        destination: str | None = None,
    ) -> int:
        """Return how many messages `legacy_history` would list.

        Raises:
            As `legacy_history`.

        Source: `reference/signaling-api.md`, section 5b.
        """
        if self._validate:
            checks.check_ends(source, destination)
        return await self._archive_query(since, until, source, destination).count()

    def _archive_query(
        self, since: Instant, until: Instant, source: str | None, destination: str | None
    ) -> ArchiveQuery:
        start, end = checks.time_range(since, until, now=self._engine.server_time.now())
        ends = {"source": source, "destination": destination}
        return ArchiveQuery(
            app_id=self.app_id,
            filter={name: value for name, value in ends.items() if value is not None}
            | {"start_time": start, "end_time": end},
            run=self._engine.run,
            retry=self._retry,
        )


def _table(pages: Sequence[Page[Any]]) -> "pa.Table":
    import pyarrow as pa
    from attrs import asdict

    rows = [
        asdict(record, filter=lambda a, _: a.name != "extra") for page in pages for record in page.records
    ]
    return pa.Table.from_pylist(rows)
