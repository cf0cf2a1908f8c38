"""`AsyncAgora` and `AsyncAgoraBeta` request the same path for lists of calls, so they share its rate and quota."""

import asyncio

import pytest

from agora_analytics.agora.beta import AsyncAgoraBeta
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import QuotaExhausted
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, ok
from tests.harness import Scripted

SETTINGS = {"app_id": "app", "base_url": "http://127.0.0.1:9"}
EMPTY = ok(call_lists=[], total_size=0, has_more=False)


class Recorder(Scripted):
    """Records when each request arrived, and the client that sent it."""

    def __init__(self, clock):
        super().__init__(EMPTY)
        self.clock = clock
        self.arrivals = []

    async def send(self, request):
        sender = "today" if "page_no" in dict(request.query) else "beta"
        self.arrivals.append((self.clock.now(), sender))
        return await super().send(request)


def clients(transport, clock, *ledgers):
    options = {"transport": transport, "clock": clock, **SETTINGS}
    today = AsyncAgora("id", "secret", plan="premium", ledger=ledgers[0], **options)
    return today, AsyncAgoraBeta("id", "secret", ledger=ledgers[-1], **options)


async def both(today, beta, calls):
    async with today, beta:
        asks = [
            client.calls("2h", "1h", cname=f"room {i}").collect()
            for client in (today, beta)
            for i in range(calls)
        ]
        await asyncio.gather(*asks)
        quotas = [quota for client in (today, beta) for quota in await client.quota()]
        return [quota.spent for quota in quotas if quota.endpoint in {"call/lists", "beta/call/lists"}]


def worst(arrivals, period=1.0):
    times = sorted(at for at, _ in arrivals)
    return max(sum(at <= other < at + period for other in times) for at in times)


def test_clients_that_share_a_ledger_stay_within_one_rate():
    """Both have 3 requests a second: together 3, not 6."""
    clock, ledger = VirtualClock(NOW), MemoryLedger()
    transport = Recorder(clock)
    assert run_virtual(both(*clients(transport, clock, ledger, ledger), 12), clock) == [24, 24]
    assert worst(transport.arrivals) == 3
    assert {sender for _, sender in transport.arrivals} == {"today", "beta"}


@pytest.mark.parametrize("first", ["today", "beta"])
def test_each_client_of_a_shared_budget_keeps_its_own_rate(first):
    """A plan with 10 a second: the beta's own requests have at most 3, whichever client is first."""
    clock, ledger = VirtualClock(NOW), MemoryLedger()
    transport = Recorder(clock)
    options = {"transport": transport, "clock": clock, "ledger": ledger, **SETTINGS}

    async def job():
        today = AsyncAgora("id", "secret", plan="enterprise", **options)
        beta = AsyncAgoraBeta("id", "secret", **options)
        async with today, beta:
            for client in (today, beta) if first == "today" else (beta, today):
                rooms = [client.calls("2h", "1h", cname=f"room {i}") for i in range(25)]
                await asyncio.gather(*(room.collect() for room in rooms))

    run_virtual(job(), clock)
    of = {name: [each for each in transport.arrivals if each[1] == name] for name in ("today", "beta")}
    assert (worst(of["today"]), worst(of["beta"])) == (10, 3)
    assert worst(transport.arrivals) == 10


def test_two_ledgers_in_one_file_share_the_quota(tmp_path):
    """As two processes do: each opens the file itself."""
    clock, path = VirtualClock(NOW), tmp_path / "ledger.sqlite3"
    one, other = SqliteLedger(path), SqliteLedger(path)
    transport = Recorder(clock)

    async def job():
        today, beta = clients(transport, clock, one, other)
        async with today, beta:
            await today.calls("2h", "1h").collect()
            await beta.calls("2h", "1h").collect()
            budget = today._engine._budget("call/lists")
            await one.close_day(budget, "2026-11-19")
            with pytest.raises(QuotaExhausted):
                await beta.calls("2h", "1h").collect()
            return [q.spent for q in await beta.quota() if q.endpoint == "beta/call/lists"]

    try:
        assert run_virtual(job(), clock) == [2]
    finally:
        one.close()
        other.close()


def test_usage_by_the_day_shares_its_quota_too():
    clock, ledger = VirtualClock(NOW), MemoryLedger()
    today, beta = clients(Recorder(clock), clock, ledger)
    names = "insight/usage/by_time", "beta/insight/usage/by_time"
    assert today._engine._budget(names[0]) == beta._engine._budget(names[1])


def test_endpoints_of_the_beta_alone_have_their_own_budget():
    clock, ledger = VirtualClock(NOW), MemoryLedger()
    today, beta = clients(Recorder(clock), clock, ledger)
    budgets = {beta._engine._budget(name) for name in beta.settings.plan.limits}
    others = {today._engine._budget(name) for name in today.settings.plan.limits}
    assert len(budgets & others) == 2
