"""Intervals and their aggregation, over rows that a test writes down."""

import random
from datetime import UTC, datetime, timedelta

import pytest

duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("pytz")

from agora_analytics.scoring.audio_score import ASSUMPTIONS, audio_rating, audio_score  # noqa: E402
from agora_analytics.scoring.e_model import Transmission, mos, rating  # noqa: E402
from agora_analytics.scoring.intervals import audio_sql, streams_sql, video_sql  # noqa: E402
from agora_analytics.scoring.video_score import video_score  # noqa: E402

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
KEYS = {
    "vendor": "agora", "app_id": "a", "channel": "room", "call_id": "c", "session_id": "s1", "user_id": "1",
    "peer_id": "2", "day": BEGIN.date(),
}  # fmt: skip
AUDIO = ("loss", "own_delay", "sender_delay", "sender_loss")
VIDEO = ("frozen", "frame_rate", "width", "height")
SCORES = pa.schema(
    [*((name, pa.string()) for name in (*KEYS, "media", "delay_of") if name != "day"), ("day", pa.date32()),
     ("ts", pa.timestamp("us", "UTC")), ("seconds", pa.float64()), ("score", pa.float64())]
)  # fmt: skip


def run(query, rows, schema):
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("given", pa.Table.from_pylist(rows, schema))
        return connection.sql(query("FROM given")).to_arrow_table().to_pylist()


def inputs_schema(values):
    texts = [(name, pa.string()) for name in KEYS if name != "day"]
    others = [("day", pa.date32()), ("ts", pa.timestamp("us", "UTC")), ("is_interval", pa.bool_())]
    return pa.schema([*texts, *others, *((name, pa.float64()) for name in values)])


def sample(second, is_interval=False, **more):
    return {**KEYS, "ts": BEGIN + timedelta(seconds=second), "is_interval": is_interval, **more}


def audio(*rows):
    return sorted(
        run(audio_sql, list(rows), inputs_schema(AUDIO)), key=lambda row: (row["session_id"], row["ts"])
    )


def video(*rows):
    return sorted(run(video_sql, list(rows), inputs_schema(VIDEO)), key=lambda row: row["ts"])


def lost(second, loss, **more):
    return sample(second, True, loss=loss, **more)


def round_trip(second, milliseconds, session="s1", user="1"):
    """A sample of the router round trip of a user, which is half of it in each direction."""
    half = milliseconds / 2
    return sample(second, session_id=session, user_id=user, peer_id=None, own_delay=half, sender_delay=half)


def streams(series, **more):
    """Aggregate (second, seconds, score) of one stream."""
    rows = [
        {
            **KEYS,
            "media": "audio",
            "ts": BEGIN + timedelta(seconds=second),
            "seconds": float(seconds),
            "score": score,
        }
        | more
        for second, seconds, score in series
    ]
    return run(streams_sql, rows, SCORES)


def test_delay_is_half_of_both_round_trips():
    rows = audio(lost(4, 0.0), lost(8, 0.02), round_trip(4, 40), round_trip(4, 100, "s2", "2"))
    assert [(row["loss"], row["delay"], row["delay_of"]) for row in rows] == [
        (0.0, 70.0, "both"),
        (0.02, 70.0, "both"),
    ]
    assert [row["seconds"] for row in rows] == [4, 4]
    for row in rows:
        assert row["rating"] == pytest.approx(audio_rating(row["loss"], 70.0), abs=1e-9)
        assert row["score"] == pytest.approx(audio_score(row["loss"], 70.0), abs=1e-9)
        assert row["assumptions"] == str(ASSUMPTIONS)


def test_latest_round_trip_before_the_sample_counts():
    rows = audio(
        *(lost(second, 0.0) for second in (4, 8, 12, 16)),
        round_trip(6, 40),
        round_trip(12, 60),
        round_trip(14, 80),
    )
    assert [row["delay"] for row in rows] == [None, 20, 30, 40]


def test_old_round_trip_is_unknown():
    """Agora's samples cover at most 20 s, so a round trip of 24 s ago says nothing about this interval."""
    rows = audio(*(lost(second, 0.0) for second in range(4, 32, 4)), round_trip(4, 40))
    assert [row["delay"] for row in rows] == [20, 20, 20, 20, 20, 20, None]
    assert rows[-1]["score"] is None


def test_unknown_half_of_the_delay_is_named():
    (own,) = audio(lost(4, 0.0), round_trip(4, 40))
    assert (own["delay"], own["delay_of"]) == (20, "receiver")
    assert own["assumptions"].endswith("sender_delay=unknown, 0 ms")
    (senders,) = audio(lost(4, 0.0), round_trip(4, 40, "s2", "2"))
    assert (senders["delay"], senders["delay_of"]) == (20, "sender")
    assert senders["assumptions"].endswith("receiver_delay=unknown, 0 ms")


def test_interval_without_any_delay_has_no_score():
    (row,) = audio(lost(4, 0.0))
    assert (row["delay"], row["delay_of"], row["rating"], row["score"]) == (None, None, None, None)
    assert row["seconds"] == 4


def test_interval_without_loss_has_no_score_and_covers_time():
    rows = audio(lost(4, 0.0), lost(8, None), round_trip(4, 40))
    assert [row["score"] is None for row in rows] == [False, True]
    assert [row["seconds"] for row in rows] == [4, 4]


def test_users_and_calls_do_not_share_round_trips():
    rows = audio(
        lost(4, 0.0),
        sample(
            4, call_id="other", session_id="x", user_id="2", peer_id=None, own_delay=1.0, sender_delay=1.0
        ),
        round_trip(4, 40, "s3", "3"),
    )
    assert [row["delay"] for row in rows] == [None]


def test_loss_of_both_halves_is_combined():
    """OpenTok measures the loss before and after the server separately."""
    (row,) = audio(
        lost(30, 0.1, vendor="opentok", own_delay=30.0),
        sample(
            30,
            vendor="opentok",
            session_id="p2",
            user_id="2",
            peer_id=None,
            sender_loss=0.2,
            sender_delay=10.0,
        ),
    )
    assert row["loss"] == pytest.approx(1 - 0.9 * 0.8)
    assert (row["delay"], row["seconds"]) == (40, 30)


def test_video_interval_uses_the_latest_frame_rate_and_size():
    rows = video(
        sample(2, width=640.0, height=360.0),
        sample(4, True, frozen=0.0),
        sample(4, frame_rate=15.0),
        sample(8, True, frozen=400.0),
        sample(8, frame_rate=10.0),
        sample(60, True, frozen=0.0),
    )
    assert [row["freeze_share"] for row in rows] == [0, 0.1, 0]
    assert [row["frame_rate"] for row in rows] == [15, 10, None]
    assert [row["width"] for row in rows] == [640, 640, 640]
    assert [row["score"] for row in rows] == [
        pytest.approx(video_score(0, 15, 640, 360)),
        pytest.approx(video_score(0.1, 10, 640, 360)),
        None,
    ]


def test_largest_of_several_values_at_one_time_counts():
    """A sender with two streams, and a picture with a high and a low stream: the result does not depend on the order."""
    trips = [round_trip(4, 100, "s2", "2"), round_trip(4, 60, "s4", "2"), round_trip(4, 80, "s5", "2")]
    sizes = [
        sample(4, frame_rate=rate, width=width, height=height)
        for rate, width, height in ((0.0, 160.0, 90.0), (15.0, 640.0, 360.0))
    ]
    for order in (1, -1):
        (heard,) = audio(lost(4, 0.0), *trips[::order])
        assert heard["delay"] == 50
        (seen,) = video(sample(4, True, frozen=0.0), *sizes[::order])
        assert (seen["frame_rate"], seen["width"], seen["height"]) == (15, 640, 360)


def test_stream_without_pictures_and_without_a_freeze_has_no_score():
    """The sender turned the camera off. A stalled stream has a freeze."""
    off = video(sample(4, True, frozen=0.0), sample(4, frame_rate=0.0, width=640.0, height=360.0))
    stalled = video(sample(4, True, frozen=4000.0), sample(4, frame_rate=0.0, width=640.0, height=360.0))
    assert [row["score"] for row in (*off, *stalled)] == [None, 1.0]


def test_mean_is_weighted_by_seconds():
    (row,) = streams([(2, 2, 4.0), (8, 6, 2.0), (12, 4, None)])
    assert (row["score"], row["seconds"], row["seconds_without_score"]) == (2.5, 8, 4)


def naive_worst_window(series):
    """The definition, one window at a time: 30 seconds up to the end of each interval, at least 15 of them scored."""
    scored = [each for each in series if each[2] is not None]
    if not scored:
        return None
    worst = None
    for end, _, _ in series:
        inside = [each for each in scored if end - 30 < each[0] <= end]
        weight = sum(seconds for _, seconds, _ in inside)
        if weight >= 15:
            mean = sum(seconds * score for _, seconds, score in inside) / weight
            worst = mean if worst is None else min(worst, mean)
    total = sum(seconds for _, seconds, _ in scored)
    return sum(seconds * score for _, seconds, score in scored) / total if worst is None else worst


def test_worst_window_is_that_of_the_definition():
    draws = random.Random(30)
    for _ in range(25):
        second, series = 0, []
        for _ in range(draws.choice([1, 3, 60])):
            step = draws.choice([2, 4, 6, 20, 90])
            second += step
            series.append((second, min(step, 20), draws.choice([None, draws.uniform(1, 4.5)])))
        (row,) = streams(series)
        assert row["worst_window"] == pytest.approx(naive_worst_window(series))
        assert (row["worst_window"] is None) == (row["worst_window_ts"] is None)


def test_short_stream_has_its_mean_as_worst_window():
    (row,) = streams([(4, 4, 2.0), (8, 4, 4.0)])
    assert row["worst_window"] == row["score"] == 3.0


def test_first_of_equal_windows_is_reported():
    (row,) = streams([(30 * place, 30, 2.0) for place in range(1, 9)])
    assert row["worst_window_ts"] == BEGIN + timedelta(seconds=30)


def test_mean_of_the_loss_would_hide_a_short_impairment():
    """30 s at 30 % loss in 10 minutes: MOS of the mean loss 4.28, mean of the MOS 4.30, worst 30 s 2.14."""

    def plain_mos(loss):
        return mos(rating(Transmission(loss_percent=100 * loss, loss_robustness=25.1)))

    losses = [0.3 if 300 < second <= 330 else 0.0 for second in range(5, 605, 5)]
    (row,) = streams([(5 * place, 5, plain_mos(loss)) for place, loss in enumerate(losses, start=1)])
    assert round(plain_mos(sum(losses) / len(losses)), 2) == 4.28
    assert round(row["score"], 2) == 4.30
    assert round(row["worst_window"], 2) == 2.14
    assert row["worst_window_ts"] == BEGIN + timedelta(seconds=330)
