"""Accounts whose host stops responding, on virtual time: the others keep their pace."""

import asyncio

import pytest

from agora_analytics import MemoryLedger, SharedResources, harvest_accounts
from agora_analytics.simulator import Simulator, World
from agora_analytics.store import open_store
from agora_analytics.testing import VirtualClock, run_virtual
from tests.fleet.harness import SECRET, SECRETS, agora_entry, rows, truth, write_config
from tests.fleet.simulated import ByPort

NOW = 1_795_089_600
HANGING = tuple(f"hanging{number}" for number in range(7))


class Hanging(ByPort):
    """The second simulator lists calls, and responds to no other request."""

    async def send(self, request):
        if ":2/" in request.url and "/call/lists" not in request.url:
            request.on_sent()
            await asyncio.sleep(1e6)
        return await super().send(request)


@pytest.fixture
def pass_over(tmp_path, monkeypatch):
    """Return a function that harvests the healthy account, with or without the other one, into a store."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    def run(store, *names):
        clock = VirtualClock(NOW)
        worlds = {
            name: World.generate(
                seed=7,
                app_id=f"app-{name}",
                since=NOW - 30_000,
                until=NOW - 7200,
                calls=40,
                simple=True,
                interval=60,
            )
            for name in ("healthy", *HANGING)
        }
        simulators = [
            Simulator(
                [worlds[name] for name in each],
                credentials={f"customer-{name}": SECRET for name in each},
                now=clock.now,
                latency=(0.3, 0.5),
            )
            for each in (("healthy",), HANGING)
        ]
        entries = [
            agora_entry(name, f'base_url = "http://127.0.0.1:{1 if name == "healthy" else 2}"')
            for name in worlds
        ]
        config = write_config(tmp_path, "http://127.0.0.1:9", *entries)

        async def harvest_all():
            return await harvest_accounts(
                names,
                config,
                store=tmp_path / store,
                durable=False,
                clock=clock,
                ledger=MemoryLedger(),
                resources=SharedResources(transport=Hanging(*simulators)),
            )

        reports = run_virtual(harvest_all(), clock)
        stored = rows(open_store(tmp_path / store))
        assert stored["app-healthy"] == truth(worlds["healthy"], clock.now())
        return reports

    return run


def test_hanging_host_does_not_slow_down_another_account(pass_over):
    """Without guaranteed parts of the pool, it takes 245 seconds in place of 7: until the deadlines of the others."""
    alone = pass_over("alone", "healthy")["healthy"].report
    reports = pass_over("all", "healthy", *HANGING)
    assert [name for name, report in reports.items() if report.error is None] == ["healthy"]
    assert reports["healthy"].complete
    assert reports["healthy"].report.seconds < 2 * alone.seconds
