"""Listings, pages, rows and lists of records as Arrow tables, in pandas, polars and DuckDB."""

import math
import pickle
from array import array
from datetime import UTC, datetime
from importlib import import_module

import pytest

from agora_analytics import Call, ConfigurationError, Page, Point, Records, Rows, Series
from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.core.columns import columns_of_series
from agora_analytics.engine.pages import Meta
from tests.agora.harness import SINCE, UNTIL, make_harness

for module in ("starlette", "numpy", "pyarrow"):
    pytest.importorskip(module)
pa = pytest.importorskip("pyarrow")
META = Meta(status=200, request_id="r", host="https://api.example.com", attempts=1, elapsed=0.25)


@pytest.fixture(scope="module")
def data():
    """Return results of every kind, by name, and the Arrow table that each must be."""

    async def job(client):
        calls = client.calls(SINCE, UNTIL, page_size=15)
        (call, *_) = collected = await calls.collect()
        rows = await client.insights.usage(["userCount", "totalDuration"], "3d")
        series = await client.metrics(call).collect()
        results = {
            "calls": (collected, await calls.to_arrow()),
            "sessions": (await client.sessions(call).collect(), await client.sessions(call).to_arrow()),
            "series": (series, await client.metrics(call).to_arrow()),
            "rows": (rows, rows.to_arrow()),
            "quota": (quota := await client.quota(), quota.to_arrow()),
        }
        pages = [page async for page in calls.pages()]
        results["page"] = pages[1], (await calls.to_arrow()).slice(15, 15)
        (metrics,) = [page async for page in client.metrics(call).pages()]
        results["page of metrics"] = metrics, await client.metrics(call).to_arrow()
        frames = await calls.to_pandas(), await calls.to_polars()
        return results, frames

    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    return make_harness().run(job)


NAMES = ["calls", "sessions", "series", "rows", "quota", "page", "page of metrics"]


@pytest.mark.parametrize("name", NAMES)
def test_table_of_what_is_in_memory_is_the_table_of_the_listing(data, name):
    result, table = data[0][name]
    assert table.num_rows > 0
    assert result.to_arrow().equals(table)
    assert pa.RecordBatchReader.from_stream(result).read_all().equals(table)
    if not isinstance(result, list):  # pyarrow takes a list for a list of columns
        assert pa.table(result).equals(table)
    assert pickle.loads(pickle.dumps(result)).to_arrow().equals(table)


@pytest.mark.parametrize("name", NAMES)
def test_frames_have_the_columns_and_rows_of_the_table(data, name):
    import polars as pl

    result, table = data[0][name]
    pandas, polars = result.to_pandas(), result.to_polars()
    assert list(pandas.columns) == polars.columns == table.column_names
    assert len(pandas) == polars.height == table.num_rows
    assert polars.equals(pl.from_arrow(table))


def test_frames_of_a_listing_are_those_of_its_records(data):
    (results, (pandas, polars)) = data
    calls, _ = results["calls"]
    assert pandas.equals(calls.to_pandas())
    assert polars.equals(calls.to_polars())
    assert pandas["call_id"].tolist() == [call.call_id for call in calls]


def test_pandas_has_aware_times_nullable_integers_and_categories(data):
    results, (calls, _) = data
    assert str(calls.dtypes["created_ts"]) == "datetime64[s, UTC]"
    assert str(calls.dtypes["call_pcu"]) == "Int64"
    assert str(calls.dtypes["finished"]) == "boolean"
    assert calls["created_ts"][0].to_pydatetime() == results["calls"][0][0].created_at
    samples = results["series"][0].to_pandas()
    for name in ("call_id", "sid", "metric", "unit", "peer_uid"):
        assert str(samples.dtypes[name]) == "category"
    assert str(samples.dtypes["ts"]) == "datetime64[s, UTC]"
    assert str(results["quota"][0].to_pandas().dtypes["opens_at"]) == "datetime64[ms, UTC]"


def test_pandas_keeps_large_integers_beside_nulls():
    pytest.importorskip("pandas")
    from agora_analytics.agora.arrow import calls_table

    calls = Records(
        [
            Call(call_id=str(n), cname="", created_ts=1, destroyed_ts=2, finished=True, call_pcu=pcu)
            for n, pcu in enumerate((2**53 + 1, None))
        ],
        table=calls_table,
    )
    assert calls.to_pandas()["call_pcu"][0] == 2**53 + 1
    assert calls.to_pandas()["call_pcu"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["rows", "page", "page of metrics"])
def test_duckdb_and_polars_read_a_result_by_its_arrow_stream(data, name):
    duckdb = pytest.importorskip("duckdb")
    import polars as pl

    result, table = data[0][name]
    columns = ", ".join(table.column_names)
    assert duckdb.sql(f"select {columns} from result").fetchall() == duckdb.from_arrow(table).fetchall()
    if not isinstance(result, Rows):  # polars takes a sequence for a list of values
        assert pl.DataFrame(result).equals(pl.from_arrow(table))


def test_duckdb_aggregates_rows(data):
    duckdb = pytest.importorskip("duckdb")
    rows, _ = data[0]["rows"]
    sums = dict(duckdb.sql("select metric, sum(value) from rows group by all").fetchall())
    assert sums == {
        metric: sum(row.value for row in rows if row.metric == metric)
        for metric in ("userCount", "totalDuration")
    }


def test_blocking_listing_is_a_frame_and_an_arrow_stream():
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    from time import time

    from agora_analytics.blocking import Agora
    from agora_analytics.simulator import Simulator, World, serve_in_thread
    from tests.conftest import CUSTOMER, SECRET

    now = int(time())
    world = World.generate(since=now - 3 * 3600, until=now - 2 * 3600, calls=5, simple=True)
    with (
        serve_in_thread(Simulator(world)) as url,
        Agora(CUSTOMER, SECRET, app_id=world.app_id, plan="enterprise", base_url=url) as client,
    ):
        calls = client.calls("5h")
        assert repr(calls) == (
            "<Pages of calls('5h'): nothing requested yet; iterate with `for`, or call .collect(), .to_arrow(), "
            ".to_pandas() or .to_polars()>"
        )
        assert client.sent == {}
        (count,) = duckdb.sql("select count(*) from calls").fetchall()
        ids = {call.call_id for call in world.calls}
        assert count == (5,)
        assert set(calls.to_pandas()["call_id"]) == set(calls.to_polars()["call_id"]) == ids
        assert set(pa.table(calls)["call_id"].to_pylist()) == ids


# --- names and units


def test_samples_have_the_name_and_unit_of_each_metric(data):
    _, table = data[0]["series"]
    assert (
        table.schema.field("metric").type
        == table.schema.field("unit").type
        == pa.dictionary(pa.int32(), pa.string())
    )
    seen = {
        (row["mid"], row["metric"], row["unit"])
        for row in table.select(["mid", "metric", "unit"]).to_pylist()
    }
    assert (20018, "video_end_to_end_loss", "%") in seen
    assert (20099, "mid_20099", "") in seen
    assert seen == {
        (
            mid,
            METRIC_IDS[mid].name if mid in METRIC_IDS else f"mid_{mid}",
            METRIC_IDS[mid].unit if mid in METRIC_IDS else "",
        )
        for mid, *_ in seen
    }
    assert b"a series" not in table.schema.field("mid").metadata
    assert b"own user" in table.schema.field("peer_uid").metadata[b"description"]


def test_series_agree_with_the_table(data):
    series, table = data[0]["series"]
    rows = {
        (each.sid, each.mid, each.name, each.unit, each.peer_uid, ts, value)
        for each in series
        for ts, value in zip(each.ts, each.value, strict=True)
        if not math.isnan(value)
    }
    named = ("sid", "mid", "metric", "unit", "peer_uid", "ts", "value")
    assert rows == {
        tuple(int(row[name].timestamp()) if name == "ts" else row[name] for name in named)
        for row in table.to_pylist()
        if row["value"] is not None
    }


def test_empty_listing_of_metrics_has_the_same_columns():
    from agora_analytics.agora.arrow import metrics_table
    from agora_analytics.schemas import METRICS, SAMPLES

    empty = metrics_table([], call_id="c")
    assert empty.schema.equals(SAMPLES)
    assert [name for name in SAMPLES.names if name not in METRICS.names] == ["metric", "unit"]


def test_beta_samples_have_names_and_units():
    pytest.importorskip("starlette")
    harness = import_module("tests.beta.harness")

    async def job(client):
        (call, *_) = await client.calls(harness.SINCE, harness.UNTIL).collect()
        details = client.details(call)
        return await details.to_arrow(), (await details.collect())[0]

    table, details = harness.make_harness().run(job)
    assert {"metric", "unit"} <= set(table.column_names)
    assert {series.name for series in details.columns} >= set(table["metric"].unique().to_pylist())
    assert details.to_dict()["columns"][0]["name"] == next(iter(details.columns)).name


def test_rows_of_insights_have_units(data):
    rows, table = data[0]["rows"]
    assert {(row.metric, row.unit) for row in rows} == {("userCount", ""), ("totalDuration", "min")}
    assert table["unit"].to_pylist() == [row.unit for row in rows]
    assert Point(ts=1, metric="joinSuccessRate", value=1.0).unit == "ratio"


def test_series_becomes_numpy_without_a_copy():
    np = pytest.importorskip("numpy")
    buffers = array("q", [10, 12]), array("d", [1.5, math.nan])
    series = Series(sid="S", mid=20001, peer_uid="0", ts=memoryview(buffers[0]), value=memoryview(buffers[1]))
    values, times = np.asarray(series.value), np.asarray(series.ts).view("datetime64[s]")
    buffers[1][0], buffers[0][0] = 7.5, 11
    assert values[0] == 7.5
    assert times[0] == np.datetime64("1970-01-01T00:00:11")


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        (
            {"ts": [1_795_082_240, 1_795_082_300], "value": [1.0, 2.0], "peer_uid": "77"},
            "<Series video_end_to_end_loss [%] of peer 77 in session S: 2 samples, 2026-11-19 09:57:20 to 09:58:20 UTC>",
        ),
        (
            {"ts": [1_795_082_240], "value": [1.0], "name": "", "unit": ""},
            "<Series 20018 in session S: 1 sample, 2026-11-19 09:57:20 to 09:57:20 UTC>",
        ),
        ({"ts": [], "value": []}, "<Series video_end_to_end_loss [%] in session S: no samples>"),
        (
            {"ts": [1, 2**62], "value": [1.0, 2.0]},
            "<Series video_end_to_end_loss [%] in session S: 2 samples, 1970-01-01 00:00:01 to 4611686018427387904 UTC>",
        ),
    ],
)
def test_repr_of_a_series_says_what_it_measures(series, shown):
    fields = {
        "sid": "S",
        "mid": 20018,
        "peer_uid": "0",
        "name": "video_end_to_end_loss",
        "unit": "%",
    } | series
    fields |= {"ts": memoryview(array("q", fields["ts"])), "value": memoryview(array("d", fields["value"]))}
    assert repr(Series(**fields)) == shown


def test_columns_of_series_have_the_same_series(data):
    series, _ = data[0]["series"]
    assert [
        (each.sid, each.mid, each.peer_uid, each.ts.tolist(), each.value.tobytes())
        for each in columns_of_series(series)
    ] == [(each.sid, each.mid, each.peer_uid, each.ts.tolist(), each.value.tobytes()) for each in series]


# --- how results look


def test_quota_prints_as_a_table(data):
    quota, _ = data[0]["quota"]
    head, first, *_, last = str(quota).splitlines()
    assert head.split() == [
        "endpoint",
        "per_day",
        "requests",
        "period",
        "spent",
        "closed",
        "opens_at",
        "left",
        "daily",
    ]
    assert first.split()[:2] == ["call/lists", "10000"]
    assert last == "[14 x Quota]"
    assert max(map(len, str(quota).splitlines())) <= 120
    assert quota._repr_html_().count("<tr>") == 15


def test_long_list_shows_its_first_records_and_escapes_html():
    calls = Records(
        [
            Call(call_id=f"c{n}", cname="<b>&\n" * 20, created_ts=1, destroyed_ts=2, finished=True)
            for n in range(30)
        ],
        table=lambda _: None,
    )
    lines = repr(calls).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "[30 x Call, the first 20 shown]"
    assert "call_pcu" not in lines[0]  # no call has a value
    assert "<b>&<b>" not in calls._repr_html_()
    assert "&lt;b&gt;&amp;" in calls._repr_html_()


def test_text_of_strangers_does_not_reach_the_terminal_as_it_is():
    """As `repr` of a string does it."""
    calls = Records(
        [Call(call_id="c", cname="a\x1b[2J\u202eb\nc é", created_ts=1, destroyed_ts=2, finished=True)],
        table=lambda _: None,
    )
    empty = memoryview(array("q")), memoryview(array("d"))
    series = Series(sid="s\x1b[2J", mid=1, peer_uid="\u202e7", ts=empty[0], value=empty[1])
    assert r"  a\x1b[2J\u202eb c é  1970" in repr(calls)
    assert repr(series) == r"<Series 1 of peer \u202e7 in session s\x1b[2J: no samples>"
    assert calls.to_dicts()[0]["cname"] == "a\x1b[2J\u202eb\nc é"


def test_list_that_has_something_else_than_records_looks_like_a_list():
    call = Call(call_id="c", cname="", created_ts=1, destroyed_ts=2, finished=True)
    mixed = Records([call, "c2"], table=lambda _: None)
    assert repr(mixed) == f"[{call!r}, 'c2']"
    assert mixed._repr_html_() is None


def test_lists_without_records_look_like_lists():
    assert repr(Records([1], table=lambda _: None)) == "[1]"
    assert Records([1], table=lambda _: None)._repr_html_() is None
    assert repr(Records([], table=lambda _: None)) == "[]"
    assert Records([], table=lambda _: None)._repr_html_() is None
    assert Rows(records=(), meta=(), kind=Point)._repr_html_() is None


def test_repr_of_listings_names_the_question_and_sends_nothing():
    async def job(client):
        shown = repr(client.calls("6h", until="now", cname="room")), repr(client.metrics("id", SINCE, UNTIL))
        return *shown, dict(client.sent)

    calls, metrics, sent = make_harness().run(job)
    assert calls.startswith("<Pages of calls('6h', until='now', cname='room'): ")
    assert "`async for`" in calls
    assert metrics.startswith(f"<Pages of metrics('id', {SINCE}, {UNTIL}): ")
    assert sent == {}


# --- missing libraries


@pytest.mark.parametrize(
    ("missing", "method", "extra"),
    [("pyarrow", "to_arrow", "arrow"), ("pandas", "to_pandas", "pandas"), ("polars", "to_polars", "polars")],
)
def test_missing_library_is_named_before_a_request_is_sent(monkeypatch, missing, method, extra):
    from agora_analytics.core import frames

    monkeypatch.setattr(frames, "find_spec", lambda name: None if name == missing else "found")

    async def job(client):
        with pytest.raises(ConfigurationError, match=rf"{method}\(\) needs {missing}: .*\[{extra}\]"):
            await getattr(client.calls(SINCE, UNTIL), method)()
        return dict(client.sent)

    assert make_harness().run(job) == {}
    with pytest.raises(ConfigurationError, match=rf"\[{extra}\]"):
        getattr(Rows(records=(), meta=(), kind=Point), method)()


def test_page_of_no_listing_has_no_table():
    with pytest.raises(ConfigurationError, match="listing"):
        Page(records=[], meta=META).to_arrow()


def test_times_of_calls_are_datetimes(data):
    _, table = data[0]["calls"]
    assert table["created_ts"][0].as_py() == datetime.fromtimestamp(data[0]["calls"][0][0].created_ts, UTC)
