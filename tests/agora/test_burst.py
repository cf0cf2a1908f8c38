"""Limits a minute: a burst leaves at once, and no minute of any kind ever holds more than the plan allows."""

import random

import anyio
import pytest
from attrs import evolve

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import ENTERPRISE, PREMIUM, REALTIME_USAGE
from agora_analytics.engine.events import Waited
from agora_analytics.engine.ledger import MemoryLedger, SqliteLedger
from tests.agora.stage import Stage
from tests.conftest import CUSTOMER, SECRET

PLANS = {"premium": PREMIUM, "enterprise": ENTERPRISE}


def plan_with(plan, **changes):
    """Return a plan whose day is long enough to be busy for hours."""
    limits = evolve(PLANS[plan].limits[REALTIME_USAGE], per_day=100_000, **changes)
    return evolve(PLANS[plan], limits={REALTIME_USAGE: limits})


def stage_of(plan, **more):
    return Stage(None, plan, latency=(0.02, 0.09), **more)


async def busy(client, clock, hours, seed=1):
    """Ask in bursts of any size, after rests of any length."""
    rng = random.Random(seed)
    end = clock.now() + hours * 3600
    while clock.now() < end:
        for _ in range(rng.choice((1, 2, 5, 12))):
            await client.realtime.usage(since="3m")
        await anyio.sleep(rng.choice((0.0, 0.3, 7.0, 31.0, 61.0, 300.0)) * rng.random())


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("burst", [1, 2, 3, 8])
def test_no_minute_holds_more_than_the_plan_allows(name, burst):
    plan = plan_with(name, burst=burst)
    stage = stage_of(plan)
    stage.run(busy(stage.client, stage.clock, hours=4))
    allowed = plan.limits[REALTIME_USAGE].requests
    seen = stage.sim.seen
    assert seen.worst_window(REALTIME_USAGE, 60) <= allowed
    assert seen.worst_sliding(REALTIME_USAGE, 60) <= allowed
    assert stage.refusals == {}
    assert seen.requests[REALTIME_USAGE] > 4 * 60 * 0.4 * (
        allowed + 1 - min(burst, allowed)
    )  # and it is not idle


@pytest.mark.parametrize("name", PLANS)
def test_a_burst_leaves_at_once_after_a_rest_and_the_next_request_is_told_to_wait(name):
    stage = stage_of(plan_with(name))
    limits = stage.client.settings.plan.limits[REALTIME_USAGE]

    async def work():
        for _ in range(2):
            begin = stage.clock.now()
            for _ in range(limits.burst):
                await stage.client.realtime.usage(since="3m")
            assert stage.clock.now() - begin < 1
            await anyio.sleep(limits.burst * 61)
        assert [event for event in stage.events if isinstance(event, Waited)] == []
        for _ in range(limits.burst + 1):
            await stage.client.realtime.usage(since="3m")

    stage.run(work())
    (waited,) = [event for event in stage.events if isinstance(event, Waited)]
    assert waited.rule == f"the rate limit of {limits.requests} requests in 60 s"
    assert 1 <= waited.seconds <= 60


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_two_clients_that_share_a_ledger_share_the_burst(kept, tmp_path):
    ledger = MemoryLedger() if kept == "in memory" else SqliteLedger(tmp_path / "ledger")
    plan = plan_with("enterprise")
    stage = stage_of(plan, client={"ledger": ledger})
    other = AsyncAgora(
        CUSTOMER,
        SECRET,
        app_id=stage.world.app_id,
        plan=plan,
        base_url="http://127.0.0.1:9",
        transport=stage.client._engine._requests._transport,
        clock=stage.clock,
        ledger=ledger,
    )

    async def work():
        async with other, anyio.create_task_group() as tasks:
            tasks.start_soon(busy, stage.client, stage.clock, 2, 1)
            tasks.start_soon(busy, other, stage.clock, 2, 2)
        await ledger.aclose()

    stage.run(work())
    assert stage.sim.seen.worst_sliding(REALTIME_USAGE, 60) <= 10
    assert stage.refusals == {}


def test_a_server_that_counted_too_many_is_waited_for_in_spite_of_the_burst():
    stage = stage_of(plan_with("enterprise"), server_plan=plan_with("enterprise", requests=4))

    async def work():
        for _ in range(20):
            await stage.client.realtime.usage(since="3m")

    stage.run(work())
    assert sum(stage.refusals.values()) < 12
