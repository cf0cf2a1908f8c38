"""The rate limit: bursts, and one limit for all clients of a process, whatever their keys."""

import asyncio

import pytest
from attrs import define, field

from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.opentok.spec import LIMITS, SESSION_DATA
from agora_analytics.simulator import OpenTokSimulator, OpenTokWorld, serve
from tests.conftest import response
from tests.harness import Scripted
from tests.opentok.harness import (
    DAY,
    IDS,
    KEY,
    NOW,
    SECRET,
    WORLD,
    data,
    make_harness,
    summaries,
    without_sharing,
)

LONG = RetryPolicy(deadline=None)
OTHER = "45000002"


@define
class Timed:
    """A transport that records when each request was sent."""

    transport: object
    clock: object
    times: list = field(factory=list)

    async def send(self, request):
        self.times.append(self.clock.now())
        return await self.transport.send(request)

    async def aclose(self):
        await self.transport.aclose()


@pytest.mark.parametrize("times", [5, LIMITS[SESSION_DATA].burst])
def test_burst_is_sent_at_once(times):
    harness = make_harness(latency=(0.1, 0.2))
    timed = Timed(harness.transport, harness.clock)

    async def job(client):
        without_sharing(client)
        await asyncio.gather(*(client.sessions(IDS[0]).collect() for _ in range(times)))

    harness.run(job, transport=timed)
    assert len(timed.times) == times
    assert max(timed.times) - NOW < 0.05


@pytest.mark.slow
def test_sliding_window_of_sent_requests_stays_below_100():
    """The simulator counts arrivals; this test counts sent requests of both endpoints, which share one budget."""
    harness = make_harness(latency=(0.01, 0.4))
    timed = Timed(harness.transport, harness.clock)

    async def job(client):
        without_sharing(client)
        sessions = (client.sessions(IDS[0]).collect() for _ in range(150))
        days = (client.project_data("9d").collect() for _ in range(150))
        await asyncio.gather(*sessions, *days)

    harness.run(job, transport=timed, retry=LONG, ledger=MemoryLedger())
    left = sorted(timed.times)
    assert len(left) == 300
    assert all(later - earlier > 30 for earlier, later in zip(left, left[99:], strict=False))


async def test_clients_with_different_keys_share_one_budget():
    """Over a socket, with the machine's clock and the default ledger of the process."""
    other = OpenTokWorld.generate(
        seed=7, since=NOW - 15 * DAY, until=NOW - 3600, sessions=1, project_id=OTHER
    )
    sim = OpenTokSimulator([WORLD, other], projects={KEY: SECRET, OTHER: SECRET})
    async with (
        serve(sim) as url,
        AsyncOpenTok(ProjectKey(KEY, SECRET), base_url=url) as one,
        AsyncOpenTok(ProjectKey(OTHER, SECRET), base_url=url) as two,
    ):
        for client in (one, two, one):
            await client.project_data("9d").collect()
        assert (one.sent.total(), two.sent.total()) == (2, 1)
        for client in (one, two):
            assert {quota.spent for quota in await client.quota()} == {3}
    assert sim.rate_windows.worst["address 127.0.0.1"] == 3


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry_after": "7"}, 7), ({}, 30), ({"retry_after": "soon"}, 30)]
)
def test_429_waits_for_retry_after_or_30_seconds(headers, seconds):
    """Another program uses the limit of the address."""
    harness = make_harness()
    script = Scripted(response({"message": "Too Many Requests"}, 429, **headers), data(summaries()))
    timed = Timed(script, harness.clock)
    assert harness.run(lambda client: client.session_summaries("2d").collect(), transport=timed) == []
    first, second = timed.times
    assert seconds <= second - first < seconds * 1.2 + 1
