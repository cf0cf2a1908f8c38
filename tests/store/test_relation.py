"""What `sql` returns: DuckDB's relation, its lifetime, its sandbox, and pandas and polars on top of it."""

import gc
import re
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import islice

import duckdb
import pyarrow as pa
import pytest

from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, StoreDamaged
from agora_analytics.schemas import TABLES, VIEWS
from agora_analytics.store import duckdb_connection, open_store, query
from agora_analytics.store.layout import Layout
from agora_analytics.store.query_errors import duckdb_error, translate_query_errors
from agora_analytics.store.views import create_views, queries

from .sample_calls import APP, DAY, POINT, SAMPLES, metrics, store_call

COUNT = "select count(*) from metrics"


@pytest.fixture
def filled(store):
    store_call(store, "c1")
    store_call(store, "c2", day="2026-11-21")
    store.writer.put("points", "m", POINT, app_id=APP, day=DAY, pending=False)
    return store


@pytest.fixture
def connections(monkeypatch):
    """Weak references to the connections that are opened."""
    opened, connect = [], duckdb_connection.connect

    def watched():
        connection = connect()
        opened.append(weakref.ref(connection))
        return connection

    monkeypatch.setattr(duckdb_connection, "connect", watched)
    return opened


@pytest.mark.parametrize("allow", [None, []])
def test_sql_returns_the_relation_of_duckdb(filled, allow):
    relation = filled.sql("select call_id, count(*) as n from metrics group by all order by all", allow=allow)
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    rows = [("c1", 2 * SAMPLES), ("c2", 2 * SAMPLES)]
    assert relation.fetchall() == relation.fetchall() == rows
    assert relation.columns == ["call_id", "n"]
    assert len(relation) == 2
    assert relation.filter("call_id = 'c1'").aggregate("sum(n)").fetchall() == [(2 * SAMPLES,)]
    assert relation.to_arrow_table().to_pylist() == [{"call_id": name, "n": n} for name, n in rows]
    assert pa.table(relation)["n"].to_pylist() == [2 * SAMPLES] * 2
    assert "c1" in str(relation)
    assert "call_id" in repr(relation)


@pytest.mark.parametrize("allow", [None, []])
def test_relation_and_what_is_derived_from_it_outlive_the_store(tmp_path, allow, connections):
    def relation():
        store = open_store(tmp_path / "store", create=True)
        store_call(store, "c1")
        return store.sql("select * from metrics", allow=allow)

    derived = relation().filter("value is not null").aggregate("count(*)")
    gc.collect()
    assert derived.fetchall() == [(2 * SAMPLES * 9 // 10,)]
    reader = relation().to_arrow_reader(7)
    gc.collect()
    assert reader.read_all().num_rows == 2 * SAMPLES
    del derived, reader
    gc.collect()
    assert {connection() for connection in connections} == {None}


def test_refused_statement_closes_its_connection(filled, connections):
    with pytest.raises(InvalidRequest):
        filled.sql("drop view calls")
    with pytest.raises(InvalidRequest):
        filled.sql("select nothing from calls")
    gc.collect()
    assert {connection() for connection in connections} == {None}


def test_each_relation_has_its_own_connection(filled):
    first, second = filled.sql(COUNT), filled.sql(COUNT)
    reader = first.to_arrow_reader()
    assert second.fetchall() == [(4 * SAMPLES,)]
    assert reader.read_all().num_rows == 1
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: filled.sql(COUNT).fetchall(), range(8)))
    assert rows == [[(4 * SAMPLES,)]] * 8


def test_relation_lists_the_files_again_each_time_it_is_read(filled):
    relation = filled.sql("select call_id, count(*) from metrics group by all order by all")
    before = relation.fetchall()
    assert filled.writer.compact(closed_before="2027-01-01").compacted
    assert relation.fetchall() == before
    store_call(filled, "c3", day="2027-01-02")
    assert [call for call, _ in relation.fetchall()] == ["c1", "c2", "c3"]


def test_file_that_a_compaction_replaces_is_listed_again_before_the_first_row(filled, monkeypatch):
    made, list_files = [], query.queries

    def compacted_meanwhile(layout):
        made.append(list_files(layout))
        if len(made) == 1:
            raise duckdb.IOException(f'Cannot open file "{layout.folder}/metrics/x": No such file')
        return made[-1]

    monkeypatch.setattr(query, "queries", compacted_meanwhile)
    assert filled.sql(COUNT).fetchall() == [(4 * SAMPLES,)]
    assert len(made) == 2


@pytest.mark.parametrize(
    "text",
    [
        "select * from (select '{}' as f) t, lateral (select * from read_text(t.f))",
        "select * from read_text((select '{}'))",
        "with f as materialized (select '{}' as f) select (select content from read_text(getvariable('x'))) from f",
        "select * from read_csv(['{}'])",
        "select * from glob('{}*')",
    ],
)
def test_file_outside_is_not_readable_when_the_rows_are_read(filled, tmp_path, text):
    (tmp_path / "secret.txt").write_text("the secret")
    with pytest.raises((AgoraAnalyticsError, duckdb.Error)) as caught:
        filled.sql(text.format(tmp_path / "secret.txt"), allow=[]).fetchall()
    assert "the secret" not in str(caught.value)


def test_sandbox_is_locked_before_the_relation_is_returned(filled, tmp_path):
    relation = filled.sql("select 1 as a", allow=[])
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for attempt in (
        "set enable_external_access = true",
        f"from '{tmp_path}/secret.csv'",
        f"copy (from r) to '{tmp_path}/copy.csv'",
        "install httpfs",
    ):
        with pytest.raises(duckdb.Error):
            relation.query("r", attempt)
    with pytest.raises(duckdb.Error):
        relation.to_csv(str(tmp_path / "copy.csv"))
    assert not (tmp_path / "copy.csv").exists()


def test_nothing_runs_until_the_rows_are_read(filled):
    """The statement would take hours."""
    relation = filled.sql(
        "select sum(sqrt(a.range * b.range)) from range(1_000_000_000) a, range(1_000_000) b"
    )
    assert len(relation.columns) == 1


def test_rows_stream(filled):
    """The rows of the query would take 8 TB."""
    schema, tables = query.stream(Layout(filled.path), "select * from range(1_000_000_000_000) t(n)", [])
    assert schema.names == ["n"]
    assert [table.num_rows > 0 for table in islice(tables, 3)] == [True] * 3
    tables.close()


@pytest.mark.parametrize(
    ("bad", "match"),
    [("error('boom')::int", "boom"), ("('x' || n)::int", "Could not convert string 'x3000000'")],
)
def test_error_after_the_first_rows_is_an_error_of_the_query(filled, bad, match):
    """An Arrow stream reports it as text only."""
    text = f"select case when n < 3_000_000 then n else {bad} end as n from range(4_000_000) t(n)"
    _, tables = query.stream(Layout(filled.path), text, [])
    assert next(tables).num_rows > 0
    with pytest.raises(InvalidRequest, match=match) as caught:
        deque(tables, maxlen=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("IO Error: Cannot open file", duckdb.IOException),
        ("Out of Memory Error: failed to allocate", duckdb.OutOfMemoryException),
        ("Invalid Input Error: no magic bytes", duckdb.InvalidInputException),
        ("Permission Error: Cannot access file", duckdb.PermissionException),
        ("TProtocolException: invalid data", duckdb.Error),
        ("", duckdb.Error),
    ],
)
def test_error_of_an_arrow_stream_gets_the_class_of_duckdb(message, kind):
    assert type(duckdb_error(message)) is kind


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # DuckDB 1.5 with pandas 3
@pytest.mark.parametrize("allow", [None, []])
def test_pandas_reads_the_relation(filled, allow):
    pytest.importorskip("pandas")
    frame = filled.sql(
        "select uid, join_ts, roles from sessions where call_id = 'c1' order by uid", allow=allow
    ).df()
    assert list(frame.columns) == ["uid", "join_ts", "roles"]
    assert frame["uid"].tolist() == [str(2**40 + i) for i in range(3)]
    assert str(frame["join_ts"].dtype).endswith("UTC]")
    assert frame["join_ts"].iloc[1].isoformat() == "2026-11-20T08:00:01+00:00"
    assert list(frame["roles"].iloc[0]) == ["host", "audience"]


@pytest.mark.parametrize("allow", [None, []])
def test_polars_reads_the_relation(filled, allow):
    polars = pytest.importorskip("polars")
    relation = filled.sql("select metric, unit, ts, value from metrics order by all", allow=allow)
    frame = relation.pl()
    assert frame.columns == ["metric", "unit", "ts", "value"]
    assert frame["metric"].unique().to_list() == ["audio_send_bitrate"]
    assert frame.schema["ts"].time_zone == "UTC"
    assert polars.DataFrame(relation).equals(frame)


def test_polars_scans_the_folder(filled):
    polars = pytest.importorskip("polars")
    lazy = polars.scan_parquet(f"{filled.path}/metrics/**/*.parquet", hive_partitioning=True)
    rows = lazy.filter(polars.col("mid") == 20003).group_by("call_id").len().sort("call_id").collect()
    assert rows.to_dicts() == [{"call_id": name, "len": 2 * SAMPLES} for name in ("c1", "c2")]
    days = lazy.select(polars.col("day").cast(polars.String).unique().sort()).collect()
    assert days["day"].to_list() == ["2026-11-20", "2026-11-21"]


@pytest.mark.parametrize("table", [*TABLES, *VIEWS])
def test_views_have_the_documented_columns_with_comments(filled, table):
    schema = filled.tables[table]
    assert filled.sql(f"from {table}").columns == schema.names
    comments = filled.sql(
        f"select column_name, comment from duckdb_columns() where table_name = '{table}'", allow=[]
    )
    assert dict(comments.fetchall()) == {
        column.name: column.metadata[b"description"].decode() for column in schema
    }
    (comment,) = filled.sql(f"select comment from duckdb_views() where view_name = '{table}'").fetchall()
    assert comment[0].endswith(".")


def test_empty_views_have_the_types_of_full_ones(store, filled, tmp_path):
    empty = open_store(tmp_path / "empty", create=True)
    for table in (*TABLES, *VIEWS):
        assert empty.sql(f"from {table}").types == filled.sql(f"from {table}").types


def test_url_that_cannot_be_read_is_an_error_of_the_query(filled):
    """DuckDB reads URLs with an extension, which may not be installed."""
    with pytest.raises(InvalidRequest, match="cannot read a file that the query names: ") as caught:
        filled.sql("from 'https://127.0.0.1:9/x.parquet'")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [duckdb.HTTPException, duckdb.IOException])
def test_failed_download_is_an_error_of_the_query(filled, kind):
    with (
        pytest.raises(InvalidRequest, match=r"cannot read a file that the query names: .*HEAD"),
        translate_query_errors(Layout(filled.path)),
    ):
        raise kind("Could not establish connection error for HTTP HEAD to 'https://example.com/x.parquet'")


def test_folder_to_allow_is_not_taken_apart(filled):
    with pytest.raises(InvalidRequest, match=r"^allow='//' is a string; pass a list, \['//'\]$"):
        filled.sql("select 1", allow="//")


def test_store_shows_what_it_contains(filled, tmp_path):
    assert repr(filled) == (
        f"<ParquetStore {filled.path}; 2 calls, 6 sessions, 160 metrics, 1 points; agora, opentok; "
        "2026-11-20 to 2026-11-21>"
    )
    html = filled._repr_html_()
    assert "<th>rows</th><td>2 calls, 6 sessions, 160 metrics, 1 points</td>" in html
    assert "<th>vendors</th><td>agora, opentok</td>" in html
    assert "<th>days</th><td>2026-11-20 to 2026-11-21</td>" in html
    empty = open_store(tmp_path / "a<b>", create=True)
    assert repr(empty) == f"<ParquetStore {empty.path}; empty>"
    assert "a&lt;b&gt;" in empty._repr_html_()


def test_store_of_many_files_or_with_a_damaged_file_shows_the_number_of_files(filled, monkeypatch):
    shown = "; files: 2 calls, 2 sessions, 4 metrics, 1 points; 2026-11-20 to 2026-11-21>"
    filled.files("calls")[0].write_bytes(b"nothing")
    assert repr(filled).endswith(shown)
    monkeypatch.setattr("agora_analytics.store.overview._MOST_FILES", 3)
    assert repr(filled).endswith(shown)
    assert "<th>files</th><td>2 calls, 2 sessions, 4 metrics, 1 points</td>" in filled._repr_html_()


@pytest.mark.parametrize("letter", [b"X", b"\xff"])
def test_damaged_name_of_a_column_is_not_an_error_of_the_query(filled, letter):
    """DuckDB does not find the column, or cannot decode the text of its own error."""
    (path,) = filled.files("points")
    path.write_bytes(path.read_bytes().replace(b"source_metric", b"source_metri" + letter))
    for read in (filled.counts, filled.completeness, lambda: filled.sql("select 1")):
        with pytest.raises(StoreDamaged, match=re.escape(f"cannot read {path}: ")):
            read()
    assert "; files: 2 calls, " in repr(filled)
    assert "<th>files</th>" in filled._repr_html_()


def test_completeness_of_each_day(store):
    assert store.completeness().num_rows == 0
    store_call(store, "c1")
    store_call(store, "c2")
    store_call(store, "c3", day="2026-11-21", finished=False)
    store.writer.put("metrics", "c4.0", metrics("c4"), app_id="a b", day="2026-11-22", pending=True)
    store.writer.put("points", "m", POINT, app_id=APP, day="2026-11-23", pending=False)
    rows = store.completeness()
    assert rows.column_names == ["app_id", "day", "calls", "ongoing", "pending", "complete"]
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        (APP, date(2026, 11, 20), 2, 0, 0, True),
        (APP, date(2026, 11, 21), 1, 1, 0, False),
        (APP, date(2026, 11, 23), 0, 0, 0, True),
        ("a b", date(2026, 11, 22), 0, 0, 1, False),
    ]


def test_store_has_the_names_that_a_reader_uses(filled):
    names = {name for name in dir(filled) if not name.startswith("_")}
    documented = {
        "completeness",
        "counts",
        "dataset",
        "files",
        "path",
        "sql",
        "table",
        "tables",
        "write_views",
    }
    assert names == documented | {"writer"}


@pytest.mark.parametrize("text", ["select 1", "from duckdb_views()"])
def test_only_queries_of_the_catalog_pay_for_comments(filled, text):
    with duckdb_connection.connect() as connection:
        create_views(connection, queries(Layout(filled.path)), text)
        ((commented,),) = connection.sql("select count(comment) from duckdb_columns()").fetchall()
    assert bool(commented) == (text != "select 1")
