"""The source harvests over a real socket, with settings of dlt or of the environment, and loads the rows."""

import time

import pytest

from agora_analytics.blocking import ApsaraVideo
from agora_analytics.integrations.dlt import AgoraCredentials, agora_source
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


@pytest.fixture
def settings(agora):
    names = ("CUSTOMER_ID", "CUSTOMER_SECRET", "APP_ID", "PLAN", "BASE_URL")
    return dict(zip(names, (CUSTOMER, SECRET, DEMO_APP_ID, "enterprise", agora[1]), strict=True))


def test_each_run_harvests_and_loads(loader, agora, settings, monkeypatch, caplog):
    """With settings of dlt, which are read when the source is created, and with those of the environment."""
    simulator, _ = agora
    caplog.set_level("INFO", "agora_analytics.harvest")
    with monkeypatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"SOURCES__AGORA__CREDENTIALS__{name}", value)
        patch.setenv("SOURCES__AGORA__SINCE", "6h")
        source = agora_source()
    assert loader.load(source)["calls"] == 3
    store = open_store(loader.folder / "pipelines" / "calls" / "agora.store")
    loader.assert_same_as(store)
    sent = simulator.seen.requests.copy()
    assert loader.load(source) == {}  # a source can be used again
    assert caplog.text.count("harvest of AsyncAgora") == 2
    for name, value in settings.items():
        monkeypatch.setenv(f"AGORA_{name}", value)
    assert loader.load(agora_source(since="6h")) == {}
    assert caplog.text.count("harvest of AsyncAgora") == 3
    assert set(simulator.seen.requests - sent) <= {"call/lists"}
    assert not simulator.seen.refused


def test_secret_is_not_shown(settings):
    account = AgoraCredentials(**{name.lower(): value for name, value in settings.items()})
    assert SECRET not in f"{account} {account!r}"
    assert account.settings()["customer_secret"] == SECRET


def test_client_of_another_vendor(loader):
    world = ApsaraVideoWorld.generate(seed=7)
    with serve_in_thread(ApsaraVideoSimulator(world)) as url:

        def client():
            return ApsaraVideo(*next(iter(DEMO_KEYS.items())), app_id=world.app_ids[0], base_url=url)

        source = agora_source(since="1d", store=loader.folder / "store", client=client)
        assert loader.load(source).keys() == {"points"}
    loader.assert_same_as(loader.store)
