"""Harvests on a machine whose clock is ahead of the server's, until the first response of a run corrects it."""

from collections import Counter

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.apsaravideo.spec import OPEN_FOR
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.harvest import harvest, harvest_insights
from agora_analytics.opentok.query_builders import pacific_midnight
from agora_analytics.opentok.spec import PROJECT_LATENCY
from agora_analytics.simulator.opentok import OpenTokWorld
from agora_analytics.store import open_store
from tests.apsaravideo import harness as apsaravideo
from tests.conftest import slow
from tests.harvest.harness import UNTIL as NOW
from tests.harvest.harness import contents, make_harness, truth
from tests.harvest.test_metric_days import stored as stored_points
from tests.harvest.test_metric_days import truth as points_between
from tests.harvest.test_ongoing_calls import world
from tests.opentok import harness as opentok

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


# ---- days of the other harvests, whose rows are never fetched again once they are final


@pytest.mark.parametrize(
    ("ahead", "at"), [(600, DAY + OPEN_FOR - 300), (2 * HOUR, DAY - HOUR / 2), (8 * HOUR, 20 * HOUR)]
)
def test_metric_day_is_not_final_early(store, ahead, at):
    began = int(NOW - DAY)
    harness = apsaravideo.make_harness(now=began + at + ahead, clock_skew=-ahead)

    async def job(client):
        return await harvest(client, since=began, until=began + DAY, store=store)

    assert harness.run(job).ongoing == 4
    harness.clock.step(DAY)
    assert harness.run(job).ongoing == 0
    assert stored_points(store) == points_between(began, NOW)


@pytest.mark.parametrize(("ahead", "early"), [(600, 60), (8 * HOUR, 4 * HOUR)])
def test_project_day_is_not_final_early(store, ahead, early):
    project = OpenTokWorld.generate(seed=7, since=NOW, until=NOW + DAY / 2, sessions=1, peers=1)
    day = project.days.first
    final = pacific_midnight(day).timestamp() + DAY + PROJECT_LATENCY
    harness = opentok.make_harness(project, now=final - early + ahead, clock_skew=-ahead)

    async def job(client):
        return await harvest(client, since=pacific_midnight(day), until="now", store=store)

    def rows():
        """Return how many rows the project's first day has."""
        query = "select count(*) from points where call_id is null and epoch(ts) < "
        return open_store(store).sql(query + str(final - PROJECT_LATENCY)).fetchall()[0][0]

    harness.run(job)
    assert rows() == 0
    harness.clock.step(DAY / 2)
    harness.run(job)
    assert rows() > 0


def test_day_of_data_insights_is_not_final_early(store):
    final = NOW + 2 * DAY + 6 * HOUR
    harness = make_harness(world(NOW - 2 * HOUR, NOW), store, now=final - 60 + HOUR, clock_skew=-HOUR)

    async def job(client):
        return await harvest_insights(client, "joinSuccessRate", since=NOW - DAY, until=NOW, store=store)

    report = harness.run(job)
    assert (report.calls, report.ongoing) == (1, 1)
    harness.clock.step(HOUR)
    report = harness.run(job)
    assert (report.calls, report.ongoing) == (1, 0)
