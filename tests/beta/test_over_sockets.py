"""Every method over a real socket, awaited and blocking; and the blocking twin."""

import sqlite3

import pytest

from agora_analytics import ConfigurationError, SystemClock
from agora_analytics.agora.beta import AsyncAgoraBeta
from agora_analytics.blocking import AgoraBeta
from agora_analytics.simulator import DEMO_APP_ID, serve, serve_in_thread
from agora_analytics.simulator.beta import BetaSimulator
from tests.beta.harness import CUSTOMER, SINCE, UNTIL, make_world
from tests.blocking.conftest import SHIFT, Shifted
from tests.blocking.parity import differences

SETTINGS = {"app_id": DEMO_APP_ID, "clock": Shifted()}


def simulator(clock=None):
    return BetaSimulator(make_world(20), now=(clock or Shifted()).now)


async def test_every_method_awaited():
    assert SHIFT
    sim = simulator()
    async with serve(sim) as url, AsyncAgoraBeta(*CUSTOMER, **SETTINGS, base_url=url) as client:
        calls = await client.calls(SINCE, UNTIL).collect()
        (details,) = await client.details(calls[-1]).collect()
        assert len(calls) == 20
        assert details.call_id == calls[-1].call_id
        assert await client.usage(SINCE - 86_400, UNTIL)
        assert await client.live_scale("20m")
        assert await client.live_experience("20m")
        assert await client.live_net("20m")
        assert await client.live_diagnosis("20m").collect()
        assert {quota.endpoint: quota.spent for quota in await client.quota()}.keys() == client.sent.keys()
        assert "***" in repr(client)


def test_every_method_blocking():
    with serve_in_thread(simulator()) as url, AgoraBeta(*CUSTOMER, **SETTINGS, base_url=url) as client:
        calls = client.calls(SINCE, UNTIL).collect()
        assert len(calls) == 20
        assert [part.call_id for part in client.details(calls[-1])] == [calls[-1].call_id]
        assert client.usage(SINCE - 86_400, UNTIL)
        assert client.live_scale("20m")
        assert client.live_experience("20m")
        assert client.live_net("20m")
        assert list(client.live_diagnosis("20m"))
        assert sum(client.sent.values()) >= 8
        assert len(client.quota()) == 7
        assert client.settings.plan.name == "beta of 2021"


def test_the_blocking_client_is_the_twin():
    with AgoraBeta("an-id", "s", app_id="app") as blocking:
        assert differences(AsyncAgoraBeta("an-id", "s", app_id="app"), blocking) == []


def test_the_environment():
    environment = {
        "AGORA_CUSTOMER_ID": "an-id",
        "AGORA_CUSTOMER_SECRET": "s",
        "AGORA_APP_ID": "app",
        "AGORA_PLAN": "x",
    }
    with AgoraBeta.from_env(environment, region="cn") as client:
        assert (client.settings.app_id, str(client.settings.region)) == ("app", "cn")


def test_ledger_of_environment_counts_for_all_clients_and_is_closed_with_them(tmp_path):
    """On the machine's clock, because a client with another one counts in memory."""
    path = tmp_path / "ledger"
    environment = {
        "AGORA_CUSTOMER_ID": CUSTOMER[0],
        "AGORA_CUSTOMER_SECRET": CUSTOMER[1],
        "AGORA_APP_ID": DEMO_APP_ID,
        "AGORA_LEDGER": str(path),
    }
    sent = 0
    with serve_in_thread(simulator(SystemClock())) as url:
        for _ in range(2):
            with AgoraBeta.from_env(environment, base_url=url) as client:
                client.live_scale("20m")
                sent += client.sent.total()
                # SQLite removes it when the last connection is closed
                assert path.with_name("ledger-wal").exists()
            assert [each.name for each in tmp_path.iterdir()] == ["ledger"]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT SUM(spent) FROM day").fetchall() == [(sent,)]
    db.close()


def test_plain_http_to_another_machine_needs_allow_http():
    with pytest.raises(ConfigurationError, match="allow_http=True"):
        AsyncAgoraBeta("an-id", "s", app_id="app", base_url="http://proxy.example")
    client = AsyncAgoraBeta("an-id", "s", app_id="app", base_url="http://proxy.example", allow_http=True)
    assert client.settings.base_url == "http://proxy.example"
