"""Planted calls, served by a simulator over a socket and harvested into a store."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from agora_analytics import AsyncAgora, MemoryLedger
from agora_analytics.harvest import harvest
from agora_analytics.simulator import DEMO_CREDENTIALS, Simulator, planted_call, planted_world, serve
from agora_analytics.store import open_store

((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()
SEEDS = {
    "server_loss": 1, "cpu": 77, "low_bitrate": 75, "silent_microphone": 118, "reconnects": 109, "join_failure": 12,
    "unknown": 13, "none": 33,
}  # fmt: skip


class Fixed:
    """A clock that stands still."""

    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now


@asynccontextmanager
async def client_of(planted, **options):
    """Open a client of a simulator with these calls."""
    world = planted_world(planted)
    clock = Fixed(max(each.call.destroyed_ts for each in planted) + 7200.0)
    async with (
        serve(Simulator(world, now=clock.now)) as url,
        AsyncAgora(
            CUSTOMER, SECRET, app_id=world.app_id, base_url=url, clock=clock, ledger=MemoryLedger(),
            **({"plan": "enterprise"} | options),
        ) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture(scope="session")
def planted():
    """One planted call for some causes."""
    return {name: planted_call(seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="session")
def store(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosis") / "calls.store"

    async def fill():
        async with client_of(list(planted.values())) as client:
            begin = min(each.call.created_ts for each in planted.values())
            until = max(each.call.destroyed_ts for each in planted.values()) + 60
            opened = open_store(folder, create=True, durable=False)
            report = await harvest(client, since=begin - 60, until=until, store=opened)
            assert report.calls == len(planted)

    asyncio.run(fill())
    return open_store(folder)
