import os
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.schemas import TABLES, VIEWS
from agora_analytics.store import ParquetStore, open_store

from .rollup_samples import points, store_rich_call, valid_rollups
from .sample_calls import APP, CREATED, DAY, PARTITION, SAMPLES, call, store_call, whole_calls_only
from .score_samples import put_random_call, put_random_points
from .subprocesses import start

NEXT = "2026-11-21"
READER = Path(__file__).with_name("views_reader.py")


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> ParquetStore:
    """A store of two vendors, with a compacted day, a late call, an ongoing call and a unit of an incomplete call."""
    store = open_store(tmp_path_factory.mktemp("a") / "calls.store", create=True, durable=False)
    store_rich_call(store, "rich", app_id=APP, day=DAY)
    put_random_call(store, "scored", app_id="other/app", day=DAY, seed=1, since=CREATED + 3000)
    put_random_points(store, day=DAY, seed=2)
    store.writer.put("points", "p", points(), app_id="46", day=NEXT, pending=False)
    store.writer.compact(closed_before=NEXT)
    assert valid_rollups(store)
    store_rich_call(store, "late", app_id=APP, day=DAY, seed=3)
    put_random_call(store, "open", app_id=APP, day=NEXT, seed=4, since=CREATED + 86_400)
    store_call(store, "ongoing", day=NEXT, finished=False)
    store.writer.put("calls", "pending", call("pending"), app_id=APP, day=NEXT, pending=True)
    return store


def rows_elsewhere(file: Path, folder: Path) -> dict[str, list[tuple]]:
    """Return the rows of all views, read by a process in another folder and time zone that imports DuckDB only."""
    done = subprocess.run(
        [sys.executable, "-I", READER, file],
        cwd=folder,
        env={"TZ": "Asia/Kathmandu", "PATH": os.defpath},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads(done.stdout)


def comparable(rows: list[tuple]) -> list[str]:
    """Return rows in an order, with times in UTC without a time zone and sums of doubles without their last digits."""

    def value(each):
        if isinstance(each, datetime) and each.tzinfo:
            return each.astimezone(UTC).replace(tzinfo=None)
        return float(f"{each:.12g}") if isinstance(each, float) else each

    return sorted(repr(tuple(map(value, row))) for row in rows)


def test_process_without_the_package_reads_the_rows_of_sql(rich, tmp_path):
    file = tmp_path / "calls.duckdb"
    rich.write_views(file)
    rows = rows_elsewhere(file, tmp_path.parent)
    assert set(rows) == {*TABLES, *VIEWS, "completeness"}
    for view in (*TABLES, *VIEWS):
        assert len(rows[view]) > 1, view
        assert comparable(rows[view]) == comparable(rich.sql(f"from {view}").fetchall()), view
    expected = [tuple(row.values()) for row in rich.completeness().to_pylist()]
    assert comparable(rows["completeness"]) == comparable(expected)
    assert {row[-1] for row in expected} == {True, False}


def test_views_and_columns_have_comments_and_times_without_a_time_zone(rich, tmp_path):
    rich.write_views(tmp_path / "calls.duckdb")
    with duckdb.connect(str(tmp_path / "calls.duckdb"), read_only=True) as connection:
        views = connection.execute("FROM duckdb_views() SELECT comment WHERE NOT internal").fetchall()
        columns = connection.execute(
            "FROM duckdb_columns() SELECT table_name, column_name, data_type, comment WHERE NOT internal"
        ).fetchall()
    assert all("UTC" in comment for (comment,) in views)
    assert all(comment for *_, comment in columns)
    assert not [column for column in columns if "TIME ZONE" in column[2]]
    for name, schema in VIEWS.items():
        assert [column for view, column, *_ in columns if view == name] == schema.names


def test_views_need_no_extension(rich, tmp_path):
    """Computing with TIMESTAMPTZ needs `icu`, which some drivers cannot load. Casts between both types depend on it, too."""
    rich.write_views(tmp_path / "calls.duckdb")
    with duckdb.connect(str(tmp_path / "calls.duckdb"), read_only=True) as connection:
        views = connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    for view, sql in views:
        assert not re.search(r"make_timestamptz|time_bucket|date_trunc|strftime|AT TIME ZONE", sql), view
        assert not re.search(r"AS TIMESTAMP\)", sql), view


def test_file_has_the_oldest_storage_version(rich, tmp_path):
    """Version 64 is that of DuckDB 0.10 to 1.1; a BI tool with an older version than ours could not open a newer file."""
    rich.write_views(tmp_path / "calls.duckdb")
    header = (tmp_path / "calls.duckdb").read_bytes()[8:20]
    assert header[:4] == b"DUCK"
    assert int.from_bytes(header[4:], "little") == 64


def test_open_connection_sees_tables_that_had_no_file(store, tmp_path):
    store.write_views(tmp_path / "calls.duckdb")
    with duckdb.connect(str(tmp_path / "calls.duckdb"), read_only=True) as connection:

        def count(view: str) -> int:
            [(rows,)] = connection.execute(f"SELECT count(*) FROM {view}").fetchall()
            return rows

        assert {view: count(view) for view in (*TABLES, *VIEWS, "completeness")} == dict.fromkeys(
            (*TABLES, *VIEWS, "completeness"), 0
        )
        store_call(store, "c1")
        assert (count("calls"), count("metrics"), count("points")) == (1, 2 * SAMPLES, 0)
        store.writer.put("points", "p", points(), **PARTITION, pending=False)
        assert (count("points"), count("quality")) == (8, 2 * SAMPLES + 8)
        store.writer.compact(closed_before=NEXT)
        assert (count("calls"), count("quality"), count("completeness")) == (1, 2 * SAMPLES + 8, 1)
    assert store.counts() == {"calls": 1, "sessions": 3, "metrics": 2 * SAMPLES, "points": 8}


def test_view_shows_each_row_once_while_files_are_replaced(tmp_path):
    """A query returns all rows of whole calls, or an error about a missing file; it never counts a row twice."""
    store = open_store(tmp_path / "store", create=True, durable=False)
    file = tmp_path / "calls.duckdb"
    store.write_views(file)
    calls = 30
    for number in range(calls):
        store_call(store, f"c{number}")
    with start("reader_process.py", file, "views", calls, calls * 2 * SAMPLES) as reader:
        assert reader.stdout.readline() == "reading\n"
        store.writer.compact(closed_before=NEXT)
        store.write_views(file)
        output, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0, output
    assert sum(map(int, output.split())) > 0


def text_file(path: Path) -> None:
    path.write_text("my notes")


def own_database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE budgets AS SELECT 1 AS a")


def own_view(path: Path) -> None:
    open_store(path.parent / "store").write_views(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE VIEW worst AS FROM quality")


def own_macro(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE MACRO double(x) AS 2 * x")


@pytest.mark.parametrize("make", [text_file, own_database, own_view, own_macro, Path.mkdir])
def test_other_file_is_not_overwritten(store, tmp_path, make):
    path = tmp_path / "calls.duckdb"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InvalidRequest, match="give another path"):
        store.write_views(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert {each.name for each in tmp_path.iterdir()} == {"calls.duckdb", "store"}


def test_missing_folder_is_named(store, tmp_path):
    with pytest.raises(InvalidRequest, match="bi does not exist"):
        store.write_views(tmp_path / "bi" / "calls.duckdb")


def test_placeholder_that_cannot_be_written_is_an_error(store, tmp_path):
    (store.path / "_oints").write_text("in the way")
    with pytest.raises(StoreError, match="_oints"):
        store.write_views(tmp_path / "calls.duckdb")


def test_file_in_the_folder_of_the_store_does_not_disturb_it(store):
    store_call(store, "c1")
    file = store.path / "calls.duckdb"
    store.write_views(file)
    store.write_views(file)
    again = open_store(store.path, create=True)
    assert whole_calls_only(again) == 1
    assert again.writer.repair(APP, refetch_from=0, verify=True).files == ()
    assert len(again.writer.compact(closed_before=NEXT).compacted) == 1
    assert again.completeness().to_pylist() == store.completeness().to_pylist()
    assert (again.completeness().num_rows, again.counts()["calls"]) == (1, 1)
    (store.path / "_store.json").unlink()
    file.unlink()
    assert whole_calls_only(open_store(store.path, create=True)) == 1


def test_any_path_is_quoted_and_no_other_folder_is_read(tmp_path):
    store = open_store(tmp_path / "it's [a] *.store", create=True, durable=False)
    store_call(store, "c1")
    other = open_store(tmp_path / "it's a b.store", create=True, durable=False)
    store_call(other, "c2")
    (store.path / "old-calls").symlink_to(other.path / "calls")  # a backup, say
    moved = tmp_path / "disk"
    (store.path / "metrics").rename(moved)
    (store.path / "metrics").symlink_to(moved)
    file = tmp_path / "it's.duckdb"
    store.write_views(file)
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("SELECT call_id FROM calls").fetchall() == [("c1",)]
        assert connection.execute("SELECT count(*) FROM quality").fetchall() == [(2 * SAMPLES,)]
    with duckdb.connect() as connection:  # as MotherDuck and some tools do
        connection.execute(
            "ATTACH ? AS it (READ_ONLY)".replace("?", "'" + str(file).replace("'", "''") + "'")
        )
        assert connection.execute("SELECT count(*) FROM it.quality").fetchall() == [(2 * SAMPLES,)]


def test_condition_on_the_day_reads_the_files_of_that_day(rich, tmp_path):
    rich.write_views(tmp_path / "calls.duckdb")
    with duckdb.connect(str(tmp_path / "calls.duckdb"), read_only=True) as connection:
        for view in ("metrics", "quality", "quality_hours", "interval_scores"):
            query = f"EXPLAIN (ANALYZE, FORMAT json) FROM {view} WHERE day = '{NEXT}'"
            [(_, plan)] = connection.execute(query).fetchall()
            assert "File Filters" in plan, view
