"""Reads the tables of a store."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from agora_analytics.schemas import TABLES
from agora_analytics.store import query
from agora_analytics.store.layout import Layout


class StoreReader:
    """The methods of a store that read whole tables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._layout = Layout(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def files(self, table: str) -> list[Path]:
        """Return the files of a table, sorted.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.
        """
        return self._layout.files(table)

    def dataset(self, table: str) -> ds.Dataset:
        """Return a table as a pyarrow dataset, for example to filter it or to read it in batches.

        The dataset refers to the current files. After a compaction, a scan raises `FileNotFoundError` and never
        returns wrong rows; request a new dataset then.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.

        Example::

            store.dataset("metrics").to_table(filter=ds.field("mid") == 20003)
        """
        return query.dataset(self._layout, table)

    def table(self, table: str) -> pa.Table:
        """Return a whole table in memory, in `table_schema(table)`; or `quality`, the view over all vendors.

        Raises:
            StoreError: if there is no such table, or a file is damaged.

        Example::

            store.table("sessions").to_pandas()
        """
        return self.sql("from quality").arrow() if table == "quality" else query.table(self._layout, table)

    def sql(self, text: str, *, allow: Sequence[str | Path] | None = None) -> query.Result:
        """Run one SQL query (DuckDB) over the views `calls`, `sessions`, `metrics`, `points` and `quality`.

        `quality` combines the metrics of all vendors. Times are in UTC.

        Args:
            text: one statement that only reads: `select`, `describe`, `summarize`, or `explain` of a `select`.
            allow: for queries of other people. The query runs in a sandbox that reads files only in the store and in
                these folders, and cannot reach the network, the environment or Python variables. None: no sandbox; the
                query may read every file that this process may read.

        Raises:
            InvalidRequest: if the statement is wrong, is not a query, or reads a file that is not allowed.
            StoreError: if a file is damaged or cannot be read.

        Example::

            store.sql("select mid, avg(value) from metrics group by mid order by mid").rows()
        """
        folders = None if allow is None else [Path(folder).expanduser() for folder in allow]
        return query.run(self._layout, text, folders)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, read from the file footers.

        Raises:
            StoreError: if a file is damaged or cannot be read.
        """
        rows = self.sql(
            " union all ".join(f"select '{name}', count(*) from {name}" for name in TABLES)
        ).rows()
        return {str(name): int(count) for name, count in rows}
