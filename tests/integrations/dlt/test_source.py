"""The source harvests over a real socket, with settings of dlt or of the environment, and loads the rows."""

import time

import pytest

from agora_analytics.blocking import ApsaraVideo
from agora_analytics.integrations.dlt import agora_source
from agora_analytics.simulator import (
    DEMO_APP_ID,
    DEMO_CREDENTIALS,
    DEMO_KEYS,
    ApsaraVideoSimulator,
    ApsaraVideoWorld,
    Simulator,
    World,
    serve_in_thread,
)
from agora_analytics.store import open_store

((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()


@pytest.fixture(scope="module")
def agora():
    now = int(time.time())
    world = World.generate(seed=1, since=now - 4 * 3600, until=now - 3600, calls=3, simple=True, interval=60)
    simulator = Simulator(world)
    with serve_in_thread(simulator) as url:
        yield simulator, url


@pytest.mark.parametrize("prefix", ["SOURCES__AGORA__CREDENTIALS__", "AGORA_"])
def test_harvest_and_load(loader, agora, monkeypatch, prefix):
    """With settings of dlt, or of the environment."""
    simulator, url = agora
    settings = {"CUSTOMER_ID": CUSTOMER, "CUSTOMER_SECRET": SECRET, "APP_ID": DEMO_APP_ID}
    for name, value in {**settings, "PLAN": "enterprise", "BASE_URL": url}.items():
        monkeypatch.setenv(f"{prefix}{name}", value)
    source = agora_source(since="6h")
    assert SECRET not in repr(source)
    assert loader.load(source)["calls"] == 3
    store = open_store(loader.folder / "pipelines" / "calls" / "agora.store")
    loader.assert_same_as(store)
    sent = simulator.seen.requests.copy()
    assert loader.load(source) == {}  # the same object is harvested again
    assert simulator.seen.requests - sent == {"call/lists": 1}
    assert not simulator.seen.refused


def test_client_of_another_vendor(loader):
    world = ApsaraVideoWorld.generate(seed=7)
    with serve_in_thread(ApsaraVideoSimulator(world)) as url:

        def client():
            return ApsaraVideo(*next(iter(DEMO_KEYS.items())), app_id=world.app_ids[0], base_url=url)

        source = agora_source(since="1d", store=loader.folder / "store", client=client)
        assert loader.load(source).keys() == {"points"}
    loader.assert_same_as(loader.store)
