"""A dlt pipeline into a DuckDB file, and the comparison of its tables with those of a store."""

from pathlib import Path
from typing import Any

import dlt
import duckdb
from attrs import frozen

from agora_analytics.integrations.dlt import agora_source
from agora_analytics.integrations.dlt.new_rows import MERGE_KEYS, loaded_schema
from agora_analytics.schemas import TABLES
from agora_analytics.store import ParquetStore, open_store

DATASET = "quality"


@frozen
class Loader:
    """A pipeline whose files are below a folder. Each use creates a new pipeline object, as another process does."""

    folder: Path

    @property
    def pipeline(self) -> dlt.Pipeline:
        return dlt.pipeline(
            "calls",
            destination=dlt.destinations.duckdb(str(self.database)),
            dataset_name=DATASET,
            pipelines_dir=str(self.folder / "pipelines"),
        )

    @property
    def database(self) -> Path:
        return self.folder / "destination.duckdb"

    @property
    def source(self) -> Any:
        """The source over the store of the test, without a harvest."""
        return agora_source(store=self.folder / "store")

    @property
    def store(self) -> ParquetStore:
        return open_store(self.folder / "store")

    def load(self, source: Any = None) -> dict[str, int]:
        """Run the pipeline; return the number of rows that were loaded, by table."""
        pipeline = self.pipeline
        pipeline.run(source or self.source)
        rows = pipeline.last_trace.last_normalize_info.row_counts
        return {table: count for table, count in rows.items() if table in TABLES}

    def counts(self) -> dict[str, int]:
        """Return the number of rows in the destination, by table."""
        with duckdb.connect(str(self.database)) as connection:
            tables = {
                name
                for (name,) in connection.execute(
                    "select table_name from information_schema.tables where table_schema = ?", [DATASET]
                ).fetchall()
            }
            return {
                table: connection.execute(f"select count(*) from {DATASET}.{table}").fetchall()[0][0]
                for table in TABLES
                if table in tables
            }

    def assert_same_as(self, store: ParquetStore) -> None:
        """Check that the destination has each row of the complete calls of a store once, and no other row."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for table in self.counts():
                condition = "call_id in (select call_id from calls)" if table != "points" else "true"
                columns = [name for name in loaded_schema(table).names if name != MERGE_KEYS["points"][-1]]
                expected = store.sql(f"select * from {table} where {condition}").to_arrow_table()  # noqa: F841
                listed = ", ".join("to_json(roles)" if name == "roles" else name for name in columns)
                loaded = f"select {', '.join(columns)} from {DATASET}.{table}"
                stored = f"select {listed} from expected"
                for left, right in ((loaded, stored), (stored, loaded)):
                    rows = connection.sql(f"({left}) except all ({right})").fetchall()
                    assert rows == [], (table, len(rows), rows[:3])
