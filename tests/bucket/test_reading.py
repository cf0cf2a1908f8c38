"""Reading a store in a bucket: SQL, its sandbox, other readers of Delta tables, and counts."""

from concurrent.futures import ThreadPoolExecutor

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from agora_analytics.errors import ConfigurationError, InvalidRequest, StoreError, StoreVersionError
from agora_analytics.schemas import TABLES, VIEWS, table_schema
from agora_analytics.store import open_store
from agora_analytics.store.bucket.bucket_store import open_bucket
from agora_analytics.store.bucket.delta_tables import DeltaTables
from tests.bucket.sample_calls import DAY, PARTITION, calls_seen, reopened
from tests.store.sample_calls import POINT, SAMPLES


@pytest.fixture
def filled(sample):
    sample.add("c1", "c2")
    sample.add("late", finished=False)
    sample.store.writer.put("points", "meeting", POINT, pending=False, **PARTITION)
    sample.store.writer.commit()
    return sample.store


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_the_schema_of_a_folder(filled, table):
    rows = filled.table(table)
    assert rows.schema.equals(table_schema(table))
    assert rows.num_rows == filled.counts()[table] > 0


def test_empty_store_has_all_tables(store):
    assert store.counts() == dict.fromkeys(TABLES, 0)
    assert store.sql("select count(*) from quality").fetchall() == [(0,)]
    assert store.completeness().num_rows == 0


def test_sql_types_are_those_of_a_folder(filled, tmp_path):
    folder = open_store(tmp_path / "folder", create=True, durable=False)
    for view in (*TABLES, *VIEWS):
        described = [store.sql(f"describe {view}").fetchall() for store in (filled, folder)]
        assert described[0] == described[1]
        assert list(filled.tables[view].names) == [row[0] for row in described[0]]


def test_relation_keeps_its_snapshot(filled, sample):
    relation = filled.sql("select count(*) from metrics")
    before = relation.fetchall()
    sample.add("c9")
    filled.writer.commit()
    assert relation.fetchall() == before == [(6 * SAMPLES,)]


@pytest.mark.parametrize("table", TABLES)
def test_call_that_is_committed_during_a_read_is_seen_with_its_samples(sample, table, monkeypatch):
    """A publisher commits, and a compaction merges the day, after the reader has loaded one of the tables."""
    sample.add("c1")
    sample.store.writer.commit()
    sample.add("c2")
    load = DeltaTables.load

    def load_and_commit(tables, name):
        delta = load(tables, name)
        if name == table:
            with monkeypatch.context() as unpatched:
                unpatched.setattr(DeltaTables, "load", load)
                other = reopened(sample.store).writer
                other.commit()
                other.compact(closed_before="2026-11-21")
        return delta

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTables, "load", load_and_commit)
        seen = calls_seen(sample.store._snapshot())
    assert seen == {call_id: sample.truth[call_id] for call_id in seen}
    sample.assert_exact()


def test_dataset_filters_by_partition(filled):
    import pyarrow.compute as pc

    dataset = filled.dataset("metrics")
    assert dataset.count_rows(filter=pc.field("app_id") == "other") == 0
    assert dataset.count_rows(filter=pc.field("app_id") == PARTITION["app_id"]) == 6 * SAMPLES


def test_completeness_counts_what_is_left(filled, sample):
    (row,) = filled.completeness().to_pylist()
    assert (row["calls"], row["ongoing"], row["pending"], row["complete"]) == (3, 1, 0, False)
    sample.add("late", units=3)
    (row,) = filled.completeness().to_pylist()
    assert (row["calls"], row["ongoing"], row["pending"], row["complete"]) == (3, 1, 2, False)
    filled.writer.commit()
    (row,) = filled.completeness().to_pylist()
    assert (row["calls"], row["ongoing"], row["pending"], row["complete"]) == (3, 0, 0, True)


@pytest.mark.parametrize("compacted", [False, True])
def test_other_delta_readers_see_the_same_rows(filled, compacted):
    if compacted:
        assert filled.writer.compact(closed_before="2026-11-21", calls_expired_before=2**32).compacted
    for table, rows in filled.counts().items():
        url = f"{filled.url}/{table}"
        assert DeltaTable(url).to_pyarrow_table().num_rows == rows
        assert pl.scan_delta(url).collect().height == rows


@pytest.mark.parametrize(
    "query",
    [
        "from read_text('/etc/passwd')",
        "from glob('/etc/*')",
        "from read_parquet('s3://another/x.parquet')",
        "from read_csv('https://example.com/x.csv')",
        "from duckdb_secrets()",
    ],
)
def test_sandbox_reads_nothing_but_the_store(filled, query):
    with pytest.raises(InvalidRequest):
        filled.sql(query, allow=[]).fetchall()
    assert filled.sql("select count(*) from calls", allow=[]).fetchall() == [(3,)]


def test_sandbox_reads_allowed_folders(filled, tmp_path):
    (tmp_path / "names.csv").write_text("call_id\nc1\n")
    query = f"select count(*) from calls join read_csv('{tmp_path}/names.csv') using (call_id)"
    assert filled.sql(query, allow=[tmp_path]).fetchall() == [(1,)]
    with pytest.raises(InvalidRequest, match="it is not a folder"):
        filled.sql(query, allow=[tmp_path / "missing"])


@pytest.mark.parametrize(
    "query", ["selekt", "select nothing from calls", "drop view calls", "select 1; select 2"]
)
def test_wrong_query_is_refused(filled, query):
    with pytest.raises(InvalidRequest):
        filled.sql(query).fetchall()


def test_missing_file_is_an_error_and_not_fewer_rows(filled):
    key = next(key for key in filled._objects.list("metrics") if "c1." in key)
    filled._objects.delete([key])
    with pytest.raises(StoreError, match="cannot read"):
        filled.table("metrics")
    with pytest.raises((StoreError, duckdb.Error)):
        filled.sql("select sum(value) from metrics").fetchall()


def test_store_that_does_not_exist_is_an_error(location):
    with pytest.raises(StoreError, match="does not exist"):
        open_bucket(location)


def test_store_that_several_processes_create_has_all_tables(location):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_bucket(location, create=True), range(4)))
    assert all(store.counts() == dict.fromkeys(TABLES, 0) for store in stores)


def test_other_format_version_is_refused(store):
    store._objects.put("_store.json", b'{"format": 99, "created_by": "agora-analytics 9.9"}')
    with pytest.raises(StoreVersionError, match="upgrade agora-analytics"):
        reopened(store)


@pytest.mark.parametrize("table", ["nothing", "../calls"])
def test_unknown_table_is_refused(store, table):
    for method in (store.table, store.dataset, store.files):
        with pytest.raises(StoreError, match="there is no table"):
            method(table)


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "agora_analytics.store.bucket.bucket_store", None)
    with pytest.raises(ConfigurationError, match=r"agora-analytics\[bucket\]"):
        open_store("s3://bucket/calls")


def test_points_of_a_unit_are_replaced(store):
    writer = store.writer
    for value in (1.0, 2.0):
        rows = POINT.set_column(8, "value", pa.array([value]))
        writer.put("points", "meeting", rows, pending=False, **PARTITION)
        writer.put("points", f"other-{value}", rows, pending=False, **PARTITION)
        assert reopened(store).writer.read("points", "meeting", pending=False, **PARTITION)[
            "value"
        ].to_pylist() == [value]
        writer.commit()
        assert reopened(store).writer.read("points", "meeting", pending=False, **PARTITION)[
            "value"
        ].to_pylist() == [value]
    assert sorted(store.table("points")["value"].to_pylist()) == [1.0, 2.0, 2.0]
    writer.compact(closed_before="2026-11-21")
    writer.put("points", "meeting", POINT.slice(0, 0), pending=False, **PARTITION)
    writer.commit()
    assert sorted(store.table("points")["value"].to_pylist()) == [1.0, 2.0]
    units = reopened(store).writer.units(PARTITION["app_id"])
    assert units.live["points"] == dict.fromkeys(["meeting", "other-1.0", "other-2.0"], DAY)
    assert reopened(store).writer.read("points", "meeting", pending=False, **PARTITION).num_rows == 0
