"""Leases on a server whose replies the test decides."""

import asyncio

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.network.leases import Leases
from agora_analytics.engine.network.server import LeaseReply
from agora_analytics.engine.network.server_clock import ServerClock
from agora_analytics.engine.pace import Pace

PACE = Pace(requests=100, period=1.0, gap=0.01)


class OneSlotServer:
    """Grants one slot a reply, and replies when the test says so."""

    def __init__(self):
        self.places = 0
        self.asked = asyncio.Event()
        self.may_reply = asyncio.Event()

    async def reserve(self, _):
        self.asked.set()
        await self.may_reply.wait()
        self.places += 1
        return LeaseReply(now=0.0, seq=self.places, slots=(0.0,), predecessors=(0.0,), frees=(0.0,))


async def test_callers_that_arrive_with_a_reply_wait_for_the_next_one():
    """The first caller takes the slot before the one that waits for the reply, and before the lease is recorded as ended."""
    times = iter([0.0] * 1_000)  # an endless loop without a wait uses them up

    def now():
        return next(times)

    server, clock = OneSlotServer(), ServerClock(now)
    clock.learn(0.0, sent=0.0, received=0.0)
    leases = Leases(
        Budget("account", "call/lists"),
        1_000,
        server=server,
        clock=clock,
        fence=None,
        ahead=0.5,
        now=now,
        release=lambda *_: None,
    )

    def caller():
        return asyncio.create_task(leases.take("2026-11-19", PACE, waiting=1, delay=0.0))

    waiting = caller()
    await server.asked.wait()
    server.may_reply.set()
    callers = [waiting, caller(), caller()]
    grants = await asyncio.gather(*callers)
    assert sorted(grant.seq for grant in grants) == [1, 2, 3]
