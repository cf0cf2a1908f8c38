"""The progress of a run: counts from its events, a live view on a terminal, and plain lines elsewhere."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agora_analytics.agora.plans import CALL_METRICS
from agora_analytics.cli.terminal import clock, duration, err, one_line
from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import (
    AttemptFailed,
    Event,
    FilterIgnored,
    HostSwitched,
    ListingNarrowed,
    QuotaClosed,
    RangeClipped,
    ResponseReceived,
    Waited,
)
from agora_analytics.instants import iso

# The harvest, which imports DuckDB, is imported where it is used: every command counts its requests here.
if TYPE_CHECKING:
    from agora_analytics.harvest import HarvestReport
    from agora_analytics.harvest.report import HarvestEvent
    from agora_analytics.harvest.run import HarvestClient

_NOTE_SHOWN = 6.0  # seconds, a little more than between two plain lines
_CALLS_FOR_FORECAST = 8  # finished calls from which the mean cost of a call is meaningful
_QUOTA_INTERVAL = 1.0  # seconds between two looks at the ledger
_FIRST_LINE, _LONGEST_INTERVAL = 5.0, 60.0  # seconds between two plain lines: they double up to a minute
_LINE_WIDTH = 119  # characters of a plain line
_BAR_WIDTH = 36


@define
class Progress:
    """The counts of one run. Events of the client and of the harvest update them.

    `units` names what the run visits: calls, or the units of another vendor.
    """

    units: str = "calls"
    calls: int = 0  # stored
    known: int = 0  # to visit, as far as they are listed
    listing: bool = True  # more calls may be listed
    sessions: int = 0
    points: int = 0
    skipped: int = 0
    requests: Counter[str] = field(factory=Counter)  # attempts, by endpoint
    quotas: Mapping[str, Quota] = field(factory=dict)
    begun: float = field(factory=time.monotonic)
    quiet: bool = False  # write warnings only
    account: str = ""  # the account of the configuration file, if there are several
    _open: Counter[str] = field(factory=Counter)
    _pages: int = 0
    _note: str = ""
    _note_ends: float = 0.0
    _warnings: set[str] = field(factory=set)

    @property
    def note(self) -> str:
        """The last notable event, such as a wait or a retry, while it is recent."""
        return self._note if time.monotonic() < self._note_ends else ""

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def _noted(self, text: str, seconds: float = 0.0) -> None:
        self._note, self._note_ends = text, time.monotonic() + max(seconds, _NOTE_SHOWN)

    def _warned(self, text: str) -> None:
        """Write a warning to stderr, once."""
        if text not in self._warnings:
            self._warnings.add(text)
            prefix = f"{self.account}: " if self.account else ""
            one_line(err(), f"agora-analytics: {prefix}{text}", "warn")

    def sent(self, event: Event) -> None:
        """Count an event of the client."""
        match event:
            case ResponseReceived():
                self.requests[event.endpoint] += 1
            case AttemptFailed():
                self.requests[event.endpoint] += 1
                self._noted(f"{event.endpoint}: no response ({event.kind}), retrying")
            case Waited():
                self._noted(f"{event.endpoint} waits {duration(event.seconds)}: {event.rule}", event.seconds)
            case HostSwitched():
                self._noted(f"switched to {event.new}: {event.reason}")
            case QuotaClosed():
                self._noted(
                    f"{event.endpoint}: the day's quota is used up until {iso(event.retry_at)}", math.inf
                )
            case RangeClipped():
                self._warned(
                    f"{event.endpoint}: the time range is cut to what the plan allows, "
                    f"{iso(event.start)} to {iso(event.end)}"
                )
            case FilterIgnored():
                names = ", ".join(event.arguments)
                self._warned(f"the server does not apply {names} to {', '.join(event.fields)}")
            case ListingNarrowed():
                self._noted("the server omits calls of a busy time range, so smaller ranges are fetched")
            case _:
                pass

    def stored(self, event: "HarvestEvent") -> None:
        """Count an event of the harvest."""
        from agora_analytics.harvest import CallSkipped, CallsListed, CallStored, PointsStored

        match event:
            case CallsListed():
                self.known, self.listing = event.calls, event.more
            case PointsStored():
                self.points += event.points
                self._open[event.call_id] += 1
            case CallStored():
                self.calls += 1
                self.sessions += event.sessions
                self._pages += self._open.pop(event.call_id, 0)
            case CallSkipped():
                self.skipped += 1
                self._open.pop(event.call_id, None)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the listed calls still need at the plan's rate; None: too early for a forecast."""
        quota = self.quotas.get(CALL_METRICS)
        if self.calls < _CALLS_FOR_FORECAST or quota is None:
            return None
        left = max(0, self.known - self.calls - self.skipped) * self._pages / self.calls
        return max(0.0, left - self._open.total()) * quota.period / quota.requests


async def harvest_with_progress(
    client: "HarvestClient", progress: Progress, **arguments: Any
) -> "HarvestReport":
    """Harvest with these arguments of `harvest.harvest` and show the progress on stderr."""
    from agora_analytics.harvest import harvest

    if progress.quiet:
        return await harvest(client, observer=progress.stored, **arguments)
    console = err()
    view = partial(_view, progress)
    live: AbstractContextManager[object] = nullcontext()
    if console.is_terminal:
        live = Live(
            get_renderable=view, console=console, refresh_per_second=8, transient=True, redirect_stdout=False
        )
    polling = asyncio.create_task(_poll_quota(client, progress, None if console.is_terminal else console))
    try:
        with live:
            return await harvest(client, observer=progress.stored, **arguments)
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


async def _poll_quota(client: "HarvestClient", progress: Progress, lines: Console | None) -> None:
    due = LineTimer()
    while True:
        progress.quotas = {quota.endpoint: quota for quota in await client.quota()}
        await asyncio.sleep(_QUOTA_INTERVAL)
        if lines is not None and due.reached(progress.seconds):
            one_line(lines, plain_line(progress, progress.seconds))


@define
class LineTimer:
    """When the next plain line is due: the intervals double up to a minute."""

    _interval: float = _FIRST_LINE
    _due: float = _FIRST_LINE

    def reached(self, seconds: float) -> bool:
        """Return whether a line is due `seconds` after the begin."""
        if seconds < self._due:
            return False
        self._interval = min(2 * self._interval, _LONGEST_INTERVAL)
        self._due = seconds + self._interval
        return True


def plain_line(progress: Progress, seconds: float) -> str:
    """Return the progress of a harvest in one line of less than 120 characters."""
    parts = [
        f"{clock(seconds)} {progress.units} {_counts(progress)}",
        f"points {progress.points:,}",
        _requests(progress),
        _left(progress),
        progress.note,
    ]
    line = "; ".join(part for part in parts if part)
    return line if len(line) <= _LINE_WIDTH else line[: _LINE_WIDTH - 3].rstrip() + "..."


def _requests(progress: Progress) -> str:
    """Return the number of requests, with the endpoint whose day's quota is the closest to its end."""
    sent = progress.requests.total()
    daily = [quota for quota in _used(progress) if quota.daily]
    if not daily:
        return f"requests {sent:,}" if sent else ""
    least = min(daily, key=lambda quota: quota.left / quota.per_day)
    return f"requests {sent:,} ({least.endpoint}: {least.left:,} left today)"


def _used(progress: Progress) -> list[Quota]:
    """Return the quotas of the endpoints that this run has sent requests to."""
    return [quota for name, quota in progress.quotas.items() if progress.requests[name]]


def _counts(progress: Progress) -> str:
    return f"{progress.calls:,} of {progress.known:,}{'+' if progress.listing else ''}"


def _left(progress: Progress) -> str:
    left = progress.seconds_left
    return "" if left is None else f"about {clock(left)} left"


def _view(progress: Progress) -> RenderableType:
    """Return the live view of a harvest."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        f"[fact]{progress.units}[/]",
        ProgressBar(
            total=progress.known or None, completed=progress.calls + progress.skipped, width=_BAR_WIDTH
        ),
        _counts(progress),
        Text(f"{clock(progress.seconds)}  {_left(progress)}", style="faint"),
    )
    counts = Text()
    if progress.sessions:
        counts = Text.assemble((f"{progress.sessions:,}", "bold"), " sessions   ")
    counts.append(f"{progress.points:,}", style="bold").append(" points")
    if progress.skipped:
        counts.append(f"   {progress.skipped:,} {progress.units} skipped", style="yellow")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("endpoint")
    table.add_column("requests", justify="right")
    used = _used(progress)
    daily = any(quota.daily for quota in used)  # a vendor without a quota has nothing left of it
    if daily:
        table.add_column("left today", justify="right")
    for quota in used:
        left = (f"{quota.left:,}" if quota.daily else "",) if daily else ()
        table.add_row(quota.endpoint, f"{progress.requests[quota.endpoint]:,}", *left)
    note = Text(progress.note, style="dim", no_wrap=True, overflow="ellipsis")
    return Group(bar, counts, table, note)
