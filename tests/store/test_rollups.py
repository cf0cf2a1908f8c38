"""The views of the roll-ups: their rows are those of a calculation sample by sample, with and without files."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring.profiles import PROFILES
from agora_analytics.store import open_store, seconds_beyond_sql
from agora_analytics.store.rollups.aggregates import RELATIVE_ERROR, _bucket, bucket_value_sql

from .rollup_samples import (
    KEYS,
    aggregated,
    assert_equal_to_scan,
    covered,
    points,
    rows_of,
    seconds_beyond,
    store_rich_call,
    valid_rollups,
)
from .sample_calls import APP, CREATED, DAY, PARTITION, call, sessions

NEXT, LATER = "2026-11-21", "2026-11-22"


@pytest.fixture
def filled(store):
    """Two apps and three days of calls, and points of two days; the last day is not compacted."""
    for number, (app, day) in enumerate(
        [(APP, DAY), (APP, DAY), (APP, NEXT), ("other app", DAY), ("other app", LATER), (APP, LATER)]
    ):
        store_rich_call(store, f"c{number}", app_id=app, day=day, seed=number)
    for day, stream in ((DAY, "one"), (DAY, "two"), (LATER, "three")):
        store.writer.put("points", f"m-{stream}", points(stream=stream), app_id="46", day=day, pending=False)
    store.writer.compact(closed_before=LATER)
    return store


def test_rows_are_the_aggregates_of_the_samples(filled):
    names = [*KEYS, "samples", "measured", "value_sum", "value_min", "value_max", "seconds", "seconds_beyond"]
    expected = aggregated(filled)
    rows = filled.sql(f"select {', '.join(names)} from quality_hours").fetchall()
    found = {row[: len(KEYS)]: dict(zip(names[len(KEYS) :], row[len(KEYS) :], strict=True)) for row in rows}
    assert len(found) == len(rows)
    assert found == expected
    assert (
        valid_rollups(filled) == 3 * 3 + 3
    )  # hours, histograms and scores: three days of calls, one of points


def test_rows_are_those_of_a_full_scan(filled):
    assert_equal_to_scan(filled)
    assert sum(row[-1] is not None for row in rows_of(filled)) > 0


def test_calls_after_a_compaction_are_counted(filled):
    before = valid_rollups(filled)
    store_rich_call(filled, "late", app_id=APP, day=DAY, seed=9)
    assert valid_rollups(filled) == before - 3
    assert_equal_to_scan(filled)
    (count,) = filled.sql(
        "select count(distinct call_id) from quality_hours where vendor = 'agora'"
    ).fetchall()[0]
    assert count == 7
    filled.writer.compact(closed_before=NEXT)
    assert valid_rollups(filled) == before
    assert_equal_to_scan(filled)


def test_ongoing_call_that_grows_is_counted_once(store):
    store_rich_call(store, "c1", app_id=APP, day=DAY, finished=False, seed=1)
    store.writer.compact(closed_before=NEXT)
    assert_equal_to_scan(store)
    assert valid_rollups(store) == 0
    store_rich_call(store, "c1", app_id=APP, day=DAY, seed=1)
    store.writer.compact(closed_before=NEXT)
    assert valid_rollups(store) == 3
    assert_equal_to_scan(store)
    ((samples,),) = store.sql(
        "select sum(samples) from quality_hours where source_metric not like 'user%'"
    ).fetchall()
    assert samples == store.counts()["metrics"]


def test_expired_snapshot_is_part_of_a_rollup(store):
    store_rich_call(store, "c1", app_id=APP, day=DAY, finished=False)
    store.writer.compact(closed_before=NEXT, calls_expired_before=CREATED + 10_000)
    assert valid_rollups(store) == 3
    assert_equal_to_scan(store)


def test_attributes_of_the_session_are_columns(filled):
    found = filled.sql(
        "select distinct network, channel from quality_hours where session_id = 'c0-0'"
    ).fetchall()
    assert found == [("WiFi", "room")]
    unknown = filled.sql(
        "select distinct network, channel from quality_hours where session_id = 'c0-1'"
    ).fetchall()
    assert unknown == [(None, None)]


def test_views_of_an_empty_store_have_no_rows(store):
    assert rows_of(store) == rows_of(store, "quality_histogram") == []
    assert_equal_to_scan(store)


def test_sandboxed_query_reads_the_rollups(filled):
    text = "select count(*) from quality_hours where day = '2026-11-20'"
    assert filled.sql(text, allow=[]).fetchall() == filled.sql(text).fetchall()
    plan = filled.sql("explain from quality_hours", allow=[]).fetchall()[0][1]
    assert "UNION" in plan.upper()


def test_condition_on_the_day_excludes_the_samples_of_others(filled):
    """Without it, a query for one day would aggregate all days that are not compacted."""
    store_rich_call(filled, "late", app_id=APP, day=DAY, seed=9)
    text = "explain select count(*) from quality_hours where source_metric = '20022' and day {} '2026-11-22'"
    plans = [filled.sql(text.format(sign)).fetchall()[0][1].upper() for sign in ("<>", ">")]
    assert ["WINDOW" in plan for plan in plans] == [True, False]


def test_seconds_beyond_any_profile_are_those_of_its_thresholds(filled):
    limits = [(profile, limit) for profile in PROFILES.values() for limit in profile.sampled]
    columns = [
        f"sum({seconds_beyond_sql(profile.name, level=limit.level)}) filter (metric = '{limit.metric}')"
        for profile, limit in limits
    ]
    ((*found,),) = filled.sql(f"select {', '.join(columns)} from quality_hours").fetchall()
    samples = list(covered(filled))
    for (_, limit), seconds in zip(limits, found, strict=True):
        assert seconds == seconds_beyond(samples, limit)
    assert sum(seconds is not None for seconds in found) > 20


def test_profile_that_does_not_exist_is_refused():
    with pytest.raises(InvalidRequest, match="no threshold profile 'zoom'"):
        seconds_beyond_sql("zoom")


def test_quantile_from_the_histogram_is_within_its_error(store):
    random = np.random.default_rng(5)
    values = np.concatenate([random.lognormal(3, 1.5, 2000), [0.0] * 50, -random.random(50)])
    rows = pa.table(
        {
            "call_id": ["c1"] * len(values),
            "sid": ["c1-0"] * len(values),
            "mid": pa.array([20022] * len(values), pa.int32()),
            "peer_uid": ["0"] * len(values),
            "ts": pa.array(CREATED + 2 * np.arange(len(values)), pa.timestamp("s", "UTC")),
            "value": values,
        }
    )
    store.writer.put("metrics", "c1.0", rows, **PARTITION, pending=True)
    store.writer.publish(**PARTITION, metrics=["c1.0"], sessions=sessions("c1"), call="c1", row=call("c1"))
    store.writer.compact(closed_before=NEXT)
    counted = store.sql(
        "select value, sum(samples)::int from quality_histogram where metric = 'round_trip_time' group by all order by all"
    ).fetchall()
    assert sum(samples for _, samples in counted) == len(values)
    buckets = np.repeat(*map(np.array, zip(*counted, strict=True)))
    assert np.all(np.abs(buckets - np.sort(values)) <= RELATIVE_ERROR * np.abs(np.sort(values)) * (1 + 1e-9))


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


@given(st.floats(min_value=1e-6, max_value=1e12, exclude_max=True), st.sampled_from([1, -1]))
@settings(deadline=None)
def test_bucket_stands_for_its_values_within_the_error(connection, size, sign):
    value = sign * size
    (found,) = connection.execute(f"select {bucket_value_sql(_bucket('$1'))}", [value]).fetchone()
    assert abs(found - value) <= RELATIVE_ERROR * size * (1 + 1e-9)


_SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([20003, 20011, 20018, 20022]),
        st.sampled_from(["0", "7"]),
        st.integers(0, 9000),
        st.none() | st.floats(),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:4],
)


@given(days=st.lists(_SAMPLES, min_size=4, max_size=4))
@settings(max_examples=3, deadline=None)
def test_any_values_are_aggregated_as_by_a_scan(days, tmp_path_factory):
    """Each example is a store with several days, because a store takes longer to write than its rows."""
    store = open_store(tmp_path_factory.mktemp("store") / "s", create=True, durable=False)
    for number, samples in enumerate(days):
        sids, mids, peers, times, values = zip(*samples, strict=True)
        rows = pa.table(
            {
                "call_id": ["c1"] * len(samples),
                "sid": sids,
                "mid": pa.array(mids, pa.int32()),
                "peer_uid": peers,
                "ts": pa.array([CREATED + at for at in times], pa.timestamp("s", "UTC")),
                "value": pa.array(values, pa.float64()),
            }
        )
        partition = {"app_id": APP, "day": f"2026-11-{10 + number}"}
        store.writer.put("metrics", "c1.0", rows, **partition, pending=True)
        store.writer.publish(
            **partition, metrics=["c1.0"], sessions=sessions("c1"), call="c1", row=call("c1")
        )
    before = rows_of(store), rows_of(store, "quality_histogram")
    store.writer.compact(closed_before=NEXT)
    assert valid_rollups(store) == 3 * len(days)
    assert (rows_of(store), rows_of(store, "quality_histogram")) == before
