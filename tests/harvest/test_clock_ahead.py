"""Harvests on a machine whose clock is ahead of the server's, until the first response of a run corrects it."""

from collections import Counter

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.engine.ledger import MemoryLedger
from tests.conftest import slow
from tests.harvest.harness import UNTIL as NOW
from tests.harvest.harness import contents, make_harness, truth
from tests.harvest.test_ongoing_calls import world

HOUR, DAY = 3600, 86_400
NO_LISTING = evolve(
    ENTERPRISE,
    limits=ENTERPRISE.limits | {"call/lists": evolve(ENTERPRISE.limits["call/lists"], per_day=1)},
)
"""A plan whose quota of the listing is exhausted, so that the fetched calls are those of an earlier run."""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def project(calls, store, ahead):
    """Return a project whose server's clock starts at `NOW`."""
    return make_harness(calls, store, now=NOW + ahead, clock_skew=-ahead)


def run(harness, **settings):
    now = harness.clock.now()
    return harness.harvest(since=now - 7 * HOUR, until=now, **settings)


def answered(harness):
    """Return the requests that were not refused, by endpoint."""
    refused = Counter[str]()
    for (endpoint, _), number in harness.refusals.items():
        refused[endpoint] += number
    return harness.requests - refused


@pytest.mark.parametrize("ahead", [5, 30, slow(90), slow(300)])
def test_every_run_extends_the_snapshot_of_an_ongoing_call(store, ahead):
    """The calls of an earlier run are fetched first, before any response has shown the server's time."""
    calls = world(NOW - 2 * HOUR, NOW + HOUR)
    harness = project(calls, store, ahead)
    for _ in range(2):  # the call is fetched, and listed again
        run(harness)
        harness.clock.step(200)
    for _ in range(3):
        points, before = harness.tables.counts()["metrics"], answered(harness)
        report = run(harness)
        assert (report.ongoing, report.skipped) == (1, ())
        assert harness.tables.counts()["metrics"] > points
        sent = answered(harness) - before
        assert (sent["call/sessions"], sent["call/metrics"]) == (1, 1)
        harness.clock.step(200)
    harness.clock.step(2 * HOUR)
    assert run(harness).complete
    assert contents(harness.tables) == truth(calls, NOW + DAY)


@pytest.mark.parametrize("ahead", [30, 300, slow(3600)])
@pytest.mark.parametrize("hours", [1, 6])
@pytest.mark.parametrize("seconds_ago", [40, 90])
def test_call_that_ended_recently_is_left_for_the_next_run(store, ahead, hours, seconds_ago):
    """After six hours, the sessions are listed with two requests, and the second may have no available part."""
    calls = world(NOW - hours * HOUR - 50, NOW - 40)
    harness, ledger = project(calls, store, ahead), MemoryLedger()
    assert run(harness, ledger=ledger).too_recent == 1
    harness.clock.step(seconds_ago - 40)
    report = run(harness, ledger=ledger, plan=NO_LISTING)
    assert (report.too_recent, report.skipped, report.calls) == (1, (), 0)
    harness.clock.step(200)
    run(harness)
    assert contents(harness.tables) == truth(calls, NOW + DAY)


@pytest.mark.parametrize("ahead", [60, 300, slow(3600)])
def test_first_snapshot_of_a_call_is_stored_when_its_data_is_available(store, ahead):
    calls = world(NOW - 60, NOW + HOUR)
    harness, ledger = project(calls, store, ahead), MemoryLedger()
    assert run(harness, ledger=ledger).too_recent == 1
    report = run(harness, ledger=ledger, plan=NO_LISTING)
    assert (report.too_recent, report.skipped) == (1, ())
    harness.clock.step(200)
    report = run(harness, ledger=ledger, plan=NO_LISTING)
    assert (report.ongoing, report.skipped) == (1, ())
    harness.clock.step(2 * HOUR)
    assert run(harness).complete
    assert contents(harness.tables) == truth(calls, NOW + DAY)
