"""What a harvest did, in words."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agora_analytics.cli.terminal import clock, for_people
from agora_analytics.harvest import CallSkipped, HarvestReport
from agora_analytics.instants import iso

_SKIPPED_SHOWN = 3


def show_summary(console: Console, report: HarvestReport, store: Path, *, units: str = "calls") -> None:
    """Write what a run did, and what it left for the next one and why; `units` are what it visits."""
    console.print(f"[good]Harvested[/] into [fact]{store}[/] in {clock(report.seconds)}", soft_wrap=True)
    console.print(f"{iso(report.window.start)} to {iso(report.window.end + 1)}", soft_wrap=True)
    rows = [*_done(report, units), *_left_over(report, units)]
    counts = [f"{count:,}" for _, count, _ in rows]
    widest = max(map(len, counts))
    for (words, _, what), count in zip(rows, counts, strict=True):
        console.print(f"  [faint]{words:<11}[/][fact]{count:>{widest}}[/]  {what}".rstrip(), soft_wrap=True)
    show_skipped(console, report.skipped)


def show_skipped(console: Console, skipped: Sequence[CallSkipped]) -> None:
    """Write what was left out, and why: the first of many."""
    for one in skipped[:_SKIPPED_SHOWN]:
        console.print(f"    {one.call_id}: {one.reason}", style="warn", markup=False, soft_wrap=True)
    if (more := len(skipped) - _SKIPPED_SHOWN) > 0:
        console.print(f"    and {more:,} more", style="warn")


def _done(report: HarvestReport, units: str) -> list[tuple[str, int, str]]:
    before = f"new; {report.known_before:,} were in the store before" if report.known_before else ""
    each = ", ".join(f"{name} {count:,}" for name, count in report.requests.items())
    sessions = [("sessions", report.sessions, "")] if report.sessions or units == "calls" else []
    return [
        (units, report.calls, before),
        *sessions,
        ("points", report.points, ""),
        ("requests", sum(report.requests.values()), each),
    ]


def _left_over(report: HarvestReport, units: str) -> list[tuple[str, int, str]]:
    goes_on = (
        "still go on; the next run visits them again"
        if units == "calls"
        else "still go on or may change; a later run visits them again"
    )
    rows = [
        ("ongoing", report.ongoing, f"{units} {goes_on}"),
        ("too recent", report.too_recent, f"{units} have only just begun or ended; the next run takes them"),
        ("skipped", len(report.skipped), f"{units} could not be had; the next run tries again"),
        ("left", report.left, f"known {units} were not reached"),
    ]
    return [row for row in rows if row[1]]


def not_finished(report: HarvestReport, *, same_range: bool, units: str = "calls") -> str | None:
    """Return what is left and when to go on, or None if the harvest is complete.

    Args:
        report: of the run.
        units: what it visits.
        same_range: whether the same command means the same time range when it is run later.
    """
    if report.complete:
        return None
    again = "run the same command again"
    if not same_range:
        again += f" with --since {iso(report.window.start)} --until {iso(report.window.end + 1)}"
    if report.retry_at is None:
        return f"{len(report.skipped)} {units} could not be harvested; {again} to fetch them"
    more = ", and calls that are not listed yet" if report.listing_left else ""
    wait = for_people(report.retry_at - time.time())
    return (
        f"the day's quota is spent: {report.calls + report.known_before:,} calls are done, "
        f"{report.left:,} are left{more}; {again} at {iso(report.retry_at)} (in {wait})"
    )
