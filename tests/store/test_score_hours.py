"""The view `score_hours`: its rows are those of a calculation interval by interval, with and without files."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics.schemas import POINTS, SCORE_HOURS
from agora_analytics.store import open_store
from agora_analytics.store.layout import Layout
from agora_analytics.store.rollups import views
from tests.conftest import slow
from tests.insight.scored_calls import point, table

from .rollup_samples import assert_equal_to_scan, rows_of, valid_rollups
from .sample_calls import APP, CREATED, DAY
from .score_samples import (
    MEASURES,
    STREAM,
    put_random_call,
    put_random_points,
    put_samples,
    score_hours,
)

NEXT, LATER = "2026-11-21", "2026-11-22"
BEFORE_MIDNIGHT = CREATED + 16 * 3600 - 300


def fill(store, seed):
    """Store two apps and three days of calls across hours and midnight, and meetings; the last day is not compacted."""
    days = [(APP, DAY), (APP, DAY), (APP, NEXT), ("other app", DAY), ("other app", LATER)]
    for number, (app, day) in enumerate(days):
        since = BEFORE_MIDNIGHT if number % 2 else CREATED + 3400
        put_random_call(store, f"c{number}", app_id=app, day=day, seed=10 * seed + number, since=since)
    put_random_points(store, day=DAY, seed=seed)
    put_random_points(store, day=LATER, seed=seed + 1)
    store.writer.compact(closed_before=LATER)
    return store


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(open_store(tmp_path_factory.mktemp("filled") / "store", create=True, durable=False), 1)


@pytest.mark.parametrize("seed", [1, *map(slow, (2, 3, 4))])
def test_rows_are_those_of_the_definition(store, seed):
    fill(store, seed)
    keys = [*STREAM, "hour"]
    rows = store.sql(f"select {', '.join([*keys, *MEASURES])} from score_hours").fetchall()
    found = {row[: len(keys)]: dict(zip(MEASURES, row[len(keys) :], strict=True)) for row in rows}
    assert len(found) == len(rows)
    assert found == score_hours(store.table("interval_scores"))
    assert {key[0] for key in found} == {"agora", "opentok"}
    assert len({key[-1] for key in found}) > 3
    assert_equal_to_scan(store)


def test_streams_have_the_mean_and_the_worst_window_of_stream_scores(filled):
    text = """
        select s.score, s.worst_window, s.seconds, s.seconds_without_score, h.*
        from stream_scores s join (
            select app_id, day, call_id, session_id, peer_id, media,
                sum(score_sum) / nullif(sum(seconds), 0) as mean, min(worst_window) as worst, sum(seconds) as seconds,
                sum(seconds_without_score) as without
            from score_hours group by all
        ) h on (s.app_id, s.day, s.call_id, s.session_id, s.media) = (h.app_id, h.day, h.call_id, h.session_id, h.media)
            and s.peer_id is not distinct from h.peer_id
    """
    rows = filled.sql(
        f"select score, worst_window, seconds, seconds_without_score, mean, worst, seconds_1, without from ({text})"
    ).fetchall()
    assert len(rows) == filled.table("stream_scores").num_rows
    for row in rows:
        assert row[4:6] == pytest.approx(row[:2], abs=1e-6)
        assert tuple(map(float, row[6:])) == pytest.approx(row[2:4], abs=1e-3)
    assert sum(row[0] is None for row in rows) > 0


def intervals(count, *, since, loss=0.0, step=4):
    """Yield samples of one audio stream, and of the round trip that its score needs."""
    for place in range(count):
        common = {"call_id": "c1", "sid": "c1-0", "ts": since + step * place}
        yield {**common, "mid": 20016, "peer_uid": "7", "value": loss}
        yield {**common, "mid": 20022, "peer_uid": "0", "value": 40.0}


def put_streams(store, *streams):
    put_samples(store, "c1", [row for stream in streams for row in stream], app_id=APP, day=DAY)
    store.writer.compact(closed_before=NEXT)
    return store.sql(
        "select hour, intervals, seconds, worst_window, worst_window_ts from score_hours order by hour"
    ).fetchall()


def at(second):
    return datetime.fromtimestamp(second, UTC)


def test_window_counts_in_the_hour_of_its_end(store):
    hour = CREATED + 3600
    calm, bad = intervals(10, since=hour - 44), intervals(3, since=hour - 4, loss=40.0)
    first, second = put_streams(store, calm, bad)
    assert [row[:3] for row in (first, second)] == [(at(CREATED), 11, 44), (at(hour), 2, 8)]
    assert second[3] < first[3]  # the window of the last interval has three bad intervals, of two hours
    assert second[4] == at(hour + 4)


def test_hour_without_a_window_that_counts_has_no_worst_window(store):
    """After a gap, less than 15 seconds of the stream have a score."""
    unknown, last = intervals(1, since=CREATED + 3600, loss=None), intervals(2, since=CREATED + 3604)
    first, second = put_streams(store, intervals(20, since=CREATED), unknown, last)
    assert first[3] > 4
    assert second[1:] == (3, 8, None, None)


def test_mean_of_a_short_stream_is_its_worst_window_in_the_last_hour(store):
    first, second = put_streams(store, intervals(3, since=CREATED + 3592))
    assert first[3:] == (None, None)
    assert second[4] == at(CREATED + 3600)
    ((worst, score),) = store.sql("select worst_window, score from stream_scores").fetchall()
    assert second[3] == pytest.approx(worst, abs=1e-6) == pytest.approx(score, abs=1e-6)


def test_stream_without_a_score_is_counted(store):
    rows = [row for row in intervals(5, since=CREATED) if row["mid"] == 20016]
    ((_, count, *measures),) = put_streams(store, rows)
    assert (count, measures) == (5, [0, None, None])
    ((total, without),) = store.sql("select score_sum, seconds_without_score from score_hours").fetchall()
    assert (total, without) == (0, 20)


def test_attributes_of_the_session_are_columns(filled):
    rows = filled.sql(
        "select distinct session_id, network, channel, user_id from score_hours where call_id = 'c0'"
    ).fetchall()
    assert sorted(rows) == [
        ("c0-0", "WiFi", "room", str(2**40)),
        ("c0-1", None, "room", str(2**40 + 1)),
        ("c0-2", None, None, None),
    ]


def test_columns_are_those_of_the_schema(filled, tmp_path):
    empty = open_store(tmp_path / "empty", create=True)
    for each in (filled, empty):
        assert each.table("score_hours").schema.equals(SCORE_HOURS)
    assert empty.table("score_hours").num_rows == 0


def test_vendor_without_scores_has_no_rows_and_a_valid_rollup(store):
    rows = [point("apsaravideo", "video_freeze_rate", 300, 0.1, channel="live")]
    store.writer.put("points", "a", table(rows, POINTS), app_id="live", day=DAY, pending=False)
    store.writer.compact(closed_before=NEXT)
    assert rows_of(store, "score_hours") == rows_of(store, "score_hours", use_rollups=False) == []
    assert valid_rollups(store) == 3


def test_only_the_views_of_a_query_are_created(filled):
    layout = Layout(filled.path)
    assert views.used_views("select 1 from calls") == []
    assert views.used_views('from "Score_Hours"') == ["score_hours"]
    assert views.queries(layout, ["score_hours"]).keys() == {"metrics_scores", "points_scores"}
    assert len(views.used_views("show tables")) == 3


def test_condition_on_the_day_excludes_the_samples_of_others(filled):
    text = f"explain select count(*) from score_hours where vendor = 'agora' and day {{}} '{LATER}'"
    plans = [filled.sql(text.format(sign)).fetchall()[0][1].upper() for sign in ("<=", "<")]
    assert ["WINDOW" in plan for plan in plans] == [True, False]


_SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([20010, 20011, 20016, 20019, 20020, 20022]),
        st.sampled_from(["0", "7"]),
        st.integers(0, 200).map(lambda place: 18 * place),
        st.none() | st.floats() | st.floats(0, 100),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:4],
)


@given(days=st.lists(_SAMPLES, min_size=3, max_size=3))
@settings(max_examples=3, deadline=None)
def test_any_values_are_aggregated_as_by_a_scan(days, tmp_path_factory):
    """Each example is a store with several days, because a store takes longer to write than its rows."""
    store = open_store(tmp_path_factory.mktemp("store") / "s", create=True, durable=False)
    for number, samples in enumerate(days):
        rows = [
            {
                "call_id": "c1",
                "sid": sid,
                "mid": mid,
                "peer_uid": peer,
                "ts": CREATED + second,
                "value": value,
            }
            for sid, mid, peer, second, value in samples
        ]
        put_samples(store, "c1", rows, app_id=APP, day=f"2026-11-{10 + number}")
    before = rows_of(store, "score_hours")
    store.writer.compact(closed_before=NEXT)
    assert valid_rollups(store) == 3 * len(days)
    assert rows_of(store, "score_hours") == before
