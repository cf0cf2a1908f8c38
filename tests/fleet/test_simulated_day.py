"""A day of many accounts on virtual time, each with a plan and calls of its own."""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from agora_analytics import MemoryLedger, SharedResources, harvest_accounts
from agora_analytics.simulator import Simulator, World
from agora_analytics.store import open_store
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import slow
from tests.fleet.harness import SECRET, SECRETS, agora_entry, rows, truth, write_config
from tests.fleet.simulated import ByPort

MIDNIGHT = 1_795_046_400  # 2026-11-19 00:00 UTC
HOUR, DAY = 3600, 86_400
PLANS = ("standard", "premium", "enterprise")


def resident():
    """Return the bytes of memory that the process uses."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("accounts", [6, slow(50), pytest.param(200, marks=pytest.mark.fleet)])
def test_every_account_is_complete_at_the_end_of_a_day(tmp_path, monkeypatch, accounts):
    """Passes every six hours. No account exceeds its limits, and memory does not grow from pass to pass."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    clock = VirtualClock(MIDNIGHT + 6 * HOUR)
    names = [f"client{number:03d}" for number in range(accounts)]
    worlds = {
        name: World.generate(
            seed=7,
            app_id=f"app-{name}",
            since=MIDNIGHT,
            until=MIDNIGHT + DAY - HOUR,
            calls=3,
            simple=True,
            interval=60,
        )
        for name in names
    }
    simulators = [
        Simulator(
            [worlds[name] for name in names[number::3]],
            plan,
            credentials={f"customer-{name}": SECRET for name in names[number::3]},
            now=clock.now,
            latency=(0.02, 0.08),
        )
        for number, plan in enumerate(PLANS)
    ]
    entries = [
        agora_entry(name, f'plan = "{PLANS[number % 3]}"', f'base_url = "http://127.0.0.1:{1 + number % 3}"')
        for number, name in enumerate(names)
    ]
    config = write_config(tmp_path, "http://127.0.0.1:9", *entries)
    used = []

    async def day():
        ledger = MemoryLedger()
        resources = SharedResources(transport=ByPort(*simulators))
        for _ in range(5):
            reports = await harvest_accounts(
                config=config, since="1d", ledger=ledger, resources=resources, clock=clock, durable=False,
                max_concurrent=25,
            )  # fmt: skip
            assert all(report.complete for report in reports.values())
            used.append(resident())
            await asyncio.sleep(6 * HOUR)

    run_virtual(day(), clock)
    assert rows(open_store(tmp_path / "calls.store")) == {
        f"app-{name}": truth(worlds[name], clock.now()) for name in names
    }
    assert not any(simulator.seen.refused for simulator in simulators)
    assert used[-1] < 1.1 * used[1]
