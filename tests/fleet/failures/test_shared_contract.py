"""A web backend and a pass use the contract of one account at the same time."""

import asyncio
import itertools

import pytest

from agora_analytics import AsyncAgora
from agora_analytics.engine.network.postgres import PostgresLedger
from tests.fleet.harness import SECRET

pytestmark = pytest.mark.fleet

CALLERS = 4
"""Requests that the backend has waiting at a time."""


async def backend(site, dsn):
    """Request the metrics of single calls until the pass has requested those of all calls; return how many it was."""
    (name,) = site.names
    seen = site.fleet.agora.seen.requests
    world = site.fleet.worlds[name]
    calls = itertools.cycle(world.calls)
    requests = 0
    account = {"app_id": world.app_id, "plan": "enterprise", "base_url": site.url}

    async def ask(client):
        nonlocal requests
        while seen["call/metrics"] - requests < site.fewest["call/metrics"]:
            call = next(calls)
            sids = [session.sid for session in call.sessions][:20]
            await client.metrics(call.call_id, call.created_ts, call.destroyed_ts, sids=sids).collect()
            requests += 1

    ledger = PostgresLedger(dsn)
    try:
        async with (
            AsyncAgora(f"customer-{name}", SECRET, ledger=ledger, **account) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CALLERS):
                group.create_task(ask(client))
    finally:
        await ledger.aclose()
    return requests


def test_backend_and_pass_share_the_rate_limit(site, postgres):
    site = site(1, calls=200)
    machine = site.machine()
    machine.start()
    site.queue.wait_until(lambda: site.requests >= 20, "the pass has begun")
    before = site.fleet.agora.seen.requests["call/metrics"]
    of_backend = asyncio.run(backend(site, postgres.dsn))
    of_pass = site.fewest["call/metrics"] - before
    site.wait_for_all()
    share = of_backend / (of_backend + of_pass)
    site.check(f"backend {of_backend} requests, pass {of_pass}: share {share:.2f}", most_extra=of_backend + 5)
    assert 0.3 <= share <= 0.7
