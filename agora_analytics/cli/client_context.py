"""Opens a client for one command, with a line on the terminal about the requests that it waits for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from agora_analytics.cli.output import LimitedOutput, Output, write_rows
from agora_analytics.cli.output.columns import RowKind
from agora_analytics.cli.terminal import err, one_line, status_line
from agora_analytics.errors import AgoraAnalyticsError

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.cli.live_progress import Progress
    from agora_analytics.engine.pages import Pages


C = TypeVar("C")

STATUS_DELAY = 0.7  # seconds; a quicker command shows no status line
_STATUS_INTERVAL = 0.25


MakeClient = Callable[..., AbstractAsyncContextManager[C]]
"""The method `client` of an account: returns a client with the options of the client class that it takes."""


@asynccontextmanager
async def open_client(make: MakeClient[C], **options: Any) -> AsyncIterator[C]:
    """Open a client. On a terminal, a status line shows the requests sent and the limit that is waited for."""
    from agora_analytics.cli.live_progress import Progress

    progress = Progress()
    async with make(observer=progress.sent, **options) as client:
        if not status_line.begin():
            yield client
            return
        showing = asyncio.create_task(_show(progress))
        try:
            yield client
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing
            status_line.end()


async def _show(progress: "Progress") -> None:
    await asyncio.sleep(STATUS_DELAY)
    while True:
        note = f"; {progress.note}" if progress.note else ""
        status_line.show(f"{format_requests(progress.requests) or 'waiting for a response'}{note}")
        await asyncio.sleep(_STATUS_INTERVAL)


def run_listing(
    make: MakeClient[C],
    tables: "Callable[[C], AsyncGenerator[pa.Table, None]]",
    kind: RowKind,
    output: Output,
    **options: Any,
) -> None:
    """Open a client with the options and write the tables that are fetched with it."""

    async def run() -> None:
        async with open_client(make, **options) as client:
            await write_rows(tables(client), kind, output)

    asyncio.run(run())


def run_pages(
    make: MakeClient[C],
    pages: "Callable[[C], Pages[Any, Any]]",
    table: "Callable[[Any], pa.Table]",
    kind: RowKind,
    output: LimitedOutput,
) -> None:
    """Open a client and write the pages of a listing, each as a table. Reports the problems that a page names."""

    async def tables(client: C) -> "AsyncGenerator[pa.Table, None]":
        async for page in pages(client).pages():
            for problem in getattr(page, "problems", ()):
                one_line(err(), f"agora-analytics: {problem.message}", "warn")
            yield table(page)

    run_listing(make, tables, kind, output, **output.client_options)


def run_newest_first(
    make: MakeClient[C],
    pages: "Callable[[C], Pages[Any, Any]]",
    table: "Callable[[Any], pa.Table]",
    kind: RowKind,
    output: Output,
    *,
    by: str | None,
    as_rows: "Callable[[pa.Table], pa.Table] | None" = None,
) -> None:
    """Open a client and write all pages of a listing as one table, the newest row first, by a column with times.

    For servers that list the oldest first: the newest is known only after the last page. Rows that arrived before an
    error are written. `by` is None if the rows have no times. `as_rows` turns all records into the rows to write.
    """

    async def tables(client: C) -> "AsyncGenerator[pa.Table, None]":
        import pyarrow as pa

        parts: list[pa.Table] = []
        failure: AgoraAnalyticsError | None = None
        try:
            async for page in pages(client).pages():
                for problem in getattr(page, "problems", ()):
                    one_line(err(), f"agora-analytics: {problem.message}", "warn")
                parts.append(table(page))
        except AgoraAnalyticsError as error:
            failure = error
        try:
            if parts or failure is None:
                rows = pa.concat_tables(parts) if parts else kind.schema().empty_table()
                rows = as_rows(rows) if as_rows and parts else rows
                yield rows if by is None else rows.sort_by([(by, "descending")])
        finally:  # also if the limit of rows ends the loop that reads this
            if failure is not None:
                raise failure

    run_listing(make, tables, kind, output)


def format_requests(requests: Mapping[str, int]) -> str:
    """Return the number of requests in words: `3 requests (call/lists 1, call/sessions 2)`."""
    sent = Counter(requests)
    if not sent.total():
        return ""
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(sent.items()) if count)
    return f"{sent.total():,} request{'' if sent.total() == 1 else 's'} ({each})"
