"""Rate limits of the Agora simulator: fixed UTC windows and days, and its counters."""

import pytest
from attrs import evolve

from agora_analytics.agora.plans import CALL_LISTS, ENTERPRISE, PREMIUM
from agora_analytics.core.limits import Limits
from agora_analytics.simulator import Seen, Simulator, World

QPS, QPM, QPD = (f"Service package limit check error, {name} limit error" for name in ("qps", "qpm", "qpd"))


def plan_of(**changes):
    return evolve(PREMIUM, limits={name: evolve(row, **changes) for name, row in PREMIUM.limits.items()})


async def messages(api, count, endpoint="call/lists", **query):
    bodies = [await api.body(endpoint, **query) for _ in range(count)]
    return [body["message"] if body["code"] == 300 else "" for body in bodies]


@pytest.mark.parametrize(("plan", "per_second"), [("standard", 1), ("premium", 3), ("enterprise", 10)])
async def test_second_is_a_fixed_window_of_the_utc_clock(small_world, clock, connected, t, plan, per_second):
    sim = Simulator(small_world, plan, now=clock)
    async with connected(sim) as api:
        clock.now = t + 0.99
        assert await messages(api, per_second + 1) == [""] * per_second + [QPS]
        clock.now = t + 1.0  # 10 ms later, but another second
        assert await messages(api, per_second) == [""] * per_second
    assert sim.seen.worst_window("call/lists") == per_second + 1
    assert sim.seen.worst_sliding("call/lists") == 2 * per_second + 1
    assert sim.seen.refused["call/lists", QPS] == 1
    assert sim.seen.accepted["call/lists"] == 2 * per_second


async def test_clock_that_is_set_moves_the_windows(small_world, clock, connected, t):
    sim = Simulator(small_world, "premium", now=clock)
    async with connected(sim) as api:
        assert await messages(api, 3) == [""] * 3
        sim.clock_skew = 1.0
        assert await messages(api, 3) == [""] * 3
        assert (await api.get("call/lists")).headers["date"] == "Thu, 19 Nov 2026 00:00:01 GMT"
        sim.clock_skew = 0.0  # the first second again, which keeps its requests
        assert await messages(api, 1) == [QPS]
    assert sim.seen.worst_window("call/lists") == 4


async def test_minute_window_refuses_with_qpm(small_world, clock, connected, t):
    sim = Simulator(small_world, plan_of(requests=2, period=60.0), now=clock)
    async with connected(sim) as api:
        clock.now = t + 59
        assert await messages(api, 3) == ["", "", QPM]
        clock.now = t + 60
        assert await messages(api, 1) == [""]
    assert sim.seen.worst_window("call/lists", period=60) == 3


async def test_daily_quota_ends_at_midnight_utc_and_ignores_refused_seconds(small_world, clock, connected, t):
    sim = Simulator(small_world, plan_of(requests=3, per_day=5), now=clock)
    async with connected(sim) as api:
        clock.now = t + 86_400 - 2
        assert await messages(api, 4, start_ts=t) == ["", "", "", QPS]
        clock.now += 1
        assert await messages(api, 3, start_ts=t) == ["", "", QPD]
        clock.now += 1
        assert await messages(api, 1, start_ts=t) == [""]
    assert sim.seen.by_day == {("call/lists", "2026-11-19"): 7, ("call/lists", "2026-11-20"): 1}


async def test_each_endpoint_has_its_own_budget_unless_shared(small_world, clock, connected):
    query = {"call_id": "mid", "sids": "S-1"}
    for shared, last in ((False, ""), (True, QPS)):
        async with connected(Simulator(small_world, "standard", now=clock, shared_budget=shared)) as api:
            assert await messages(api, 1) == [""]
            assert await messages(api, 1, "call/sessions", **query) == [""]
            assert await messages(api, 1, "call/metrics", **query) == [last]


async def test_each_app_has_its_own_budget(small_world, clock, connected):
    other = World([], app_id="f" * 32)
    sim = Simulator([small_world, other], "standard", now=clock)
    async with connected(sim) as api:
        query = {"start_ts": int(clock.now) - 900, "end_ts": int(clock.now) - 600}
        codes = [
            (await api.http.get("/beta/analytics/call/lists", params={"appid": app_id} | query)).json()[
                "code"
            ]
            for app_id in (small_world.app_id, other.app_id, small_world.app_id)
        ]
    assert codes == [200, 200, 300]


async def test_credentials_of_one_account_share_its_quota(small_world, clock, connected):
    sim = Simulator(small_world, "standard", now=clock, credentials={"one": "1", "two": "2"})
    codes = []
    for auth in (("one", "1"), ("two", "2")):
        async with connected(sim, auth) as api:
            codes.append((await api.body("call/lists"))["code"])
    assert codes == [200, 300]


async def test_invalid_request_spends_quota(small_world, clock, connected):
    async with connected(Simulator(small_world, "standard", now=clock)) as api:
        assert (await api.body("call/lists", start_ts=None))["code"] == 400
        assert await messages(api, 1) == [QPS]


def test_worst_sliding_spans_fixed_windows():
    seen = Seen()
    for ts in (10.5, 10.9, 11.1, 11.4, 11.5, 20.0):
        seen.arrived("call/lists", ts)
    assert seen.worst_window("call/lists") == 3
    assert seen.worst_sliding("call/lists") == 4  # 10.5 to 11.4; 11.5 is one second after 10.5
    assert seen.worst_window("call/metrics") == seen.worst_sliding("call/metrics") == 0


def test_simulator_enforces_the_plan_table_of_the_client():
    assert isinstance(ENTERPRISE.limits[CALL_LISTS], Limits)
    assert Simulator([], "enterprise").plan is ENTERPRISE
    with pytest.raises(KeyError):
        Simulator([], "platinum")
