"""What the configuration file says about a harvest, on virtual time: insights, a reserve, accounts of one customer."""

import pytest

from agora_analytics import MemoryLedger, SharedResources, harvest_account, harvest_accounts
from agora_analytics.simulator import Simulator, World
from agora_analytics.store import open_store
from agora_analytics.testing import VirtualClock, run_virtual
from tests.fleet.harness import SECRET, SECRETS, agora_entry, rows, truth, write_config
from tests.fleet.simulated import ByPort

NOW = 1_795_089_600  # 2026-11-19 12:00 UTC
DAY = 86_400


@pytest.fixture
def project(monkeypatch):
    """Return a clock, the worlds of two apps of one customer, and their simulator."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    clock = VirtualClock(NOW)
    worlds = {
        name: World.generate(
            seed=7,
            app_id=f"app-{name}",
            since=NOW - DAY,
            until=NOW - 7200,
            calls=12,
            simple=True,
            interval=60,
        )
        for name in ("one", "two")
    }
    simulator = Simulator(
        worlds.values(), credentials={"customer-one": SECRET}, now=clock.now, latency=(0.02, 0.08)
    )
    return clock, worlds, simulator


def test_insights_of_the_file_are_harvested_too(project, tmp_path):
    clock, worlds, simulator = project
    config = write_config(
        tmp_path, "http://127.0.0.1:1", agora_entry("one", 'insights = ["joinSuccessRate"]')
    )
    shared = SharedResources(transport=ByPort(simulator))
    report = run_virtual(
        harvest_account("one", config, since="3d", durable=False, clock=clock, resources=shared), clock
    )
    assert report.report.calls == len(worlds["one"].calls)
    assert report.insights.calls == 3
    assert report.complete
    assert open_store(tmp_path / "calls.store").counts()["points"] == report.insights.points > 0


def test_reserve_of_the_file_ends_the_pass_before_the_quota(project, tmp_path):
    clock, _, simulator = project
    config = write_config(tmp_path, "http://127.0.0.1:1", agora_entry("one", "reserve = 9995"))
    shared = SharedResources(transport=ByPort(simulator))
    report = run_virtual(harvest_account("one", config, durable=False, clock=clock, resources=shared), clock)
    assert not report.complete
    assert report.retry_at == (NOW // DAY + 1) * DAY
    assert max(report.report.requests.values()) <= 5


def test_apps_of_one_customer_share_its_rate_limit(project, tmp_path):
    """The vendor counts by app, the client by customer: it does not know whether the apps have one contract."""
    clock, worlds, simulator = project
    two = agora_entry("two").replace("customer-two", "customer-one")
    config = write_config(tmp_path, "http://127.0.0.1:1", agora_entry("one"), two)

    async def both():
        return await harvest_accounts(
            config=config,
            durable=False,
            clock=clock,
            ledger=MemoryLedger(),
            resources=SharedResources(transport=ByPort(simulator)),
        )

    reports = run_virtual(both(), clock)
    assert all(report.complete for report in reports.values())
    for endpoint in ("call/sessions", "call/metrics"):
        assert simulator.seen.worst_window(endpoint) <= 10
    expected = {f"app-{name}": truth(world, clock.now()) for name, world in worlds.items()}
    assert rows(open_store(tmp_path / "calls.store")) == expected


def test_observer_that_raises_for_an_account_does_not_end_the_others(project, tmp_path, caplog):
    """As for one harvest, an observer that raises ends the harvest whose event it got."""
    clock, _, simulator = project

    def fail(name, _event):
        if name == "one":
            raise RuntimeError("a bug of the caller")

    two = agora_entry("two").replace("customer-two", "customer-one")
    config = write_config(tmp_path, "http://127.0.0.1:1", agora_entry("one"), two)
    shared = SharedResources(transport=ByPort(simulator))
    work = harvest_accounts(
        None, config, since="1d", durable=False, clock=clock, resources=shared, observer=fail
    )
    reports = run_virtual(work, clock)
    assert {name: str(report.error) for name, report in reports.items()} == {
        "one": "a bug of the caller",
        "two": "None",
    }
    assert "the observer raised an error for AccountBegun" in caplog.text
