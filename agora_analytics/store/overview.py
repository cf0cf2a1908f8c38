"""What a store contains, as its `repr` shows it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.errors import StoreError
from agora_analytics.schemas import TABLES
from agora_analytics.store import query
from agora_analytics.store.layout import Layout, decode_id, parquet_names, partitions

_MOST_FILES = 500
"""Rows and vendors are read from all files, which takes about 0.1 s for so many."""


@frozen(kw_only=True)
class Overview:
    """The contents of a store: its tables with the number of rows, the vendors, and the range of days.

    Attributes:
        folder: of the store.
        files: the number of files by table; empty if the folder cannot be read.
        rows: the number of rows by table; empty for a store of many files, or one with a damaged file.
        vendors: the vendors with data; empty as `rows` is.
        days: the UTC days with data, sorted.
    """

    folder: Path
    files: dict[str, int] = field(factory=dict)
    rows: dict[str, int] = field(factory=dict)
    vendors: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    @classmethod
    def read(cls, layout: Layout) -> "Overview":
        """Return the overview of a store. Leaves out what cannot be read."""
        try:
            files = {table: len(layout.files(table)) for table in TABLES}
        except StoreError:
            return cls(folder=layout.folder)
        days = {day for table in TABLES for _, day, _ in _day_folders(layout.table(table))}
        rows: dict[str, int] = {}
        vendors: list[str] | None = None
        if sum(files.values()) <= _MOST_FILES:
            with suppress(StoreError):
                rows, vendors = _count(layout, "(select list(distinct vendor) from points)")
        if rows.get("calls"):
            vendors = [*(vendors or ()), "agora"]
        return cls(
            folder=layout.folder,
            files=files,
            rows=rows,
            vendors=tuple(sorted(set(vendors or ()))),
            days=tuple(sorted(days)),
        )

    def text(self) -> str:
        """Return one line."""
        counts = self.rows or self.files
        tables = ", ".join(f"{count:,} {table}" for table, count in counts.items() if count) or "empty"
        files = "files: " if self.files and not self.rows else ""
        return "; ".join(
            filter(None, (str(self.folder), files + tables, ", ".join(self.vendors), self._range()))
        )

    def html(self) -> str:
        """Return a table for a notebook."""
        body = "".join(
            f"<tr><td>{table}</td><td>{self.rows[table]:,}</td><td>{count:,}</td></tr>"
            if self.rows
            else f"<tr><td>{table}</td><td></td><td>{count:,}</td></tr>"
            for table, count in self.files.items()
        )
        about = "; ".join(filter(None, (", ".join(self.vendors), self._range())))
        return (
            f"<p><b>{escape(str(self.folder))}</b><br>{escape(about)}</p>"
            f"<table><thead><tr><th>table</th><th>rows</th><th>files</th></tr></thead><tbody>{body}</tbody></table>"
        )

    def _range(self) -> str:
        if len(self.days) < 2:
            return "".join(self.days)
        return f"{self.days[0]} to {self.days[-1]}"


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
    rows = [
        (app_id, date.fromisoformat(day), *calls.get((app_id, day), (0, 0)), pending[app_id, day])
        for app_id, day in sorted(days | set(+pending))
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
