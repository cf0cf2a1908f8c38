"""Real-time against the simulator: the grid, the ends, users and groups, and what is refused before it is sent."""

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agora_analytics import errors
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.enums import QualityMetric, RealtimeMetric
from agora_analytics.simulator import Simulator, World, serve
from tests.agora.cases import CASES, name_of
from tests.agora.harness import make_harness, scripted
from tests.conftest import CUSTOMER, NOW, SECRET, ok

T = int(NOW)


@pytest.fixture(scope="module")
def world():
    return World.generate(seed=5, since=T - 3600, until=T, calls=60, simple=True)


@pytest.fixture
def harness(world):
    return make_harness(world)


def true_users(world, ts):
    return len(
        {
            (call.call_id, session.uid)
            for call in world.calls
            for session in call.sessions
            if session.join_ts < ts + 20 and session.leave_ts > ts and session.platform != "Web"
        }
    )


def test_window_of_the_start_is_included_and_of_the_end_excluded(harness):
    rows = harness.run(lambda client: client.realtime.usage("userCount", T - 590, T - 540))
    assert [row.ts for row in rows] == [T - 600, T - 580, T - 560]
    assert [row.value for row in rows] == [true_users(harness.world, row.ts) for row in rows]


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [(-600, -540, -600, -560), (-581, -579, -600, -580), (-580, -560, -580, -580), (-561, -560, -580, -580)],
)
def test_ranges_are_widened_to_the_grid(harness, since, until, first, last):
    rows = harness.run(lambda client: client.realtime.usage("channelCount", T + since, T + until))
    assert [row.ts for row in rows] == list(range(T + first, T + last + 1, 20))
    assert harness.refusals == {}


@pytest.mark.parametrize(("plan", "reach", "delay"), [("premium", 2400, 40), ("enterprise", 3600, 20)])
def test_the_whole_reach_takes_one_request(world, plan, reach, delay):
    harness = make_harness(world, plan)
    rows = harness.run(lambda client: client.realtime.usage(since="5h"))
    times = [row.ts for row in rows]
    assert times == list(range(times[0], times[-1] + 1, 20))
    assert T - reach < times[0] <= T - reach + 24
    assert T - delay - 44 <= times[-1] < T - delay - 20
    assert harness.requests == {"realtime/usage/by_time_20sec": 1}
    assert harness.refusals == {}


def test_groups_add_up_in_every_window(harness):
    async def work(client):
        live = client.realtime
        total = await live.usage("userCount", "10m")
        groups = await live.usage("userCount", "10m", by="net")
        some = await live.usage("userCount", "10m", by="net", values=["4G"])
        return total, groups, some

    total, groups, some = harness.run(work)
    for row in total:
        assert row.value == sum(each.value for each in groups if each.ts == row.ts)
    assert [row for row in groups if row.dimension_value == "4G"] == list(some)
    assert [row.ts for row in groups] == sorted(row.ts for row in groups)


def test_ten_users_take_one_request(harness):
    call = max(harness.world.calls, key=lambda call: (call.destroyed_ts > T - 900, len(call.sessions)))
    uids = [session.uid for session in call.sessions]
    many = [*uids, *uids, *range(30)]

    async def work(client):
        (cost,) = await client.realtime.estimate("audioFreezeRate", "50m", uids=len(set(map(str, many))))
        rows = await client.realtime.quality("audioFreezeRate", "50m", cname=call.cname, uids=many)
        return cost, rows

    cost, rows = harness.run(work)
    assert harness.requests == {"realtime/quality/by_time_20sec": cost.requests}
    assert cost.requests == -(-len(set(map(str, many))) // 10)
    assert {row.uid for row in rows} <= set(uids)
    assert len({(row.uid, row.ts) for row in rows}) == len(rows)
    assert harness.refusals == {}


def test_top_groups_of_the_newest_window_and_of_a_time(harness):
    async def work(client):
        live = client.realtime
        newest = await live.top_usage("country")
        then = await live.top_quality(["audioFreezeRate", "networkDelay"], "country", T - 590)
        total = await live.usage("userCount", T - 600, T - 580)
        return newest, then, total

    newest, then, (total,) = harness.run(work)
    assert (
        newest[0].window_start_ts == T - 60
    )  # 20 s of delay: what ended at T - 20 is a bound, and not in reach
    assert [row.value for row in newest] == sorted((row.value for row in newest), reverse=True)
    assert {row.window_start_ts for row in then} == {T - 600}
    assert all(row.window_end_ts - row.window_start_ts == 20 for row in then)
    assert sum(row.user_count for row in then if row.metric == "networkDelay") == total.value


def test_an_estimate_of_counts_and_rates(harness):
    costs = harness.run(lambda client: client.realtime.estimate(RealtimeMetric, "30m"))
    assert {cost.endpoint: (cost.requests, cost.left) for cost in costs} == {
        "realtime/usage/by_time_20sec": (2, 1440),
        "realtime/quality/by_time_20sec": (5, 1440),
    }
    assert harness.requests == {}


def test_an_estimate_of_the_top_groups_is_what_they_cost(harness):
    async def work(client):
        live = client.realtime
        costs = await live.estimate(["userCount", "audioFreezeRate", "networkDelay"], "3d", top=True)
        await live.top_usage("os")
        await live.top_quality(["audioFreezeRate", "networkDelay"], "os")
        return {cost.endpoint: cost.requests for cost in costs}

    assert harness.run(work) == harness.requests
    assert sorted(harness.requests.values()) == [1, 2]


def test_values_and_users_in_the_query():
    harness = scripted(ok(data=[]))

    async def work(client):
        await client.realtime.usage(
            since=T - 600, until=T - 540, by="os", values=["iOS", "a b", "iOS"], cname="r"
        )
        await client.realtime.quality(
            "networkDelay", T - 600, T - 540, cname="r", uids=[7, "7", 5_000_000_000]
        )

    harness.run(work)
    first, second = (dict(request.query) for request in harness.transport.requests)
    assert first["dimensionValues"] == '"iOS","a b"'
    assert (first["startTs"], first["endTs"], first["cname"]) == (str(T - 600), str(T - 540), "r")
    assert second["uids"] == "7,5000000000"


def test_validate_false_sends_the_ends_and_the_time_unchanged():
    harness = scripted(ok(data=[]), ok(data={"list": []}))

    async def work(client):
        await client.realtime.usage("userCount", T - 605, T - 541, validate=False)
        await client.realtime.top_usage("os", T * 1000, validate=False)

    harness.run(work)
    over_time, top = (dict(request.query) for request in harness.transport.requests)
    assert (over_time["startTs"], over_time["endTs"]) == (str(T - 605), str(T - 541))
    assert top["ts"] == str(T * 1000)


REFUSED = {
    "no metric is given; pass one of": lambda r: r.usage(()),
    "videoFreezeRate is not a metric of this endpoint; it has channelCount, userCount": lambda r: r.usage(
        "videoFreezeRate"
    ),
    "userCount is not a metric": lambda r: r.quality(["userCount"]),
    "channelCount takes no dimension": lambda r: r.usage("channelCount", by="os"),
    "uids= needs a channel": lambda r: r.quality("networkDelay", uids=["7"]),
    "is not a user id": lambda r: r.quality("networkDelay", cname="r", uids=["7,8"]),
    "channelSize is not a dimension": lambda r: r.top_usage("channelSize"),
    "peakConcurrentUsers is not a metric": lambda r: r.top_quality("peakConcurrentUsers", "os"),
    "the dimension is empty": lambda r: r.top_usage(""),
    "data comes 20 s late": lambda r: r.usage("userCount", "10s"),
    "the plan reaches 60 min": lambda r: r.quality("networkDelay", "3h", "2h"),
    "no whole window of 20 s": lambda r: r.usage("userCount", "30s"),
    "at=.* looks like milliseconds": lambda r: r.top_usage("os", T * 1000),
    "is too recent": lambda r: r.top_usage("os", "now"),
    "channelCount is not a metric of this endpoint; it has userCount": lambda r: r.estimate(
        "channelCount", top=True
    ),
    "cannot be combined with uids=": lambda r: r.estimate("networkDelay", uids=3, top=True),
    "no metric is given; pass at least one": lambda r: r.estimate(()),
}


@pytest.mark.parametrize("why", REFUSED)
def test_invalid_arguments_take_no_request(why):
    harness = scripted(ok(data=[]))
    with pytest.raises(errors.InvalidRequest, match=why):
        harness.run(lambda client: REFUSED[why](client.realtime))
    assert harness.transport.requests == []


@pytest.mark.parametrize("wrong_by", [-60, -5, -3, 3, 5, 60])
@pytest.mark.parametrize(
    "question",
    [
        lambda client: client.realtime.usage("userCount", "60m", "now"),
        lambda client: client.realtime.top_usage("country"),
        lambda client: client.insights.usage("userCount", "30d", "29d"),
        lambda client: client.calls("15d", "now").collect(),
    ],
    ids=["realtime", "top", "insights", "calls"],
)
def test_wrong_clock_costs_at_most_one_request(world, question, wrong_by):
    class Wrong:
        def now(self):
            return harness.clock.now() + wrong_by

    harness = make_harness(world, client={"clock": Wrong()})

    async def twice(client):
        return [len(await question(client)) for _ in range(2)]

    first, second = harness.run(twice)
    assert 0 < first <= second + 1  # the newest window may be available by the wrong clock only
    assert sum(harness.refusals.values()) <= 1


def test_range_that_goes_out_of_reach_while_waiting_is_not_sent(harness):
    async def work(client):
        live = client.realtime
        for _ in range(10):  # all of the minute
            await live.usage("userCount", "1m")
        with pytest.raises(errors.WindowOutOfReach, match="the plan reaches 60 min"):
            await live.usage("userCount", T - 3580, T - 3560)
        (cost,) = await live.estimate("userCount", "1m")
        return cost.left

    assert harness.run(work) == 1440 - 10
    assert harness.requests == {"realtime/usage/by_time_20sec": 10}
    assert harness.refusals == {}


@pytest.mark.parametrize("question", CASES, ids=name_of)
async def test_each_method_works_over_a_real_socket(question):
    world = World.generate(
        seed=5, since=T - 3 * 86_400, until=T, calls=150, simple=True, minutes=120, max_minutes=240
    )
    sim = Simulator(world, now=lambda: NOW)

    class Standing:
        def now(self):
            return NOW

    async with (
        serve(sim) as url,
        AsyncAgora(
            CUSTOMER, SECRET, app_id=world.app_id, plan="enterprise", base_url=url, clock=Standing()
        ) as client,
    ):
        rows = await question.ask(client)
    assert sim.seen.requests == {question.endpoint: 1}
    assert sim.seen.refused == {}
    assert rows.meta[0].request_id
    if not question.endpoint.startswith("call/") and "values" not in str(
        question.data
    ):  # those name nobody of this world
        assert len(rows) > 0
    assert {row.metric for row in rows} <= {*QualityMetric, "userCount"}
