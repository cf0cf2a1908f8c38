"""`agora-analytics sql` and `agora-analytics compact`: the commands on stored rows."""

import sys
import time
from collections import Counter
from typing import Annotated

import typer

from agora_analytics.cli.options import StoreOption, option_groups
from agora_analytics.cli.output import LimitedOutput, write_table

_LATEST_DATA = 300  # seconds: the data of the slowest plan are this late


@option_groups
def sql(
    query: Annotated[
        str, typer.Argument(help="A query that reads, such as 'select ...'; - reads it from stdin.")
    ],
    store: StoreOption,
    *,
    output: LimitedOutput,
) -> None:
    """Query a store with SQL (DuckDB). All times are UTC.

    Tables: calls, sessions and metrics (Agora), points (other vendors), and the view quality, which has the metrics of
    all vendors with common names and units.
    """
    from agora_analytics.cli.output.table import query_result
    from agora_analytics.store import open_store

    text = sys.stdin.read() if query == "-" else query
    table = open_store(store).sql(text).arrow()
    table = table.rename_columns(_distinct(table.column_names))
    write_table(table, query_result(table), output)


def _distinct(names: list[str]) -> list[str]:
    """Return column names without duplicates: the second `n` becomes `n_2`."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


def compact(store: StoreOption) -> None:
    """Merge the many small files of each past day into a few. A harvest does this automatically; readers may continue."""
    from agora_analytics.cli.terminal import out
    from agora_analytics.instants import utc_day
    from agora_analytics.store import open_store

    report = open_store(store).compact(closed_before=utc_day(time.time() - _LATEST_DATA))
    console = out()
    for day in report.compacted:
        size = f"{day.bytes_before / 1e6:,.1f} to {day.bytes_after / 1e6:,.1f} MB"
        console.print(
            f"{day.day} of {day.app_id}: {day.files_before:,} files merged into {day.files_after:,} ({size})"
        )
    for skipped in report.skipped:
        console.print(f"{skipped.day} of {skipped.app_id} was skipped: {skipped.reason}")
    if not report.compacted and not report.skipped:
        console.print("Nothing to compact: no past day has more than a few files.")
