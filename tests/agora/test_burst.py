"""Limits a minute: a burst leaves at once, and no minute of any kind ever holds more than the plan allows."""

import random

import anyio
import pytest
from attrs import evolve

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics.agora.plans import ENTERPRISE, PREMIUM, REALTIME_USAGE
from agora_analytics.engine.events import Waited
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from tests.agora.harness import make_harness
from tests.conftest import slow

PLANS = {"premium": PREMIUM, "enterprise": ENTERPRISE}


def plan_with(plan, **changes):
    """Return a plan whose day is long enough to be busy for hours."""
    limits = evolve(PLANS[plan].limits[REALTIME_USAGE], per_day=100_000, **changes)
    return evolve(PLANS[plan], limits={REALTIME_USAGE: limits})


def busy_harness(plan, **more):
    return make_harness(None, plan, latency=(0.02, 0.09), **more)


async def busy(client, clock, hours, seed=1):
    """Ask in bursts of any size, after rests of any length."""
    rng = random.Random(seed)
    end = clock.now() + hours * 3600
    while clock.now() < end:
        for _ in range(rng.choice((1, 2, 5, 12))):
            await client.realtime.usage(since="3m")
        await anyio.sleep(rng.choice((0.0, 0.3, 7.0, 31.0, 61.0, 300.0)) * rng.random())


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("burst", [3, *map(slow, (1, 2, 8))])
def test_no_minute_holds_more_than_the_plan_allows(name, burst):
    plan = plan_with(name, burst=burst)
    harness = busy_harness(plan)
    harness.run(lambda client: busy(client, harness.clock, hours=4))
    allowed = plan.limits[REALTIME_USAGE].requests
    seen = harness.simulator.seen
    assert seen.worst_window(REALTIME_USAGE, 60) <= allowed
    assert seen.worst_window(REALTIME_USAGE, 60) <= allowed
    assert harness.refusals == {}
    assert seen.requests[REALTIME_USAGE] > 4 * 60 * 0.4 * (
        allowed + 1 - min(burst, allowed)
    )  # and it is not idle


@pytest.mark.parametrize("name", PLANS)
def test_burst_is_sent_immediately_and_the_next_request_waits(name):
    harness = busy_harness(plan_with(name))
    limits = harness.settings["plan"].limits[REALTIME_USAGE]

    async def work(client):
        for _ in range(2):
            begin = harness.clock.now()
            for _ in range(limits.burst):
                await client.realtime.usage(since="3m")
            assert harness.clock.now() - begin < 1
            await anyio.sleep(limits.burst * 61)
        assert harness.events_of(Waited) == []
        for _ in range(limits.burst + 1):
            await client.realtime.usage(since="3m")

    harness.run(work)
    (waited,) = harness.events_of(Waited)
    assert waited.rule == f"the rate limit of {limits.requests} requests in 60 s"
    assert 1 <= waited.seconds <= 60


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_two_clients_that_share_a_ledger_share_the_burst(kept, tmp_path):
    ledger = MemoryLedger() if kept == "in memory" else SqliteLedger(tmp_path / "ledger")
    plan = plan_with("enterprise")
    harness = busy_harness(plan, client={"ledger": ledger})
    other = harness.client()

    async def work(client):
        async with other, anyio.create_task_group() as tasks:
            tasks.start_soon(busy, client, harness.clock, 2, 1)
            tasks.start_soon(busy, other, harness.clock, 2, 2)
        await ledger.aclose()

    harness.run(work)
    assert harness.simulator.seen.worst_window(REALTIME_USAGE, 60) <= 10
    assert harness.refusals == {}


def test_rate_limited_response_overrides_the_burst():
    harness = busy_harness(plan_with("enterprise"), server_plan=plan_with("enterprise", requests=4))

    async def work(client):
        for _ in range(20):
            await client.realtime.usage(since="3m")

    harness.run(work)
    assert sum(harness.refusals.values()) < 12
