"""`agora-analytics harvest`, `sql`, `compact` and `rollup`, and the harvest of any vendor."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.agora.enums import QualityMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import open_client
from agora_analytics.cli.metric_tables import metric_list, metrics_of
from agora_analytics.cli.options import (
    CallValue,
    FilledHarvestOptions,
    HarvestOptions,
    StoreOption,
    option_groups,
)
from agora_analytics.cli.output import Format, LimitedOutput, open_writer
from agora_analytics.cli.terminal import err, one_line, out, standard_input
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.cli.client_context import MakeClient
    from agora_analytics.harvest.run import HarvestClient

_LATEST_DATA = 300  # seconds: the data of the slowest plan are this late


@option_groups
def harvest(
    *,
    options: HarvestOptions,
    insight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help=f"Also store this metric of Data Insights, hour by hour: {metric_list(QualityMetric)}; repeat it for "
            "more. Each day takes one or two of the 40 to 60 requests that the plan allows a day.",
        ),
    ] = None,
    reserve: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Leave N requests of each daily quota of lists, sessions and metrics to others, such as people on call. "
            "Requests that others have sent already count too. Default: 0.",
            show_default=False,
        ),
    ] = None,
    value: Annotated[
        CallValue | None,
        typer.Option(
            help="What a call is worth if the daily quota does not suffice for all: each the same, by its users or by "
            "its minutes. Calls with the highest value per request are stored. Default: calls.",
            show_default=False,
        ),
    ] = None,
    no_compact: Annotated[
        bool, typer.Option("--no-compact", help="Do not merge the small files of past days.")
    ] = False,
    all_accounts: Annotated[
        bool,
        typer.Option(
            "--all-accounts",
            help="Harvest every account of the configuration file, of all vendors, with the settings of the file. An "
            "error of one account does not end the others.",
        ),
    ] = False,
    concurrency: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="With --all-accounts: how many accounts are harvested at a time."
        ),
    ] = 8,
    account: AgoraAccount,
) -> int:
    """Store all calls of a time range, with their sessions and metrics, in a folder of Parquet files or in a bucket.

    The customer id and secret are those of AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET, or of the account that
    --account names. If the harvest stops, the same command continues it. Exit code 75: the day's quota is used up, or
    calls failed; run the command again later. Exit code 65: records cannot be read; everything else is stored, and
    later runs do not report them again.
    """
    if all_accounts:
        from agora_analytics.cli.all_accounts import harvest_all

        of_one = {"--insight": insight, "--reserve": reserve, "--value": value}
        return harvest_all(options, account, of_one, concurrency=concurrency, compact=not no_compact)
    settings = account.harvest_settings()
    insights = metrics_of(insight, QualityMetric) if insight else settings.insights
    spending = {
        "reserve": settings.reserve if reserve is None else reserve,
        "value": settings.value if value is None else value.value,
    }
    return run_harvest(
        account.client, options.filled(settings), insights=insights, spending=spending, compact=not no_compact
    )


def run_harvest(
    make: "MakeClient[HarvestClient]",
    options: FilledHarvestOptions,
    *,
    units: str = "calls",
    insights: Sequence[str] = (),
    spending: Mapping[str, Any] | None = None,
    **more: Any,
) -> int:
    """Harvest a vendor into a store, show the progress and the summary, and return the exit code.

    `units` names what the harvest visits, in the plural. `spending` are the arguments of the harvest and of its estimate
    that depend on the quota, `more` further arguments of `harvest.harvest`.
    """
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.operations import LISTS
    from agora_analytics.cli.harvest_summary import not_finished, show_estimate, show_summary, unreadable
    from agora_analytics.cli.live_progress import Progress, harvest_with_progress
    from agora_analytics.cli.runner import DONE, TRY_LATER, WRONG_DATA
    from agora_analytics.harvest import HarvestReport, harvest_insights
    from agora_analytics.harvest.run import check_reserve

    spending = spending or {}

    async def estimate_only() -> None:
        async with open_client(make) as client:
            await show_estimate(client, units=units, **options.arguments, **spending)

    async def store_all() -> dict[str, HarvestReport]:
        from agora_analytics.store import open_store

        progress = Progress(units=units, quiet=options.quiet)
        async with make(observer=progress.sent) as client:
            if isinstance(client, AsyncAgora):
                # Before the folder of the store is created for nothing.
                client.legal_window(LISTS, options.since, options.until)
                check_reserve(client, spending.get("reserve", 0))
            store = await asyncio.to_thread(open_store, options.out, create=True, durable=options.durable)
            arguments = options.arguments | {"store": store, "verify": options.verify}
            report = await harvest_with_progress(client, progress, **arguments, **spending, **more)
            show_summary(
                out(), report, options.out, units=units, seconds=progress.seconds, quiet=options.quiet
            )
            reports = {units: report}
            if insights and isinstance(client, AsyncAgora):
                days = await harvest_insights(client, insights, **arguments)
                show_summary(out(), days, options.out, units="insight days", quiet=options.quiet)
                reports["insight days"] = days
        return reports

    if options.dry_run:
        asyncio.run(estimate_only())
        return DONE
    reports = asyncio.run(store_all())
    same_range = _is_absolute(options.since) and _is_absolute(options.until)
    code = DONE
    for name, report in reports.items():
        if unfinished := not_finished(report, same_range=same_range, units=name):
            one_line(err(), f"agora-analytics: {unfinished}")
            code = code or TRY_LATER
        if report.unreadable:
            one_line(err(), f"agora-analytics: {unreadable(report)}")
            code = WRONG_DATA
    return code


def _is_absolute(option: str) -> bool:
    """Return whether a time option means the same time in every run, as `6h` and `now` do not."""
    return not re.fullmatch(r"\s*(now|today|yesterday|[\d.]+\s*[smhdw])\s*", option)


@option_groups
def sql(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY", help="A query that reads, such as 'select ...'; - reads it from stdin."
        ),
    ],
    store: StoreOption,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Let the query read files in this folder too, such as 'customers.csv'; repeat it for more.",
        ),
    ] = None,
    *,
    output: LimitedOutput,
) -> None:
    """Query a store with SQL (DuckDB). All times are UTC. The query can only read.

    Tables: calls, sessions and metrics (Agora), points (OpenTok, ApsaraVideo, and Data Insights of Agora). Views: quality
    has the metrics of all vendors with common names and units, interval_scores and stream_scores have scores of received
    audio and video.
    """
    from agora_analytics.store import open_store
    from agora_analytics.store.stream import stream

    text = standard_input() if query == "-" else query
    folders = [folder.expanduser() for folder in allow or ()]
    schema, tables = stream(open_store(store), text, folders)
    names = _distinct(schema.names)
    with _python_values():
        first = next(tables, schema.empty_table())
        _write_tables((table.rename_columns(names) for table in chain([first], tables)), output)


def _write_tables(tables: "Iterator[pa.Table]", output: LimitedOutput) -> None:
    """Write tables as the query returns them. For a table, the rows over the limit are counted."""
    from agora_analytics.cli.output.table import query_result

    first = next(tables)
    with open_writer(query_result(first), output) as writer:
        total = 0
        try:
            for table in chain([first], tables):
                total += table.num_rows
                left = output.most - writer.written if output.most else table.num_rows
                if left > 0:
                    writer.add(table.slice(0, left))
                elif output.format is not Format.TABLE:
                    break
        except Exception as error:
            if writer.written:
                where = f" to {output.file}" if output.file else ""
                error.add_note(f"{writer.written:,} rows were written{where} before that")
            raise
        if total > writer.written:
            writer.total, writer.rest = total, "--limit 0 shows all"


@contextmanager
def _python_values() -> Iterator[None]:
    """Raise `InvalidRequest` if a value of a query has no Python type, such as a date in the year 20000."""
    try:
        yield
    except InvalidRequest:
        raise
    except (OverflowError, ValueError) as problem:
        raise InvalidRequest(
            f"a value of the result cannot be converted: {problem}; cast its column to VARCHAR"
        ) from problem


def _distinct(names: list[str]) -> list[str]:
    """Return column names without duplicates: the second `n` becomes `n_2`."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


@option_groups
def compact(store: StoreOption) -> None:
    """Merge the many small files of each past day into a few. A harvest does this automatically; readers may continue."""
    from agora_analytics.instants import utc_day
    from agora_analytics.store import open_store

    report = open_store(store).writer.compact(closed_before=utc_day(time.time() - _LATEST_DATA))
    console = out()
    for day in report.compacted:
        size = f"{day.bytes_before / 1e6:,.1f} to {day.bytes_after / 1e6:,.1f} MB"
        console.print(
            f"{day.day} of {day.app_id}: {day.files_before:,} files merged into {day.files_after:,} ({size})",
            markup=False,
        )
    for skipped in report.skipped:
        console.print(f"{skipped.day} of {skipped.app_id} was skipped: {skipped.reason}", markup=False)
    if not report.compacted and not report.skipped:
        console.print("Nothing to compact: no past day has more than a few files.")


@option_groups
def rollup(
    store: StoreOption,
    *,
    all_days: Annotated[
        bool,
        typer.Option("--all", help="Write every roll-up again, not only those that are missing or outdated."),
    ] = False,
) -> None:
    """Write the roll-ups of compacted days, which make reports fast. A harvest does this when it merges a day."""
    from agora_analytics.store import ParquetStore, open_store

    opened = open_store(store)
    if not isinstance(opened, ParquetStore):
        raise InvalidRequest(f"{store} is in a bucket, which has no roll-ups: queries read its samples")
    report = opened.writer.build_rollups(rebuild=all_days)
    console = out()
    for built in report.built:
        console.print(
            f"{built.day} of {built.app_id}: {built.name} ({built.bytes / 1e6:,.1f} MB, {built.seconds:.1f} s)",
            markup=False,
        )
    for skipped in report.skipped:
        console.print(
            f"{skipped.day} of {skipped.app_id}: {skipped.name} was not written: {skipped.reason}",
            markup=False,
        )
    if not report.built and not report.skipped:
        console.print(f"Nothing to write: {report.valid:,} roll-ups are valid.")
