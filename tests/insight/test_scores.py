"""`score` over the calls of several vendors, compared with the formulas applied to the view `quality`."""

from datetime import UTC, datetime

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight import score
from agora_analytics.insight.scores import score_schema
from agora_analytics.schemas import INTERVAL_SCORES, STREAM_SCORES
from agora_analytics.scoring.audio_score import audio_score
from agora_analytics.scoring.video_score import video_score
from agora_analytics.store import open_store

from .scored_calls import APP, BEGIN, agora_samples, put_call

LEVELS = ("interval", "stream", "user", "call", "channel", "day")


def rows(store, by, **filters):
    return score(store, by, **filters).to_pylist()


def samples(store, call_id, metric):
    """Return (receiver, sender or None, epoch second) -> value of a metric of a call."""
    text = f"select user_id, peer_id, epoch(ts)::bigint, value from quality where call_id = '{call_id}' and metric = '{metric}'"
    return {(user, peer, ts): value for user, peer, ts, value in store.sql(text).fetchall()}


def latest(values, user, peer, ts, longest):
    """Return the last value that is not null, at most `longest` seconds before a time."""
    known = [
        (at, value)
        for (u, p, at), value in values.items()
        if (u, p) == (user, peer) and at <= ts and value is not None
    ]
    at, value = max(known, default=(float("-inf"), None))
    return value if ts - at <= longest else None


@pytest.mark.parametrize("call_id", ["bad", "good"])
def test_audio_of_agora_is_the_formula_over_the_samples(store, call_id):
    loss = samples(store, call_id, "audio_packet_loss_received")
    trips = samples(store, call_id, "round_trip_time")
    expected = {}
    for (user, peer, ts), lost in loss.items():
        halves = [latest(trips, each, None, ts, 20) for each in (user, peer)]
        delay = sum(half / 2 for half in halves if half is not None)
        expected[user, ts] = None if halves == [None, None] else audio_score(lost, delay)
    found = {
        (row["user_id"], int(row["ts"].timestamp())): row["score"]
        for row in rows(store, "interval", call_id=call_id, media="audio")
    }
    assert found.keys() == expected.keys()
    assert found == {
        key: value if value is None else pytest.approx(value, abs=1e-9) for key, value in expected.items()
    }


def test_video_of_agora_is_the_formula_over_the_samples(store):
    frozen = samples(store, "bad", "video_freeze_time")
    rates = samples(store, "bad", "video_receive_frame_rate")
    expected = {
        (user, ts): video_score(value / 1000 / 4, rates[user, peer, ts], 640, 360)
        for (user, peer, ts), value in frozen.items()
    }
    found = {
        (row["user_id"], int(row["ts"].timestamp())): row["score"]
        for row in rows(store, "interval", call_id="bad", media="video")
    }
    assert found == {key: pytest.approx(value, abs=1e-9) for key, value in expected.items()}


def test_opentok_combines_both_halves_of_the_path(store):
    (row,) = rows(store, "stream", vendor="opentok")
    assert row["score"] == pytest.approx(audio_score(1 - 0.95 * 0.9, 50.0))
    assert (row["seconds"], row["user_id"], row["peer_id"], row["media"]) == (
        90,
        "receiver",
        "sender",
        "audio",
    )
    assert row["worst_window"] == pytest.approx(row["score"])


def test_apsaravideo_has_no_score(store):
    assert "apsaravideo" not in score(store, "day")["vendor"].to_pylist()
    with pytest.raises(InvalidRequest, match="totals of all users only"):
        score(store, vendor="apsaravideo")


@pytest.mark.parametrize("by", LEVELS)
def test_columns_are_those_of_the_schema(store, tmp_path, by):
    table = score(store, by)
    assert table.schema.equals(score_schema(by), check_metadata=True)
    assert all(field.metadata[b"description"] for field in table.schema)
    empty = score(open_store(tmp_path / "empty", create=True, durable=False), by, since="1d")
    assert (empty.num_rows, empty.schema) == (0, table.schema)


def test_views_have_the_same_rows(store):
    for view, schema, by in (
        ("interval_scores", INTERVAL_SCORES, "interval"),
        ("stream_scores", STREAM_SCORES, "stream"),
    ):
        keys = [
            (name, "ascending")
            for name in ("call_id", "session_id", "media", *(["ts"] if by == "interval" else []))
        ]
        assert store.tables[view] == schema
        viewed, scored = (
            store.table(view).sort_by(keys).to_pylist(),
            score(store, by).sort_by(keys).to_pylist(),
        )
        assert [list(row.values())[:9] for row in viewed] == [list(row.values())[:9] for row in scored]
        assert [row["score"] for row in viewed] == [pytest.approx(row["score"]) for row in scored]


@pytest.mark.parametrize("by", LEVELS[2:])
def test_groups_are_weighted_means_and_lowest_windows_of_streams(store, by):
    keys = list(score_schema(by).names)[: score_schema(by).names.index("calls")]
    groups = {}
    for row in rows(store, "stream"):
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    found = rows(store, by)
    assert {tuple(row[key] for key in keys) for row in found} == groups.keys()
    for row in found:
        streams = groups[tuple(row[key] for key in keys)]
        seconds = sum(each["seconds"] for each in streams)
        assert row["score"] == pytest.approx(
            sum(each["seconds"] * each["score"] for each in streams) / seconds
        )
        worst = min(streams, key=lambda each: each["worst_window"])
        assert (row["worst_window"], row["worst_window_ts"]) == (
            worst["worst_window"],
            worst["worst_window_ts"],
        )
        assert (row["worst_call_id"], row["worst_user_id"]) == (worst["call_id"], worst["user_id"])
        assert (row["streams"], row["seconds"]) == (len(streams), seconds)
        assert row["calls"] == len({each["call_id"] for each in streams})
        assert row["users"] == len({each["user_id"] for each in streams})


def test_worst_window_shows_what_the_mean_hides(store):
    """User 1 loses 30 % for 32 s of 120 s."""
    (row,) = rows(store, "user", call_id="bad", user="1", media="audio")
    assert row["score"] > 3.5
    assert row["worst_window"] < 2.1
    assert row["worst_window_ts"].timestamp() == pytest.approx(BEGIN + 72, abs=4)


def test_calls_begin_with_the_worst(store):
    found = [row["worst_window"] for row in rows(store, "call")]
    assert found == sorted(found)
    assert rows(store, "call", media="audio")[0]["call_id"] == "bad"


def test_intervals_are_in_the_order_of_time(store):
    found = [row["ts"] for row in rows(store, "interval")]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("filters", "column", "expected"),
    [
        ({"call_id": "bad"}, "call_id", {"bad"}),
        ({"channel": "sales"}, "call_id", {"good"}),
        ({"channel": "it's"}, "call_id", set()),
        ({"user": "2"}, "user_id", {"2"}),
        ({"app_id": APP}, "vendor", {"agora"}),
        ({"vendor": "opentok"}, "call_id", {"meeting"}),
        ({"media": "video"}, "media", {"video"}),
        ({"since": BEGIN + 3000}, "call_id", {"good"}),
        ({"until": "2026-11-20T08:30:00Z"}, "call_id", {"bad", "meeting"}),
        ({"since": datetime(2026, 11, 21, tzinfo=UTC)}, "call_id", set()),
        ({"until": "2026-11-20"}, "call_id", set()),
        ({"since": -9e10, "until": 9e10, "vendor": "opentok"}, "call_id", {"meeting"}),
    ],
)
def test_filters_select_rows(store, filters, column, expected):
    assert {row[column] for row in rows(store, "stream", **filters)} == expected


def test_time_range_cuts_a_call_between_intervals(store):
    """An interval keeps its seconds and its delay, whose samples may be before the range."""
    all_of_it = {row["ts"]: row for row in rows(store, "interval", call_id="bad", user="1")}
    part = rows(store, "interval", call_id="bad", user="1", since=BEGIN + 40, until=BEGIN + 80)
    assert {row["ts"].timestamp() - BEGIN for row in part} == set(range(40, 80, 4))
    assert all(all_of_it[row["ts"]]["seconds"] == row["seconds"] for row in part)


def test_call_that_began_on_an_earlier_day_is_read(tmp_path):
    """`day` is the day on which the call began, so a range after midnight reads older days too."""
    store = open_store(tmp_path / "late", create=True, durable=False)
    put_call(store, "late", "room", BEGIN + 16 * 3600 - 60, list(agora_samples(3, [0] * 30)))
    found = rows(store, "interval", since="2026-11-21", media="audio", user="1")
    assert [row["ts"].timestamp() - BEGIN - 16 * 3600 for row in found] == list(range(0, 61, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "calls"}, "did you mean 'call'"),
        ({"by": "x"}, "use one of interval, stream"),
        ({"media": "sound"}, "use one of audio, video"),
        ({"vendor": "zoom"}, "use one of agora, opentok"),
        ({"since": "never"}, "since='never' is not a time"),
    ],
)
def test_wrong_arguments_are_refused(store, arguments, message):
    with pytest.raises(InvalidRequest, match=message):
        score(store, **arguments)


def test_assumptions_of_a_group_are_those_of_its_streams(store):
    (row,) = rows(store, "day", vendor="agora", media="audio")
    assert "codec=opus as g711-plc" in row["assumptions"]
    assert len(row["assumptions"].split("; ")) == len(set(row["assumptions"].split("; ")))
