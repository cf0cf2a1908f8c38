"""The progress of the passes of many accounts: totals, and the accounts that are being harvested."""

import time
from collections.abc import Iterable

from attrs import define, field
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agora_analytics.cli.live_progress import Progress
from agora_analytics.cli.terminal import clock
from agora_analytics.fleet import AccountBegun, AccountReport
from agora_analytics.fleet.report import AccountEvent
from agora_analytics.harvest import CallSkipped, CallsListed, CallStored, PointsStored

_ROWS = 8  # active accounts that a screen shows
_NAMES = 3  # active accounts that a line names
_LINE_WIDTH = 119
_BAR_WIDTH = 30
_UNITS = {"agora": "calls", "opentok": "meetings and days", "apsaravideo": "metric days"}


@define
class FleetProgress:
    """The counts of all passes.

    Attributes:
        total: how many accounts are harvested.
        quiet: write warnings only.
        active: the progress of each account that is being harvested, by name, the oldest first.
        ended: the reports of the others.
        stopped: the progress of the accounts that have ended, by name.
    """

    total: int
    quiet: bool = False
    active: dict[str, Progress] = field(factory=dict)
    ended: dict[str, AccountReport] = field(factory=dict)
    stopped: dict[str, Progress] = field(factory=dict)
    begun: float = field(factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self.begun

    @property
    def failed(self) -> int:
        """The number of accounts that ended with an error."""
        return sum(report.error is not None for report in self.ended.values())

    def observe(self, name: str, event: AccountEvent) -> None:
        """Count an event of an account."""
        match event:
            case AccountBegun():
                self.active[name] = Progress(units=_UNITS[event.vendor], quiet=self.quiet, account=name)
            case AccountReport():
                self.ended[name] = event
                self.stopped[name] = self.active.pop(name)
            case CallsListed() | CallStored() | PointsStored() | CallSkipped():
                self.active[name].stored(event)
            case _:
                if (progress := self.active.get(name)) is not None:
                    progress.sent(event)  # type: ignore[arg-type] # it ignores what it does not know

    def line(self) -> str:
        """Return the progress in one line of less than 120 characters."""
        names = list(self.active)
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        parts = [f"{clock(self.seconds)} accounts {len(self.ended)} of {self.total}", *self._totals()]
        if names:
            parts.append(f"active: {', '.join(names[:_NAMES])}{more}")
        line = "; ".join(parts)
        return line if len(line) <= _LINE_WIDTH else line[: _LINE_WIDTH - 3].rstrip() + "..."

    def view(self) -> RenderableType:
        """Return the live view: the totals, and the accounts that have been active for the longest time."""
        head = Table.grid(padding=(0, 1))
        head.add_row(
            "[fact]accounts[/]",
            ProgressBar(total=self.total, completed=len(self.ended), width=_BAR_WIDTH),
            f"{len(self.ended)} of {self.total}",
            Text(clock(self.seconds), style="faint"),
        )
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column("account", no_wrap=True, overflow="ellipsis", max_width=24)
        for title in ("done", "of", "points", "requests"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        for name, each in list(self.active.items())[:_ROWS]:
            listed = f"{each.known:,}{'+' if each.listing else ''}"
            counts = (f"{number:,}" for number in (each.points, each.requests.total()))
            table.add_row(Text(name), f"{each.calls:,}", listed, *counts, Text(each.note))
        rows: list[RenderableType] = [head, Text("   ".join(self._totals())), table]
        if (more := len(self.active) - _ROWS) > 0:
            rows.append(Text(f"and {more} more", style="dim"))
        return Group(*rows)

    def _totals(self) -> Iterable[str]:
        all_of_them = [*self.stopped.values(), *self.active.values()]
        yield f"points {sum(each.points for each in all_of_them):,}"
        yield f"requests {sum(each.requests.total() for each in all_of_them):,}"
        if self.failed:
            yield f"errors {self.failed}"
