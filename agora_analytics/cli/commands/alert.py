"""`agora-analytics alert`."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import open_client
from agora_analytics.cli.options import TIMES, existing_store, option_groups
from agora_analytics.cli.output import LimitedOutput, write_table
from agora_analytics.cli.output.columns import RowKind, TableColumn, number, plain, row_schema, timestamp
from agora_analytics.cli.terminal import err, one_line, out
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from agora_analytics.alerts import (
        AlertBacktest,
        AlertDatabase,
        AlertEvent,
        AlertRules,
        Incident,
        WebhookSender,
    )
    from agora_analytics.cli.output.columns import Cells

_COLUMNS = {
    "alert": "string", "by": "string", "group": "string", "metric": "string", "unit": "string", "condition": "string",
    "since": "time", "fired": "time", "until": "time", "worst": "double", "users": "int64", "is_silenced": "bool",
    "reason": "string",
}  # fmt: skip


@option_groups
def alert(
    rules: Annotated[
        Path, typer.Option(metavar="FILE", help="The rules, the webhook and the silences, in TOML.")
    ] = Path("alerts.toml"),
    follow: Annotated[
        bool, typer.Option("--follow", "-F", help="Evaluate Real-time as it arrives, until Ctrl-C.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            parser=existing_store,
            help="Evaluate this store once, for example after a harvest.",
        ),
    ] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Show what would have fired. Delivers nothing; needs --store.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Start of the time range of a store: {TIMES}. Default: 1d; with --backtest: 7d.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the time range of a backtest. Default: now.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the state of alerts and undelivered events are kept. Default: as the rules, with .sqlite.",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long --store repeats deliveries that fail, before it ends."
        ),
    ] = 60,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print events: no webhook, no state.")
    ] = False,
    *,
    output: LimitedOutput,
    account: AgoraAccount,
) -> int:
    """Evaluate rules, and send an event to a webhook when an alert fires or is resolved.

    --follow reads Real-time: one request for each metric and several windows, within the day's quota. --store reads what
    a harvest stored, and sends no request to the vendor. Each event is signed, has an idempotency key, is sent again until
    the receiver accepts it, and survives a restart. Exit code 75: events are not delivered yet; run the command again.
    """
    from agora_analytics.alerts import read_rules

    if follow == (store is not None):
        raise InvalidRequest("choose what to evaluate: either --follow, or --store STORE")
    if backtest and store is None:
        raise InvalidRequest("--backtest needs --store STORE, because Real-time keeps an hour at most")
    if not backtest and (until is not None or output.file is not None or output.chosen_format is not None):
        raise InvalidRequest("--until, --output and --format are for --backtest")
    if dry_run and (backtest or state is not None):
        raise InvalidRequest("--dry-run keeps no state and a backtest delivers nothing; leave --dry-run out")
    if since is not None and follow:
        raise InvalidRequest("--since is for --store; --follow continues where it stopped")
    loaded = read_rules(rules)
    if backtest:
        return _backtest(loaded, str(store), since or "7d", until or "now", output)
    kept = ":memory:" if dry_run else str(state or rules.with_suffix(".sqlite"))
    if store is not None:
        return asyncio.run(_evaluate(loaded, store, since or "1d", kept, None if dry_run else wait))
    asyncio.run(_follow(loaded, account, kept, deliver=not dry_run))
    return 0


async def _follow(rules: "AlertRules", account: AgoraAccount, state: str, *, deliver: bool) -> None:
    import anyio

    from agora_analytics.alerts import AlertDatabase, RealtimeAlerts
    from agora_analytics.harvest.unit_runner import flatten

    with AlertDatabase(state) as database:
        async with _sender(rules, database, deliver=deliver) as sender, open_client(account.client) as client:

            def announce(events: "Sequence[AlertEvent]") -> None:
                _print(events)
                if sender is not None:
                    sender.wake()

            alerts = RealtimeAlerts(
                client, rules.rules, database, silences=rules.silences, now=time.time, on_events=announce
            )
            metrics = sum(len(query.metrics) for query in alerts.queries)
            target = f"to {rules.webhook.host}" if deliver else "to no webhook (--dry-run)"
            one_line(
                err(),
                f"following {_counted(len(rules.rules), 'rule')} with {_counted(metrics, 'metric')}; "
                f"events go {target}; Ctrl-C stops",
            )
            try:
                async with anyio.create_task_group() as tasks:
                    if sender is not None:
                        tasks.start_soon(sender.run)
                    tasks.start_soon(alerts.run)
            except BaseExceptionGroup as failures:
                raise next(flatten(failures)) from None


async def _evaluate(rules: "AlertRules", store: str, since: str, state: str, wait: float | None) -> int:
    """Evaluate a store and deliver; `wait` is None if nothing is delivered."""
    from agora_analytics.alerts import AlertDatabase, evaluate_store
    from agora_analytics.cli.runner import DONE, TRY_LATER, UNAVAILABLE
    from agora_analytics.store import open_store

    with AlertDatabase(state) as database:
        async with _sender(rules, database, deliver=wait is not None) as sender:
            given_up = database.queue.counts()["failed"]
            _print(
                evaluate_store(open_store(store), rules.rules, database, since=since, silences=rules.silences)
            )
            if sender is None or wait is None:
                return DONE
            await sender.send_due()
            await sender.drain(wait)
            counts = database.queue.counts()
            if waiting := counts["waiting"]:
                one_line(
                    err(), f"not delivered yet: {_counted(waiting, 'event')}; run the command again", "yellow"
                )
                return TRY_LATER
            # The rows of earlier runs are dropped after a month, so the difference can be negative.
            if (failed := counts["failed"] - given_up) > 0:
                one_line(err(), f"given up: {_counted(failed, 'event')}; see {database.path}", "yellow")
                return UNAVAILABLE
            return DONE


@asynccontextmanager
async def _sender(
    rules: "AlertRules", database: "AlertDatabase", *, deliver: bool
) -> "AsyncIterator[WebhookSender | None]":
    if not deliver:
        yield None
        return
    from agora_analytics.alerts import WebhookSender
    from agora_analytics.engine.transports.httpx import HttpxTransport

    webhook = rules.webhook
    async with HttpxTransport() as transport:
        yield WebhookSender(webhook, database.queue, transport, time.time)


def _print(events: "Sequence[AlertEvent]") -> None:
    for event in events:
        silenced = " (silenced)" if event.is_silenced else ""
        one_line(out(), f"{event.status.upper():<8} {event}{silenced}")


def _backtest(rules: "AlertRules", store: str, since: str, until: str, output: LimitedOutput) -> int:
    from agora_analytics.alerts import backtest
    from agora_analytics.store import open_store

    result = backtest(open_store(store), rules.rules, since=since, until=until, silences=rules.silences)
    kind = RowKind(name="alerts", schema=row_schema(_COLUMNS), columns=_TABLE, notes=_notes(result))
    write_table(kind.table(map(_row, result.incidents)), kind, output)
    return 0


def _worst(row: "Cells") -> str:
    from agora_analytics.alerts.rules import with_unit

    return with_unit(row["worst"], row["unit"])


_TABLE = (
    TableColumn("alert", plain("alert")),
    TableColumn("group", plain("group")),
    TableColumn("since", timestamp("since")),
    TableColumn("fired", timestamp("fired")),
    TableColumn("until", timestamp("until"), keep=True),
    TableColumn("worst", _worst, right=True),
    TableColumn("users", number("users"), right=True),
    TableColumn("condition", plain("condition"), least=20),
    TableColumn("silenced", lambda row: "yes" if row["is_silenced"] else ""),
)


def _row(incident: "Incident") -> dict[str, Any]:
    fired, resolved = incident.fired, incident.resolved
    rule = fired.rule
    return {
        "alert": rule.name,
        "by": rule.by,
        "group": fired.group,
        "metric": rule.metric,
        "unit": rule.unit,
        "condition": rule.condition,
        "since": fired.since,
        "fired": fired.at,
        "until": incident.until,
        "worst": fired.worst if resolved is None else resolved.worst,
        "users": fired.users,
        "is_silenced": incident.fired.is_silenced,
        "reason": None if resolved is None else resolved.reason or None,
    }


def _notes(result: "AlertBacktest") -> tuple[str, ...]:
    """Return lines with the range, and with the rules that had no values: they could not fire."""
    from agora_analytics.instants import iso

    empty = [name for name, windows in result.windows.items() if not windows]
    notes = [f"From {iso(result.since)} to {iso(result.until)}. Nothing was delivered."]
    if empty:
        notes.append(f"The store has no values for {', '.join(empty)} in this range.")
    return tuple(notes)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
