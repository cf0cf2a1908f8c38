"""Following Real-time over virtual days: every window once, in order, within the day's quota, across faults."""

from contextlib import aclosing
from datetime import UTC, datetime
from itertools import pairwise

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics import errors
from agora_analytics.engine.events import WindowsLost
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.simulator import Faults, World
from tests.agora.harness import make_harness, scripted
from tests.conftest import NOW, ok, response, slow

T = int(NOW)
DAY = 86_400
QUOTA = {"premium": 480, "enterprise": 1440}
RATE = {"premium": 3, "enterprise": 10}


@pytest.fixture(scope="module")
def world():
    return World.generate(seed=5, since=T - 3600, until=T + DAY, calls=300, simple=True)


async def taken(follow, enough, seen=lambda _: None):
    """Return windows until there are enough."""
    windows = []
    async with aclosing(aiter(follow)) as coming:
        async for window in coming:
            windows.append(window)
            seen(window)
            if enough(windows):
                break
    return windows


def count(number):
    return lambda windows: len(windows) == number


def up_to(ts):
    return lambda windows: windows[-1].end >= ts


def followed(harness, metrics, seconds, seen=lambda _: None, **more):
    """Follow for a time; return the windows and the `Follow`."""

    async def work(client):
        follow = client.realtime.follow(metrics, **more)
        return await taken(follow, up_to(T + seconds), seen), follow

    return harness.run(work)


def lost_events(harness):
    return harness.events_of(WindowsLost)


@pytest.mark.parametrize("plan", ["premium", slow("enterprise")])
@pytest.mark.parametrize(
    "metrics", [slow(["userCount"]), ["userCount", "videoFreezeRate", "joinSuccessRate"]]
)
def test_a_day_with_faults_gives_every_window_once_within_the_quota(world, plan, metrics):
    harness, late = make_harness(world, plan, faults=Faults(share=0.05), latency=(0.02, 0.08)), []
    windows, follow = followed(
        harness, metrics, DAY, lambda window: late.append(harness.clock.now() - window.end)
    )
    times = [window.ts for window in windows]
    assert times == list(range(times[0], T + DAY, 20))
    assert times[0] >= T - 80
    assert (follow.lost, lost_events(harness)) == (0, [])
    assert sum(harness.simulator.seen.faults.values()) > 10
    for (endpoint, _), asked in harness.simulator.seen.by_day.items():
        assert asked <= QUOTA[plan]
        assert harness.simulator.seen.worst_window(endpoint, 60) <= RATE[plan]
    assert harness.refusals == {}
    users = [row for window in windows for row in window.rows if row.metric == "userCount"]
    assert [row.ts for row in users] == times
    per_round = max(1, len(metrics) - 1)  # requests to the endpoint of quality
    assert max(late) < 3 * per_round * DAY / (0.9 * QUOTA[plan]) + 180


@pytest.mark.slow
def test_follow_uses_only_the_remaining_quota(world):
    harness = make_harness(world, "premium")
    followed(harness, "userCount", DAY)
    first_half, second_half = (
        harness.simulator.seen.by_day[key]
        for key in sorted(harness.simulator.seen.by_day, key=lambda k: k[1])
    )
    assert 0.9 * 480 - 3 <= first_half <= 0.9 * 480
    assert second_half <= 0.9 * 480 / 2 + 3


def test_with_enough_quota_each_window_is_returned_immediately(world):
    harness, late = make_harness(world), []
    harness.clock.step(11.5 * 3600)  # half an hour before midnight, and the whole quota is left

    def job(client):
        follow = client.realtime.follow("userCount")
        return taken(follow, count(60), lambda window: late.append(harness.clock.now() - window.end))

    harness.run(job)
    assert max(late[1:]) < 24  # the first had ended before
    assert harness.requests == {"realtime/usage/by_time_20sec": 60}


def test_an_outage_shorter_than_the_reach_loses_nothing(world):
    broken = Faults(share=1.0, kinds=("503-html", "reset", "500"), first=200)
    harness = make_harness(world, faults=broken)
    windows, follow = followed(harness, ["userCount", "networkDelay"], 2 * 3600)
    assert [window.ts for window in windows] == list(range(windows[0].ts, T + 2 * 3600, 20))
    assert (follow.lost, lost_events(harness)) == (0, [])
    assert sum(harness.simulator.seen.faults.values()) > 50


def test_windows_out_of_reach_are_reported_and_counted(world):
    harness = make_harness(world, "premium")

    async def work(client):
        follow = client.realtime.follow(["userCount", "networkDelay"])
        before = await taken(follow, count(3))
        harness.clock.step(3 * 3600)  # the machine slept
        return before + await taken(follow, up_to(T + 3 * 3600 + 600)), follow

    windows, follow = harness.run(work)
    gaps = [(a.end, b.ts) for a, b in pairwise(windows) if a.end != b.ts]
    assert len(gaps) == 1
    lost = lost_events(harness)
    assert {event.metric for event in lost} == {"userCount", "networkDelay"}
    assert sum(event.count for event in lost if event.metric == "userCount") == follow.lost
    assert follow.lost == (gaps[0][1] - gaps[0][0]) // 20


def test_a_failing_metric_does_not_delay_the_others(world):
    harness = make_harness(
        world, faults=Faults(share=1.0, kinds=("503-html",), only=["realtime/quality/by_time_20sec"])
    )
    windows, follow = followed(harness, ["userCount", "networkDelay"], 3 * 3600)
    assert [window.ts for window in windows] == list(range(windows[0].ts, T + 3 * 3600, 20))
    assert all(
        window.missing == ("networkDelay",) and window.values["networkDelay"] is None for window in windows
    )
    assert any(window.values["userCount"] for window in windows)
    assert follow.lost == len(windows)
    assert {event.metric for event in lost_events(harness)} == {"networkDelay"}


def test_resuming_with_since_or_a_second_iteration_leaves_no_gap(world):
    harness = make_harness(world)

    async def work(client):
        first = client.realtime.follow("userCount")
        windows = await taken(first, count(5)) + await taken(first, count(5))
        harness.clock.step(600)
        again = client.realtime.follow("userCount", since=windows[-1].end)
        return windows + await taken(again, count(40))

    windows = harness.run(work)
    assert [window.ts for window in windows] == list(range(windows[0].ts, windows[0].ts + 50 * 20, 20))


def test_each_window_has_all_groups_for_the_same_requests(world):
    harness = make_harness(world, faults=Faults(share=0.05))
    metrics = ["userCount", "videoFreezeRate"]
    windows, follow = followed(harness, metrics, 2 * 3600, by="net")
    times = [window.ts for window in windows]
    assert times == list(range(times[0], T + 2 * 3600, 20))
    assert (follow.lost, harness.refusals) == (0, {})
    rows = [row for window in windows for row in window.rows]
    assert len(rows) == len({(row.metric, row.ts, row.dimension_value) for row in rows})
    assert {row.dimension for row in rows} == {"net"}
    busiest = max(windows, key=lambda window: len(window.rows))
    assert busiest.values == {"userCount": None, "videoFreezeRate": None}
    assert len(busiest.groups) > 1
    assert {row.dimension_value: row.value for row in busiest.rows if row.metric == "userCount"} == {
        group: values["userCount"]
        for group, values in busiest.groups.items()
        if values["userCount"] is not None
    }
    alone = make_harness(world)
    together, _ = followed(alone, metrics, 2 * 3600)
    whole = {window.ts: window.values.get("userCount") or 0 for window in together}
    assert [sum(values.get("userCount") or 0 for values in w.groups.values()) for w in windows] == [
        whole[ts] for ts in times
    ]
    assert not any(window.groups for window in together)


def test_metric_without_a_value_is_none():
    """Nobody tries to join, so the server sends no row of `joinSuccessRate`."""
    start = T - T % 20 - 40
    none, some = ok(data=[]), ok(data=[{"ts": start, "userCount": 3}])
    harness = scripted(lambda request: none if ("metric", "joinSuccessRate") in request.query else some)

    async def work(client):
        return await taken(client.realtime.follow(["joinSuccessRate", "userCount"], since=start), count(1))

    (window,) = harness.run(work)
    assert window.values == {"joinSuccessRate": None, "userCount": 3}
    assert (window.missing, window.groups) == ((), {})


def test_each_group_has_every_metric(world):
    metrics = {"userCount", "joinSuccessRate"}
    windows, _ = followed(make_harness(world), sorted(metrics), 1800, by="net")
    assert {frozenset(values) for window in windows for values in window.groups.values()} == {
        frozenset(metrics)
    }


def test_repr_names_the_metrics_and_the_next_window(world):
    async def work(client):
        follow = client.realtime.follow(["userCount", "videoFreezeRate"], by="net")
        before = repr(follow)
        windows = await taken(follow, count(1))
        return before, repr(follow), windows[-1].end

    before, after, end = make_harness(world).run(work)
    question = "follow(['userCount', 'videoFreezeRate'], by='net')"
    assert before == f"<Follow of {question}; next: the first window; lost: 0>"
    assert after == before.replace(
        "the first window", f"{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}"
    )


def test_only_some_groups_are_followed(world):
    harness = make_harness(world)
    windows, _ = followed(harness, "userCount", 1800, by="net", values=["Wi-Fi"])
    assert {group for window in windows for group in window.groups} == {"Wi-Fi"}


def test_follow_waits_until_the_quota_resets(world):
    harness = make_harness(world)
    harness.clock.step(11.5 * 3600)
    ledger = MemoryLedger()

    async def work(client):
        for _ in range(3):
            await client.realtime.usage("userCount", "5m")
        ledger._spent = dict.fromkeys(ledger._spent, 1440)
        (window,) = await taken(client.realtime.follow("userCount"), count(1))
        return window, harness.clock.now()

    window, now = harness.run(work, ledger=ledger)
    assert T + 12 * 3600 < now < T + 12 * 3600 + 60
    assert window.ts <= T + 11.5 * 3600
    assert harness.refusals == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"code": 400, "message": "x"}, errors.BadRequest),
        ({"code": 401, "message": "x"}, errors.AuthenticationError),
        ({"code": 403, "message": "x"}, errors.AccessDenied),
        ({"code": 200, "data": 7}, errors.DecodeError),
    ],
)
def test_fatal_errors_end_the_iteration(body, error):
    harness = scripted(response(body))

    async def work(client):
        async for _ in client.realtime.follow("userCount"):
            pass

    with pytest.raises(error):
        harness.run(work)
    assert len(harness.transport.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"metrics": []}, "at least one to follow"),
        ({"metrics": "userCount", "share": 0}, "share=0"),
        ({"metrics": "userCount", "share": 1.5}, "share=1.5"),
        ({"metrics": "userCount", "since": T * 1000}, "milliseconds"),
        ({"metrics": ["userCount", "channelCount"], "by": "net"}, "channelCount takes no dimension"),
        ({"metrics": "networkDelay", "by": "channelSize"}, "channelSize is not a dimension"),
        ({"metrics": "networkDelay", "values": ["4G"]}, "values= needs a dimension"),
    ],
)
def test_invalid_arguments_of_follow_are_refused(arguments, why):
    async def work(client):
        await taken(client.realtime.follow(**arguments), count(1))

    with pytest.raises(errors.InvalidRequest, match=why):
        scripted(ok(data=[])).run(work)


def test_deadline_of_follow_is_for_each_request():
    """An attempt may take a third of it."""
    harness = scripted(response({"message": "slow"}, 408), ok(data=[{"ts": T - 60, "userCount": 1}]))

    async def work(client):
        return await taken(client.realtime.follow("userCount", since=T - 60, deadline=6), count(1))

    assert harness.run(work)[0].ts == T - 60
    assert [request.timeout for request in harness.transport.requests] == [2.0, 2.0]


def test_wrong_options_of_follow_are_refused():
    async def work(client):
        with pytest.raises(errors.InvalidRequest, match="deadline"):
            await taken(client.realtime.follow("userCount", deadline=0), count(1))
        with pytest.raises(TypeError, match="dead_line"):
            client.realtime.follow("userCount", dead_line=1)

    scripted(ok(data=[])).run(work)


def test_a_plan_without_real_time_is_refused():
    async def work(client):
        await taken(client.realtime.follow("userCount"), count(1))

    with pytest.raises(errors.InvalidRequest, match="premium or enterprise"):
        scripted(ok(data=[])).run(work, plan="standard")
