"""Reading a store: SQL, Arrow tables, datasets, and other tools that read Parquet."""

import shutil
from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.schemas import CALL_TABLES, TABLES, table_schema
from agora_analytics.store import open_store
from tests.conftest import slow

from .sample_calls import APP, CREATED, DAY, POINT, SAMPLES, SESSIONS, store_call


@pytest.fixture
def filled(store):
    store_call(store, "c1")
    store_call(store, "c2", day="2026-11-21")
    store_call(store, "c3", app_id="123")
    return store


@pytest.mark.parametrize("table", CALL_TABLES)
def test_table_has_its_documented_schema(filled, table):
    rows = filled.table(table)
    assert rows.schema.equals(table_schema(table))
    assert rows.num_rows == filled.counts()[table]
    assert set(rows.column("app_id").to_pylist()) == {APP, "123"}
    assert set(rows.column("day").to_pylist()) == {date(2026, 11, 20), date(2026, 11, 21)}


@pytest.mark.parametrize("table", TABLES)
def test_empty_table_has_its_columns(store, table):
    assert store.table(table).schema.equals(table_schema(table))
    empty = store.sql(f"select * from {table}").to_arrow_table()
    store_call(store, "c")
    store.writer.put("points", "p", POINT, app_id=APP, day="2026-11-20", pending=False)
    assert empty.schema.equals(store.sql(f"select * from {table}").to_arrow_table().schema)
    assert empty.num_rows == 0


def test_sql_joins_tables_and_returns_utc(filled):
    result = filled.sql(
        "select c.call_id, c.created_ts, count(*) n from calls c join metrics m using (app_id, call_id) "
        "where c.day = '2026-11-21' group by all"
    )
    assert result.columns == ["call_id", "created_ts", "n"]
    assert result.fetchall() == [("c2", datetime.fromtimestamp(CREATED, UTC), 2 * SAMPLES)]
    assert filled.sql("select hour(created_ts) from calls limit 1").fetchall() == [(8,)]
    assert filled.sql("select 1 a, 2 a").fetchall() == [(1, 2)]


@pytest.mark.parametrize(
    "query", ["describe calls", "show tables", "summarize sessions", "explain select 1", "from calls"]
)
def test_statement_that_reads_is_accepted(filled, query):
    assert filled.sql(query).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "", "select 1; select 2", "drop view calls", "copy calls to '/tmp/x.csv'", "create table t as select 1",
        "attach '/tmp/x.db'", "set threads = 1", "install httpfs", "insert into calls values (1)",
    ],
)  # fmt: skip
def test_statement_that_writes_is_refused(filled, query):
    with pytest.raises(InvalidRequest, match="one query that reads"):
        filled.sql(query)


@pytest.mark.parametrize(
    "query",
    ["selec 1", "select nothing from calls", "select * from users"],
)
def test_error_of_a_wrong_query_is_one_line(filled, query):
    with pytest.raises(InvalidRequest, match="the query is wrong") as caught:
        filled.sql(query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("query", ["select 'x'::int", "select strptime('a', '%Y')"])
def test_value_that_cannot_be_converted_is_an_error_when_the_rows_are_read(filled, query):
    relation = filled.sql(query)
    with pytest.raises(duckdb.Error):
        relation.fetchall()


def test_dataset_filters_and_streams(filled):
    metrics = filled.dataset("metrics")
    assert metrics.count_rows(filter=ds.field("day") == date(2026, 11, 20)) == 4 * SAMPLES
    assert sum(batch.num_rows for batch in metrics.to_batches(columns=["value"])) == 6 * SAMPLES


def test_duckdb_reads_the_folder_directly(filled):
    glob = f"{filled.path}/sessions/**/*.parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select count(*), min(app_id::text), max(day)::text from '{glob}'"
        ).fetchall()
    assert rows == [(3 * SESSIONS, APP, "2026-11-21")] or rows == [(3 * SESSIONS, "123", "2026-11-21")]


def test_pyarrow_reads_the_folder_directly(filled):
    rows = pq.read_table(filled.path / "metrics")
    assert rows.num_rows == 6 * SAMPLES
    assert rows.schema.field("call_id").type == pa.string()
    whole = ds.dataset(filled.path / "calls", partitioning="hive").to_table()
    assert sorted(whole.column("call_id").to_pylist()) == ["c1", "c2", "c3"]


def test_folder_name_may_contain_any_character(tmp_path):
    store = open_store(tmp_path / "it's [a] *strange* day=1999-01-01 {name}?", create=True)
    store_call(store, "c/1 ü")
    assert store.counts() == {"calls": 1, "sessions": SESSIONS, "metrics": 2 * SAMPLES, "points": 0}
    assert store.writer.calls(APP).column("day").to_pylist() == [date.fromisoformat(DAY)]
    assert store.table("calls").column("day").to_pylist() == [date.fromisoformat(DAY)]


@pytest.mark.parametrize(
    "parent", ["day=2020-01-01", *map(slow, ("app_id=archive", "vendor=lake", "value=7", "call_id=x"))]
)
def test_store_below_a_key_value_folder_returns_the_same_rows(tmp_path, parent):
    plain = open_store(tmp_path / "plain", create=True)
    store_call(plain, "c")
    plain.writer.put("points", "m", POINT, app_id=APP, day=DAY, pending=False)
    shutil.copytree(plain.path, tmp_path / parent / "store")
    below = open_store(tmp_path / parent / "store")
    for table in TABLES:
        query = f"from {table} order by all"
        assert below.sql(query).to_arrow_table() == plain.sql(query).to_arrow_table()
    quality = "from quality order by all"
    assert below.sql(quality).fetchall() == plain.sql(quality).fetchall()
    assert below.writer.calls(APP) == plain.writer.calls(APP)


def test_condition_on_a_day_reads_the_files_of_the_day_only(filled):
    for table in ("calls", "metrics"):
        for path in filled.files(table):
            if "day=2026-11-21" in str(path):
                path.write_bytes(b"")
    assert filled.sql(f"select count(*) from calls where day = '{DAY}'").fetchall() == [(2,)]
    named = filled.sql(f"select metric, count(value) > 0 from metrics where day = '{DAY}' group by all")
    assert named.fetchall() == [("audio_send_bitrate", True)]


@pytest.mark.parametrize("app_id", ["0123", "a b/c", "ü", "007e1", "null", "_a", "x%41"])
def test_app_id_is_returned_unchanged(store, app_id):
    store_call(store, "c", app_id=app_id)
    assert store.writer.calls(app_id).column("app_id").to_pylist() == [app_id]
    assert store.table("calls").column("app_id").to_pylist() == [app_id]
    assert store.sql("select app_id from calls").fetchall() == [(app_id,)]


def test_query_without_a_sandbox_reads_files_of_the_caller(filled, tmp_path):
    (tmp_path / "customers.csv").write_text("call_id,customer\nc1,Ms Ito\n")
    query = f"select customer from calls join '{tmp_path}/customers.csv' using (call_id)"
    assert filled.sql(query).fetchall() == [("Ms Ito",)]
    assert filled.sql(query, allow=[tmp_path]).fetchall() == [("Ms Ito",)]
    with pytest.raises(InvalidRequest, match=r"cannot read .*customers\.csv"):
        filled.sql(query, allow=[])


@pytest.mark.parametrize("allow", [None, []])
@pytest.mark.parametrize(
    "query", ["explain analyze copy calls to '{}'", "with t as (copy calls to '{}') from t"]
)
def test_query_never_writes(filled, tmp_path, query, allow):
    with pytest.raises(InvalidRequest):
        filled.sql(query.format(tmp_path / "x.csv"), allow=allow)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("query", ["select '\ud800'", "select 1\0; drop view calls"])
def test_query_that_is_not_unicode_is_refused(filled, query):
    with pytest.raises(InvalidRequest, match="not valid Unicode"):
        filled.sql(query)


def test_query_that_is_nested_deeply_is_refused(filled):
    with pytest.raises(InvalidRequest):
        filled.sql("select " + "(" * 50_000 + "1" + ")" * 50_000)
