"""Count rows repeatedly while another process compacts: `reader_process.py DIR glob|sql|table|dataset|views CALLS SAMPLES`.

`views` reads a file of `write_views` instead of a folder, over one connection.

Ends when its standard input ends, or after 400 reads. Prints the number of reads and the number of retries.
"""

import select
import sys
from functools import cache
from pathlib import Path

import duckdb

from agora_analytics.store import open_store

QUERY = "select (select count(*) from {calls}), (select count(distinct call_id) from {calls}), (select count(*) from {metrics})"


@cache
def connection_to(file: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(file, read_only=True)


def counts(folder: str, reader: str) -> tuple[int, int, int]:
    if reader == "glob":
        tables = {table: f"'{folder}/{table}/**/*.parquet'" for table in ("calls", "metrics")}
        with duckdb.connect() as connection:
            return connection.execute(QUERY.format(**tables)).fetchone()
    if reader == "views":
        return connection_to(folder).execute(QUERY.format(calls="calls", metrics="quality")).fetchone()
    store = open_store(folder)
    if reader == "sql":
        return store.sql(QUERY.format(calls="calls", metrics="metrics")).fetchall()[0]
    if reader == "dataset":
        calls = store.dataset("calls").to_table(columns=["call_id"]).column("call_id")
        return len(calls), len(calls.unique()), store.dataset("metrics").count_rows()
    calls = store.table("calls").column("call_id")
    return len(calls), len(calls.unique()), store.table("metrics").num_rows


def main(folder: str, reader: str, calls: str, samples: str) -> None:
    assert Path(folder).exists()
    expected = (int(calls), int(calls), int(samples))
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    reads = retries = 0
    while reads + retries < 400 and not select.select([sys.stdin], [], [], 0)[0]:
        try:
            counted = counts(folder, reader)
        except (duckdb.IOException, FileNotFoundError):  # a file was removed between listing and opening
            if reader not in {"glob", "sql", "dataset", "views"}:
                raise
            retries += 1
            continue
        assert tuple(counted) == expected, (counted, expected)
        reads += 1
    sys.stdout.write(f"{reads} {retries}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
