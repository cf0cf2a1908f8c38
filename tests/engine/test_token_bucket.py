"""The token bucket of every endpoint and plan: an `aiolimiter.AsyncLimiter` with the numbers of the plan table."""

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from agora_analytics import AsyncAgora
from agora_analytics.agora.plans import PLANS
from agora_analytics.apsaravideo.spec import LIMITS as APSARAVIDEO
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.signaling.limits import LIMITS as SIGNALING
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, a_pace, leave, send

ROWS = {f"{plan.name} {name}": limits for plan in PLANS.values() for name, limits in plan.limits.items()} | {
    name: limits for table in (APSARAVIDEO, SIGNALING) for name, limits in table.items()
}


def new_limiter(limits: Limits, clock: VirtualClock, ledger) -> Limiter:
    return Limiter(
        Budget("account", "endpoint"),
        limits,
        ledger=ledger,
        clock=clock,
        server_time=ServerTime(clock),
        observer=lambda _: None,
    )


@pytest.mark.parametrize("plan", PLANS)
def test_every_endpoint_of_a_plan_has_a_token_bucket(plan):
    async def work():
        async with AsyncAgora("id", "secret", app_id="app", plan=plan) as client:
            for name, limits in PLANS[plan].limits.items():
                bucket = client._engine._limiter(Endpoint(name=name, path="/")).bucket
                assert isinstance(bucket, AsyncLimiter)
                assert (bucket.max_rate, bucket.time_period) == (limits.requests, limits.period)

    run_virtual(work(), VirtualClock(NOW))


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "sqlite"])
@pytest.mark.parametrize("limits", ROWS.values(), ids=ROWS)
def test_the_bucket_does_not_delay_what_the_guard_admits(limits, shared, tmp_path):
    clock = VirtualClock(NOW)
    ledger = SqliteLedger(tmp_path / "ledger") if shared else MemoryLedger()

    async def work():
        limiter = new_limiter(limits, clock, ledger)
        for _ in range(min(3 * limits.requests, 40)):
            grant = await limiter.acquire()
            admitted = asyncio.get_running_loop().time()
            await send(limiter, grant)
            assert asyncio.get_running_loop().time() == admitted
        await ledger.aclose()

    run_virtual(work(), clock)


def test_the_bucket_holds_the_rate_if_the_guard_fails():
    clock = VirtualClock(NOW)
    limits = Limits(requests=10, per_day=1_000, reach=86_400, span=None, delay=0)
    sent = []

    async def work():
        limiter = new_limiter(limits, clock, MemoryLedger())
        limiter.guard.pace = lambda: a_pace(0.0)  # a guard that admits everything
        for _ in range(60):
            await leave(limiter)
            sent.append(asyncio.get_running_loop().time())

    run_virtual(work(), clock)
    for count in range(1, 60):
        most = limits.requests + limits.requests * (sent[count] - sent[0]) / limits.period
        assert count + 1 <= most + 1e-6


def test_a_cancelled_wait_for_the_bucket_releases_the_request():
    clock, ledger = VirtualClock(NOW), MemoryLedger()
    limits = Limits(requests=1, per_day=10, reach=86_400, span=None, delay=0)

    async def work():
        limiter = new_limiter(limits, clock, ledger)
        limiter.guard.pace = lambda: a_pace(0.0)
        await leave(limiter)
        grant = await limiter.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await send(limiter, grant)
        return await ledger.spent(limiter.budget, "2026-11-19")

    assert run_virtual(work(), clock) == (1, False)
