"""The statistics of whole calls against the simulator: consistent with each other, joined, and in order."""

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics import errors
from agora_analytics.agora.enums import Dimension, FreezeMetric, TimeMetric
from agora_analytics.simulator import CallTruth, SessionTruth, World
from tests.agora.cases import HOUR
from tests.agora.harness import call_with_most_sessions, make_harness, scripted
from tests.conftest import NOW, ok

T = int(NOW)


@pytest.fixture
def harness():
    return make_harness()


def long_world(hours):
    begin = T - 12 * HOUR
    sessions = tuple(
        SessionTruth(sid=f"S{i}", uid=str(i), join_ts=begin, leave_ts=begin + hours * HOUR, key=i) for i in range(4)
    )  # fmt: skip
    return World(
        [
            CallTruth(
                call_id="long",
                cname="r",
                created_ts=begin,
                destroyed_ts=begin + hours * HOUR,
                sessions=sessions,
            )
        ]
    )


async def a_call(client, world):
    truth = call_with_most_sessions(world)
    calls = await client.calls(truth.created_ts, truth.destroyed_ts + 1).collect()
    return next(call for call in calls if call.call_id == truth.call_id)


def test_groups_and_buckets_count_every_user_once(harness):
    async def work(client):
        call = await a_call(client, harness.world)
        groups = [await client.statistics(call, "audio_freeze_rate", each) for each in ("net", Dimension.OS)]
        return groups, await client.freeze_distribution(call)

    groups, buckets = harness.run(work)
    users = len(
        {session.uid for session in call_with_most_sessions(harness.world).sessions if not session.server}
    )
    for rows in groups:
        assert sum(row.user_count for row in rows) == users
        assert all(0 <= row.value < 1 for row in rows)
    for metric in FreezeMetric:
        mine = [row for row in buckets if row.metric == metric]
        assert sum(row.user_count for row in mine) == users
        assert [row.bounds for row in mine] == sorted(row.bounds for row in mine)
    assert harness.requests == {"call/lists": 1, "call/statistics": 2, "call/freeze/bucket": 2}
    assert harness.refusals == {}


def test_statistics_over_time_are_sorted(harness):
    async def work(client):
        return await client.statistics_over_time(await a_call(client, harness.world), TimeMetric)

    rows = harness.run(work)
    truth = call_with_most_sessions(harness.world)
    counts = [row for row in rows if row.metric == "user_count"]
    first = truth.created_ts // 60 * 60
    assert [row.ts for row in counts] == list(range(first, truth.destroyed_ts + 1, 60))
    assert max(row.value for row in counts) <= len(truth.sessions)
    assert harness.requests["call/statistics/time"] == len(TimeMetric)


@pytest.mark.parametrize(("plan", "parts"), [("standard", 10), ("premium", 4), ("enterprise", 2)])
def test_long_call_is_split_and_no_minute_is_repeated(plan, parts):
    harness = make_harness(long_world(10), plan)
    rows = harness.run(
        lambda client: client.statistics_over_time(
            "long", "user_count", since=T - 12 * HOUR, until=T - 2 * HOUR
        )
    )
    assert [row.ts for row in rows] == list(range(T - 12 * HOUR, T - 2 * HOUR, 60))
    assert harness.requests == {"call/statistics/time": parts}
    assert harness.refusals == {}


def test_groups_of_a_long_call_have_their_range():
    harness = make_harness(long_world(10))
    rows = harness.run(
        lambda client: client.statistics(
            "long", "video_freeze_rate", "os", since=T - 12 * HOUR, until=T - 2 * HOUR
        )
    )
    assert {(row.since - T, row.until - T) for row in rows} == {
        (-12 * HOUR, -6 * HOUR - 1),
        (-6 * HOUR, -2 * HOUR - 1),
    }


REFUSED = {
    "needs since= and until=": lambda c: c.statistics("c1"),
    "user_count is not a metric of this endpoint; it has audio_freeze_rate, video_freeze_rate": lambda c: (
        c.freeze_distribution("c1", "user_count", since=T - HOUR, until=T - 600)
    ),
    "channelSize is not a dimension": lambda c: c.statistics(
        "c1", dimension="channelSize", since=T - HOUR, until=T - 600
    ),
    "no metric is given": lambda c: c.statistics_over_time("c1", (), since=T - HOUR, until=T - 600),
    "looks like milliseconds": lambda c: c.statistics("c1", since=(T - HOUR) * 1000, until=T),
    "starts too far back": lambda c: c.freeze_distribution("c1", since=T - 16 * 24 * HOUR, until=T - HOUR),
}


@pytest.mark.parametrize("why", REFUSED)
def test_invalid_arguments_take_no_request(why):
    harness = scripted(ok(data=[]))
    with pytest.raises(errors.InvalidRequest, match=why):
        harness.run(REFUSED[why])
    assert harness.transport.requests == []


def test_call_id_without_a_range_is_refused_without_validation_too():
    with pytest.raises(errors.InvalidRequest, match="needs since= and until="):
        scripted(ok(data=[])).run(lambda client: client.statistics("c1", validate=False))


def test_undocumented_bucket_has_no_bounds():
    harness = scripted(ok(data=[{"bucket": "many", "user_count": 1}, {"bucket": "[0%,3%)", "user_count": 1}]))
    rows = harness.run(
        lambda c: c.freeze_distribution("c1", "audio_freeze_rate", since=T - HOUR, until=T - 600)
    )
    assert [(row.bucket, row.bounds) for row in rows] == [("[0%,3%)", (0.0, 0.03)), ("many", None)]
