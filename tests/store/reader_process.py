"""Count rows repeatedly while another process compacts: `reader_process.py DIR glob|sql|table|dataset CALLS SAMPLES`.

Ends when its standard input ends, or after 400 reads. Prints the number of reads and the number of retries.
"""

import select
import sys
from pathlib import Path

import duckdb

from agora_analytics.store import open_store

QUERY = "select (select count(*) from {calls}), (select count(distinct call_id) from {calls}), (select count(*) from {metrics})"


def counts(folder: str, reader: str) -> tuple[int, int, int]:
    if reader == "glob":
        tables = {table: f"'{folder}/{table}/**/*.parquet'" for table in ("calls", "metrics")}
        with duckdb.connect() as connection:
            return connection.execute(QUERY.format(**tables)).fetchone()
    store = open_store(folder)
    if reader == "sql":
        return store.sql(QUERY.format(calls="calls", metrics="metrics")).fetchall()[0]
    if reader == "dataset":
        calls = store.dataset("calls").to_table(columns=["call_id"]).column("call_id")
        return len(calls), len(calls.unique()), store.dataset("metrics").count_rows()
    calls = store.table("calls").column("call_id")
    return len(calls), len(calls.unique()), store.table("metrics").num_rows


def main(folder: str, reader: str, calls: str, samples: str) -> None:
    assert Path(folder).is_dir()
    expected = (int(calls), int(calls), int(samples))
    sys.stdout.write("reading\n")
    sys.stdout.flush()
    reads = retries = 0
    while reads + retries < 400 and not select.select([sys.stdin], [], [], 0)[0]:
        try:
            counted = counts(folder, reader)
        except (duckdb.IOException, FileNotFoundError):  # a file was removed between listing and opening
            if reader not in {"glob", "sql", "dataset"}:
                raise
            retries += 1
            continue
        assert tuple(counted) == expected, (counted, expected)
        reads += 1
    sys.stdout.write(f"{reads} {retries}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
