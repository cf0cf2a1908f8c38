"""The report of a harvest: what it will cost, what it did, and what is left for the next run."""

import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.cli.client_context import format_requests
from agora_analytics.cli.output.columns import RowKind, TableColumn, number, percent, plain, row_schema
from agora_analytics.cli.output.table import TableWriter
from agora_analytics.cli.terminal import clock, duration, out
from agora_analytics.harvest import CallSkipped, Estimate, HarvestReport, estimate
from agora_analytics.harvest.run import HarvestClient
from agora_analytics.instants import iso
from agora_analytics.store.records import Unreadable

_SKIPPED_SHOWN = 3


def show_summary(
    console: Console,
    report: HarvestReport,
    store: Path | str,
    *,
    units: str = "calls",
    seconds: float | None = None,
    quiet: bool = False,
) -> None:
    """Write what a run did and what it left for the next run.

    `units` names what it visits, such as calls; `seconds` is the duration by the clock of its progress; `quiet` writes
    nothing.
    """
    if quiet:
        return
    lasted = clock(report.seconds if seconds is None else seconds)
    console.print(f"[good]Harvested[/] into [fact]{escape(str(store))}[/] in {lasted}")
    console.print(f"{iso(report.window.start)} to {iso(report.window.end + 1)}")
    rows = [*_done(report, units), *_left_over(report, units)]
    counts = [f"{count:,}" for _, count, _ in rows]
    label_width, count_width = max(len(label) for label, _, _ in rows), max(map(len, counts))
    indent = " " * (label_width + count_width + 6)
    note_width = max(20, console.width - len(indent))
    for (label, _, note), count in zip(rows, counts, strict=True):
        first, *rest = textwrap.wrap(note, note_width, break_long_words=False, break_on_hyphens=False) or [""]
        line = f"  [faint]{label:<{label_width}}[/]  [fact]{count:>{count_width}}[/]  {escape(first)}"
        console.print("\n".join([line.rstrip(), *(indent + escape(text) for text in rest)]))
    _show_skipped(console, report.skipped)
    for record in report.unreadable[:_SKIPPED_SHOWN]:
        _indented(console, f"{_place(record)}: {record.reason}")
    if (more := len(report.unreadable) - _SKIPPED_SHOWN) > 0:
        console.print(f"    and {more:,} more", style="warn")
    for file in report.damaged:
        _indented(console, f"{file.path}: {file.reason}")


def _show_skipped(console: Console, skipped: Sequence[CallSkipped]) -> None:
    """Write the first skipped calls with their reasons."""
    for call in skipped[:_SKIPPED_SHOWN]:
        reason = call.reason.removeprefix(f"call {call.call_id}: ")
        _indented(console, f"{call.call_id}: {reason}")
    if (more := len(skipped) - _SKIPPED_SHOWN) > 0:
        console.print(f"    and {more:,} more", style="warn")


def _indented(console: Console, text: str) -> None:
    """Write a warning with all of its lines indented; elsewhere than on a terminal, on one line."""
    width = console.width if console.is_terminal else len(text) + 6
    wrapped = textwrap.fill(
        text,
        width,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(wrapped, style="warn", markup=False)


def _done(report: HarvestReport, units: str) -> list[tuple[str, int, str]]:
    before = f"new; {report.known_before:,} were already in the store" if report.known_before else ""
    by_endpoint = ", ".join(f"{name} {count:,}" for name, count in report.requests.items())
    sessions = [("sessions", report.sessions, "")] if report.sessions or units == "calls" else []
    return [
        (units, report.calls, before),
        *sessions,
        ("points", report.points, ""),
        ("requests", sum(report.requests.values()), by_endpoint),
    ]


def _left_over(report: HarvestReport, units: str) -> list[tuple[str, int, str]]:
    later = "the next run" if units == "calls" else f"{units} are ongoing or may change; a later run"
    soon = ""
    if report.expiring:
        soon = f"; {report.expiring:,} of them will leave the plan's reach before the quota can pay for them"
    rows = [
        ("ongoing", report.ongoing, f"{later} fetches them again"),
        ("too recent", report.too_recent, "the next run fetches them"),
        ("skipped", len(report.skipped), "failed; the next run retries them"),
        ("damaged", len(report.damaged), "files of the store, whose rows were fetched again if available"),
        ("unreadable", len(report.unreadable), "records could not be read; everything else is stored"),
        ("known", report.unreadable_before, "records could not be read by earlier runs"),
        ("left", report.left, f"listed but not fetched{soon}"),
        (
            "lost",
            report.lost,
            f"{units} left the plan's reach before they could be stored, in this and earlier runs",
        ),
    ]
    return [row for row in rows if row[1]]


def not_finished(report: HarvestReport, *, same_range: bool, units: str) -> str | None:
    """Return what is left and when to continue, or None if the harvest is complete.

    `same_range` says whether the same command means the same time range when it is run later.
    """
    if report.complete:
        return None
    again = "run the same command again"
    if not same_range:
        again += f" with --since {iso(report.window.start)} --until {iso(report.window.end + 1)}"
    if report.retry_at is None:
        return f"{len(report.skipped)} {units} could not be harvested; {again} to retry them"
    more = f", and {units} that are not listed yet" if report.listing_left else ""
    wait = duration(report.retry_at - time.time())
    return (
        f"the day's quota is used up: {report.calls + report.known_before:,} {units} are done, "
        f"{report.left:,} are left{more}; {again} at {iso(report.retry_at)} (in {wait})"
    )


def unreadable(report: HarvestReport) -> str:
    """Return what could not be read and is reported by this run only."""
    first = report.unreadable[0]
    return (
        f"{len(report.unreadable)} records could not be read, the first is {_place(first)} ({first.reason}); "
        "everything else is stored; later runs do not report them again"
    )


def _place(record: Unreadable) -> str:
    return record.unit if record.unit == record.record else f"{record.unit} {record.record}"


async def show_estimate(client: HarvestClient, *, units: str = "calls", **arguments: Any) -> None:
    """Write what a harvest with these arguments would cost. Sends the requests of `harvest.estimate`."""
    cost = await estimate(client, **arguments)
    console = out()  # only after the last request, because it ends the status line
    show = console.print
    plan = f" under the {client.settings.plan.name} plan" if isinstance(client, AsyncAgora) else ""
    show(f"[good]A harvest[/] of {iso(cost.window.start)} to {iso(cost.window.end + 1)}{plan}")
    stored = f" ({cost.known:,} more are in the store)" if cost.known else ""
    show(f"  [fact]{cost.calls:,}[/] {units} to visit{stored}")
    show(f"  about [fact]{duration(cost.seconds)}[/] at the allowed rate")
    kind, rows = _cost_table(cost)
    table = TableWriter(kind, indent=2, summary=False)
    table.add(kind.table(rows))
    table.finish()
    if cost.skipped:
        show("[warn]Not counted, because it cannot be listed; the harvest will skip it:[/]")
        _show_skipped(console, cost.skipped)
    daily = [cost.quotas[name] for name in cost.requests if cost.quotas[name].daily]
    if not cost.enough:
        opens = max(quota.opens_at for quota in daily)
        show(
            "[warn]The rest of the day's quota does not suffice.[/] The harvest will stop when it is used up; "
            f"run it again after {iso(opens)} to continue."
        )
        if cost.lost:
            show(
                f"[warn]About {cost.lost:,} {units} will be lost, {cost.lost_value:.0%} of the value:[/] they leave the "
                "plan's reach before the quota can pay for them."
            )
    elif daily:
        show("[good]The rest of the day's quota suffices.[/]")
    sent = f"This estimate took {format_requests(client.sent)}." if client.sent else "Nothing was sent."
    show(f"[faint]Nothing was stored. {sent}[/]")


def _cost_table(cost: Estimate) -> tuple[RowKind, list[dict[str, Any]]]:
    """Return the requests of each endpoint and, if an endpoint has a quota of a day, the share of its rest."""
    columns = [
        TableColumn("endpoint", plain("endpoint")),
        TableColumn("requests", number("requests"), right=True),
    ]
    if any(cost.quotas[name].daily for name in cost.requests):
        columns += [
            TableColumn("left today", number("left"), right=True),
            TableColumn("share", percent("share"), right=True),
        ]
    types = {"endpoint": "string", "requests": "int64", "left": "int64", "share": "double"}
    rows = [
        {"endpoint": name, "requests": count, "left": left, "share": count / left if left else None}
        for name, count in cost.requests.items()
        for left in (cost.quotas[name].left,)
    ]
    return RowKind(name="endpoints", schema=row_schema(types), columns=tuple(columns)), rows
