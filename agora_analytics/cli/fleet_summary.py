"""The table of the passes of many accounts, and what is said about an account that is not complete."""

from typing import Any

from rich.console import Console

from agora_analytics.cli.fleet_progress import FleetProgress
from agora_analytics.cli.harvest_summary import unreadable
from agora_analytics.cli.output.columns import (
    NO_VALUE,
    RowKind,
    TableColumn,
    number,
    plain,
    row_schema,
    timestamp,
)
from agora_analytics.cli.output.table import TableWriter
from agora_analytics.cli.runner import (
    CANNOT_CREATE,
    CANNOT_STORE,
    NO_ACCESS,
    TRY_LATER,
    UNAVAILABLE,
    WRONG_DATA,
    WRONG_INPUT,
    WRONG_SETTING,
    describe,
    exit_code_of,
)
from agora_analytics.cli.terminal import clock
from agora_analytics.fleet import AccountReport
from agora_analytics.instants import iso
from agora_analytics.kit.config_file import Account, Config

_ERRORS = {
    WRONG_INPUT: "wrong input",
    WRONG_DATA: "invalid data",
    UNAVAILABLE: "unreachable",
    CANNOT_CREATE: "store error",
    CANNOT_STORE: "store error",
    TRY_LATER: "limit reached",
    NO_ACCESS: "no access",
    WRONG_SETTING: "wrong setting",
}
"""The state of an account that ended with an error, by exit code; the message is on stderr."""

ACCOUNT_ROWS = RowKind(
    name="accounts",
    schema=row_schema(
        dict.fromkeys(("account", "vendor"), "string")
        | dict.fromkeys(("done", "points", "requests", "left"), "int64")
        | {"state": "string", "retry_at": "time"}
    ),
    columns=(
        TableColumn("account", plain("account"), least=12),
        TableColumn("vendor", plain("vendor")),
        TableColumn("state", plain("state")),
        TableColumn("done", number("done"), right=True),
        TableColumn("points", number("points"), right=True),
        TableColumn("requests", number("requests"), right=True),
        TableColumn("left", lambda row: f"{row['left']:,}" if row["left"] else NO_VALUE, right=True),
        TableColumn("next run", timestamp("retry_at")),
    ),
)


def show_fleet(
    console: Console, config: Config, reports: dict[str, AccountReport], progress: FleetProgress
) -> None:
    """Write a row for each account of the configuration file, also for those that were not harvested."""
    rows = [_row(account, reports.get(name), progress) for name, account in config.accounts.items()]
    complete = sum(report.complete for report in reports.values())
    console.print(
        f"[good]Harvested[/] {complete:,} of {progress.total:,} accounts completely in {clock(progress.seconds)}"
    )
    table = TableWriter(ACCOUNT_ROWS, summary=False)
    table.add(ACCOUNT_ROWS.table(rows))
    table.finish()


def _row(account: Account, report: AccountReport | None, progress: FleetProgress) -> dict[str, Any]:
    row: dict[str, Any] = {"account": account.name, "vendor": account.vendor}
    if not account.can_be_harvested:
        return row | {"state": "no harvest"}
    if report is not None and report.reports:
        retry_at = report.retry_at
        return row | {
            "state": _state(report),
            "done": sum(each.calls for each in report.reports),
            "points": sum(each.points for each in report.reports),
            "requests": sum(sum(each.requests.values()) for each in report.reports),
            "left": sum(each.left + len(each.skipped) for each in report.reports),
            "retry_at": None if retry_at is None else int(retry_at),
        }
    state = "not begun" if report is None else _state(report)
    if account.name in progress.active:
        state = "stopped"
    each = progress.active.get(account.name) or progress.stopped.get(account.name)
    if each is None or not each.requests:
        return row | {"state": state}
    return row | {
        "state": state,
        "done": each.calls,
        "points": each.points,
        "requests": each.requests.total(),
        "left": max(0, each.known - each.calls),
    }


def _state(report: AccountReport) -> str:
    if report.error is not None:
        return _ERRORS.get(exit_code_of(report.error), "error")
    if report.retry_at is not None:
        return "quota used up"
    return "complete" if report.complete else "incomplete"


def trouble_of(report: AccountReport) -> tuple[str, int] | None:
    """Return what is to be said about an account that is not complete, and the exit code; None: it is."""
    if report.error is not None:
        return describe(report.error, ())
    if report.retry_at is not None:
        listing = (
            " and calls that are not listed yet" if any(each.listing_left for each in report.reports) else ""
        )
        left = sum(each.left for each in report.reports)
        return (
            f"the day's quota is used up; {left:,} are left{listing}; run it again at {iso(report.retry_at)}",
            TRY_LATER,
        )
    if skipped := [call for each in report.reports for call in each.skipped]:
        return (
            f"{len(skipped)} could not be harvested, the first is {skipped[0].call_id}: {skipped[0].reason}",
            TRY_LATER,
        )
    if unread := [each for each in report.reports if each.unreadable]:
        return unreadable(unread[0]), WRONG_DATA
    return None
