"""Shows a harvest while it runs: a live picture on a terminal, a plain line now and then elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from agora_analytics.cli.progress import Progress
from agora_analytics.cli.terminal import clock, one_line

if TYPE_CHECKING:
    from agora_analytics.harvest.run import Client

_LOOK = 1.0  # seconds between two looks at the ledger
_LINE_EVERY = 5.0


@asynccontextmanager
async def show_progress(client: "Client", progress: Progress, console: Console) -> AsyncIterator[None]:
    """Show the progress while the block runs."""
    picture = _Picture(progress)
    live = (
        Live(picture, console=console, refresh_per_second=8, transient=True, redirect_stdout=False)
        if console.is_terminal
        else None
    )
    looking = asyncio.create_task(_look(client, progress, None if live else console))
    try:
        if live is None:
            yield
        else:
            with live:
                yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look(client: "Client", progress: Progress, lines: Console | None) -> None:
    start = said = time.monotonic()
    while True:
        progress.quotas = {quota.endpoint: quota for quota in await client.quota()}
        await asyncio.sleep(_LOOK)
        now = time.monotonic()
        if lines is not None and now - said >= _LINE_EVERY:
            said = now
            one_line(lines, plain_line(progress, now - start))


def plain_line(progress: Progress, seconds: float) -> str:
    """Return where a harvest stands, in one line."""
    requests = ", ".join(
        f"{name} {progress.requests[name]:,} ({quota.left:,} left today)"
        for name, quota in progress.quotas.items()
    )
    parts = [
        f"{clock(seconds)} calls {progress.calls:,} of {progress.known:,}{'+' if progress.listing else ''}",
        f"sessions {progress.sessions:,}",
        f"points {progress.points:,}",
        f"requests {requests}",
        _left(progress),
        progress.note,
    ]
    return "; ".join(part for part in parts if part)


def _left(progress: Progress) -> str:
    left = progress.seconds_left
    return "" if left is None else f"about {clock(left)} left"


class _Picture:
    """What a terminal shows; drawn anew from the counts each time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._start = time.monotonic()
        self._bar = Bar(
            TextColumn("[fact]calls[/]"),
            BarColumn(bar_width=36),
            TextColumn("{task.fields[counts]}"),
            TextColumn("{task.fields[times]}", style="faint"),
        )
        self._task = self._bar.add_task("calls", total=None, counts="", times="")

    def __rich__(self) -> RenderableType:
        seen = self._progress
        times = f"{clock(time.monotonic() - self._start)}  {_left(seen)}"
        self._bar.update(
            self._task,
            total=seen.known or None,
            completed=seen.calls + seen.skipped,
            counts=f"{seen.calls:,} of {seen.known:,}{'+' if seen.listing else ''}",
            times=times,
        )
        counts = Text.assemble(
            (f"{seen.sessions:,}", "bold"), " sessions   ", (f"{seen.points:,}", "bold"), " points"
        )
        if seen.skipped:
            counts.append(f"   {seen.skipped:,} calls skipped", style="yellow")
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column("endpoint")
        table.add_column("requests", justify="right")
        table.add_column("left today", justify="right")
        for name, quota in seen.quotas.items():
            table.add_row(name, f"{seen.requests[name]:,}", f"{quota.left:,}")
        note = Text(seen.note, style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._bar, counts, table, note)
