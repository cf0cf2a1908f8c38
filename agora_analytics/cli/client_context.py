"""A client for one command, and a line on the terminal that says what it waits for."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, Self, TypeVar

from agora_analytics.cli.progress import Progress
from agora_analytics.cli.terminal import err


class Client(Protocol):
    """A client of any vendor."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


C_co = TypeVar("C_co", bound=Client, covariant=True)


class Asker(Protocol[C_co]):
    """Who asks: what makes a client, with further arguments of it."""

    def client(self, **means: Any) -> C_co:
        """Return a client."""
        ...


_AFTER = 0.7  # seconds: what is quicker needs no words
_LOOK = 0.25


@asynccontextmanager
async def open_client(account: Asker[C_co], *, quiet: bool = False, **means: Any) -> AsyncIterator[C_co]:
    """Open a client; on a terminal, say after a moment how many requests were sent, and which limit is waited for.

    Args:
        account: who asks.
        quiet: draw nothing: rows go to the terminal.
        means: further arguments of the client.
    """
    progress, console = Progress(), err()
    async with account.client(observer=progress.sent, **means) as client:
        if quiet or not console.is_terminal:
            yield client
            return
        showing = asyncio.create_task(_show(progress))
        try:
            yield client
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing


async def _show(progress: Progress) -> None:
    await asyncio.sleep(_AFTER)
    with err().status("") as status:
        while True:
            note = f"; {progress.note}" if progress.note else ""
            status.update(f"[faint]{format_requests(progress.requests) or 'asking'}{note}[/]")
            await asyncio.sleep(_LOOK)


def format_requests(requests: Mapping[str, int]) -> str:
    """Return what was spent, in words: `3 requests (call/lists 1, call/sessions 2)`."""
    sent = Counter(requests)
    if not sent.total():
        return ""
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(sent.items()) if count)
    return f"{sent.total():,} request{'' if sent.total() == 1 else 's'} ({each})"
