import os
import socket
import time
from contextlib import ExitStack

import pytest

from agora_analytics.simulator import (
    DEMO_APP_ID,
    ApsaraVideoSimulator,
    ApsaraVideoWorld,
    CombinedSimulator,
    OpenTokSimulator,
    OpenTokWorld,
    Simulator,
    World,
    serve_in_thread,
)
from tests.documents.page_runner import PageRunner, commands_on_path

HOUR = 3600


def busy_project(now: float) -> World:
    """Calls of the last hours, and two that began a few seconds ago, whose measurements are not available yet."""
    # Two worlds, because at night most calls of one would be in its first hours. docs/compare.md compares the two.
    before = World.generate(seed=7, since=now - 5 * HOUR, until=now - 3.5 * HOUR, calls=5, simple=True)
    after = World.generate(seed=9, since=now - 2.5 * HOUR, until=now - HOUR / 2, calls=4, simple=True)
    recent = World.generate(seed=8, since=now - 20, until=now - 5, calls=2, simple=True)
    return World([*before.calls, *after.calls, *recent.calls])


@pytest.fixture(scope="session")
def simulated_vendors(tmp_path_factory):
    """The environment of a reader with accounts of all vendors, which are simulated, over a real socket."""
    now = time.time()
    opentok = OpenTokWorld.generate(seed=7, since=now - 24 * HOUR, until=now - HOUR, sessions=3, peers=1)
    apsaravideo = ApsaraVideoWorld.generate(seed=7)
    simulator = CombinedSimulator(
        Simulator(busy_project(now), "enterprise"),
        OpenTokSimulator(opentok),
        ApsaraVideoSimulator(apsaravideo),
    )
    folder = tmp_path_factory.mktemp("reader")
    with serve_in_thread(simulator) as url:
        yield reader(folder) | {
            "AGORA_BASE_URL": url,
            "AGORA_CUSTOMER_ID": "demo-customer-id",
            "AGORA_CUSTOMER_SECRET": "demo-customer-secret",
            "AGORA_APP_ID": DEMO_APP_ID,
            "AGORA_PLAN": "enterprise",
            "OPENTOK_BASE_URL": url,
            "OPENTOK_API_KEY": "45000001",
            "OPENTOK_API_SECRET": "demo0opentok0secret0of0forty0characters0",
            "APSARAVIDEO_BASE_URL": url,
            "APSARAVIDEO_APP_ID": apsaravideo.app_ids[0],
            "APSARAVIDEO_LEDGER": str(folder / "ledger.sqlite3"),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "demo-access-key-id",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "demo-access-key-secret",
            "AGORA_LEDGER": str(folder / "ledger.sqlite3"),
            "OPENTOK_LEDGER": str(folder / "ledger.sqlite3"),
        }


def reader(folder):
    """Return the environment of somebody without an account and without files in the home folder."""
    return {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PATH": commands_on_path(folder / "bin"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "DLT_DATA_DIR": str(folder / "dlt"),
    }


@pytest.fixture
def page_runner(simulated_vendors, tmp_path, monkeypatch):
    """Run pages in this process, against the simulated vendors."""
    for name, value in simulated_vendors.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runner = PageRunner(folder, ports=free_ports())
    yield runner
    runner.close()


def free_ports() -> dict[str, str]:
    """Return a free port for each port that a page names. All are bound at once, so that they differ."""
    with ExitStack() as probes:
        bound = {port: probes.enter_context(socket.socket()) for port in ("8000", "8080", "9000", "9464")}
        for probe in bound.values():
            probe.bind(("127.0.0.1", 0))
        return {port: str(probe.getsockname()[1]) for port, probe in bound.items()}


@pytest.fixture
def tutorial_runner(tmp_path):
    """Run pages in processes of their own, without an account: a tutorial starts its own simulator."""
    folder = tmp_path / "empty"
    folder.mkdir()
    system = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    runner = PageRunner(folder, system | reader(tmp_path), free_ports())
    yield runner
    runner.close()
