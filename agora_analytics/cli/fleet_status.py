"""The table of `agora-analytics fleet status`, and what a person has to do."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from agora_analytics.cli.output import Output, write_table
from agora_analytics.cli.output.columns import (
    NO_VALUE,
    Cells,
    RowKind,
    TableColumn,
    plain,
    row_schema,
    timestamp_text,
)
from agora_analytics.cli.terminal import duration, one_line, out
from agora_analytics.fleet.status import AccountStatus, FleetStatus

_TEXTS = ("account", "state", "vendor", "worker", "outcome", "reason", "quota_endpoint")
_NUMBERS = ("calls", "calls_left", "quota_left", "quota_per_day", "failures")
_SHORT = {"quota used up": "no quota"}
_TIMES = ("begun_at", "ended_at", "next_run")


def show_status(status: FleetStatus, accounts: Sequence[AccountStatus], output: Output) -> None:
    """Write a row for each account, and, on a terminal, what needs a person.

    Args:
        status: of the fleet.
        accounts: the rows.
        output: where and how they are written.
    """
    kind = _rows_at(status.now)
    rows = [each.to_dict() | {name: _whole(getattr(each, name)) for name in _TIMES} for each in accounts]
    write_table(kind.table(rows), kind, output)
    if output.to_screen:
        _show_summary(status, accounts)


def _rows_at(now: float) -> RowKind:
    """Return the columns of the accounts, with times relative to `now`."""
    return RowKind(
        name="accounts",
        schema=row_schema(
            dict.fromkeys(_TEXTS, "string")
            | dict.fromkeys(_NUMBERS, "int64")
            | dict.fromkeys(_TIMES, "time")
            | {"silence": "double"}
        ),
        columns=(
            TableColumn("account", plain("account"), least=12),
            TableColumn("last pass", lambda row: _last_pass(row, now)),
            TableColumn("calls", lambda row: _of_last_pass(row, "calls"), right=True),
            TableColumn("left", lambda row: _of_last_pass(row, "calls_left"), right=True),
            TableColumn("quota left", _quota, right=True),
            TableColumn("next run", lambda row: _next_run(row, now)),
            TableColumn("held by", _holder, below=True),
        ),
    )


def _last_pass(row: Cells, now: float) -> str:
    if row["ended_at"] is None:
        return NO_VALUE
    outcome = _SHORT.get(row["outcome"], row["outcome"])
    return f"{outcome} {duration(now - row['ended_at'].timestamp())} ago"


def _of_last_pass(row: Cells, name: str) -> str:
    return NO_VALUE if row["ended_at"] is None else f"{row[name]:,}"


def _quota(row: Cells) -> str:
    if row["quota_per_day"] is None:
        return NO_VALUE
    return f"{row['quota_left']:,} of {row['quota_per_day']:,}"


def _next_run(row: Cells, now: float) -> str:
    if row["state"] != "waiting":
        return str(row["state"])
    return f"in {duration(row['next_run'].timestamp() - now)}"


def _holder(row: Cells) -> str:
    return row["worker"] or NO_VALUE if row["state"] in ("running", "no heartbeat") else NO_VALUE


def _whole(time: float | None) -> int | None:
    return None if time is None else int(time)


def _show_summary(status: FleetStatus, accounts: Sequence[AccountStatus]) -> None:
    console = out()
    states = Counter(each.state for each in accounts)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    workers = f"{status.workers:,} worker{'' if status.workers == 1 else 's'}"
    at = timestamp_text(datetime.fromtimestamp(status.now, UTC))
    one_line(
        console, f"{workers} at {at}; accounts: {counts or 'none'}", "faint" if status.workers else "warn"
    )
    if not status.workers:
        one_line(console, "No worker is running. Start one: agora-analytics worker", "bad")
    for each in accounts:
        if text := _trouble(each):
            one_line(console, f"{each.account}: {text}", "warn")


def _trouble(status: AccountStatus) -> str:
    """Return what is to be said about an account that a person should look at."""
    name = status.account
    if status.state == "parked":
        return f"parked: {status.reason}. Resolve it, then run: agora-analytics fleet plan {name}"
    if status.state == "no heartbeat":
        silent = "" if status.silence is None else f" for {duration(status.silence)}"
        return f"its worker {status.worker} has sent no heartbeat{silent}; another one takes over after 30 s"
    if status.outcome == "failed":
        times = f" {status.failures:,} times in a row" if status.failures > 1 else ""
        return f"failed{times}: {status.reason}"
    if status.outcome == "incomplete":
        return status.reason
    return ""
