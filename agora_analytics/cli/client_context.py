"""Opens a client for one command, with a line on the terminal about the requests that it waits for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from agora_analytics.cli.output import Output, write_rows
from agora_analytics.cli.output.columns import RowKind
from agora_analytics.cli.terminal import status_line

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.cli.live_progress import Progress


class ClientContext(Protocol):
    """A client of any vendor, as an asynchronous context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


C = TypeVar("C", bound=ClientContext)

STATUS_DELAY = 0.7  # seconds; a quicker command shows no status line
_STATUS_INTERVAL = 0.25


@asynccontextmanager
async def open_client(make: Callable[..., C], **options: Any) -> AsyncIterator[C]:
    """Open a client. On a terminal, a status line shows the requests sent and the limit that is waited for.

    Args:
        make: the `client` method of an account.
        options: further arguments of the client.
    """
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
    make: Callable[..., C],
    pages: "Callable[[C], AsyncGenerator[pa.Table, None]]",
    kind: RowKind,
    output: Output,
    **options: Any,
) -> None:
    """Open a client and write the pages that it returns.

    Args:
        make: the `client` method of an account.
        pages: returns the pages of a client.
        kind: the kind of rows.
        output: how they are written.
        options: further arguments of the client.
    """

    async def run() -> None:
        async with open_client(make, **options) as client:
            await write_rows(pages(client), kind, output)

    asyncio.run(run())


def format_requests(requests: Mapping[str, int]) -> str:
    """Return the number of requests in words: `3 requests (call/lists 1, call/sessions 2)`."""
    sent = Counter(requests)
    if not sent.total():
        return ""
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(sent.items()) if count)
    return f"{sent.total():,} request{'' if sent.total() == 1 else 's'} ({each})"
