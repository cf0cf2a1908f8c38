"""What a store contains: the counts of its tables, its `repr`, and which days are complete."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from agora_analytics.errors import StoreError
from agora_analytics.schemas import TABLES
from agora_analytics.store import query
from agora_analytics.store.layout import Layout, decode_id, parquet_names, partitions

_MOST_FILES = 500
"""Rows and vendors are read from all files, which takes about 0.1 s for so many."""


def contents(layout: Layout) -> dict[str, str]:
    """Return what a store contains, as texts by name. Leaves out what cannot be read."""
    try:
        files = {table: len(layout.files(table)) for table in TABLES}
        days = sorted({day for table in TABLES for _, day, _ in _day_folders(layout.table(table))})
    except StoreError:
        return {}
    rows: dict[str, int] = {}
    vendors: set[str] = set()
    if sum(files.values()) <= _MOST_FILES:
        with suppress(StoreError):
            rows, found = _count(layout, "(select list(distinct vendor) from points)")
            vendors = {*(found or ()), *(["agora"] if rows["calls"] else [])}
    counts = ", ".join(f"{count:,} {table}" for table, count in (rows or files).items() if count) or "empty"
    texts = {
        "rows" if rows else "files": counts,
        "vendors": ", ".join(sorted(vendors)),
        "days": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
    }
    return {name: text for name, text in texts.items() if text}


def as_html(layout: Layout) -> str:
    """Return what a store contains as a table for a notebook."""
    body = "".join(
        f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in contents(layout).items()
    )
    return f"<p><b>{escape(str(layout.folder))}</b></p><table><tbody>{body}</tbody></table>"


def count_rows(layout: Layout) -> dict[str, int]:
    """Return the number of rows of each table, read from the file footers."""
    return _count(layout)[0]


def completeness(layout: Layout) -> pa.Table:
    """Return one row for each app and day with data. See `ParquetStore.completeness`."""
    text = "select app_id, day::varchar, count(*), count(*) filter (not finished) from calls group by all"
    calls = {
        (app_id, day): (count, ongoing)
        for app_id, day, count, ongoing in query.fetch(layout, text, lambda made: made.fetchall())
    }
    pending: Counter[tuple[str, str]] = Counter()
    days = set(calls)
    for table in TABLES:
        days.update((app_id, day) for app_id, day, _ in _day_folders(layout.table(table)))
        for app_id, day, folder in _day_folders(layout.table(table, pending=True)):
            pending[app_id, day] += len(parquet_names(folder))
    return completeness_table(days, calls, pending)


def completeness_table(
    days: Iterable[tuple[str, str]],
    calls: Mapping[tuple[str, str], tuple[int, int]],
    pending: Counter[tuple[str, str]],
) -> pa.Table:
    """Return one row for each app and day: `calls` has the stored and the ongoing calls, `pending` the pending units."""
    rows = [
        (app_id, date.fromisoformat(day), *calls.get((app_id, day), (0, 0)), pending[app_id, day])
        for app_id, day in sorted({*days, *calls, *(+pending)})
    ]
    return pa.Table.from_pylist(
        [dict(zip(_COMPLETENESS.names, (*row, row[3] == row[4] == 0), strict=True)) for row in rows],
        schema=_COMPLETENESS,
    )


_COMPLETENESS = pa.schema(
    {
        "app_id": pa.string(),
        "day": pa.date32(),
        "calls": pa.int64(),
        "ongoing": pa.int64(),
        "pending": pa.int64(),
        "complete": pa.bool_(),
    }
)


def _day_folders(table: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the app, the day and the path of each folder of a table."""
    for app_id, app in partitions(table, "app_id"):
        for day, folder in partitions(app, "day"):
            yield decode_id(app_id), day, folder


def _count(layout: Layout, more: str = "") -> tuple[dict[str, int], Any]:
    """Return the number of rows of each table, and the value of another column of the query."""
    columns = ", ".join(f"(select count(*) from {table})" for table in TABLES)
    (row,) = query.fetch(layout, f"select {columns}, {more or 'null'}", lambda made: made.fetchall())
    return dict(zip(TABLES, row, strict=False)), row[-1]
