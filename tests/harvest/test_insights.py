"""Harvests of Data Insights: each complete day of each metric is stored once."""

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest import harvest_insights
from agora_analytics.simulator import DEMO_APP_ID
from agora_analytics.store import open_store
from tests.harvest.harness import MIDNIGHT, make_harness, simple_world

DAY = 86_400
ENDPOINT = "insight/quality/by_time"


def harvested(harness, folder, metrics=("joinSuccessRate",), **range_):
    async def job(client):
        return await harvest_insights(client, metrics, **(range_ | {"store": folder}))

    return harness.run(job)


def test_complete_days_are_stored_once_and_incomplete_days_not_at_all(tmp_path):
    harness = make_harness(simple_world(5), tmp_path, now=MIDNIGHT + 12 * 3600)
    report = harvested(harness, tmp_path, since=MIDNIGHT - 2 * DAY, until=MIDNIGHT + 3600)
    assert (report.calls, report.requests) == (2, {ENDPOINT: 2})  # today is incomplete
    store = open_store(tmp_path)
    rows = store.sql("select metric, unit, epoch(ts)::bigint, value from quality order by ts").fetchall()
    assert {row[:2] for row in rows} == {("join_success_rate", "ratio")}
    assert all(value is None or 0 <= value <= 1 for *_, value in rows)
    assert len(rows) == report.points > 24
    again = harvested(harness, tmp_path, since=MIDNIGHT - 2 * DAY, until=MIDNIGHT + 3600)
    assert (again.known_before, again.requests) == (2, {})


def test_recomputed_day_is_fetched_once_more_when_final(tmp_path):
    """Every day is fetched twice: once when it is available, once when the server has stopped recomputing it."""
    world, day = simple_world(5), range(MIDNIGHT - DAY, MIDNIGHT + 4 * DAY, DAY // 4)
    reports = []
    for at in day:  # four runs a day over the last 24 hours; the first day is the one before MIDNIGHT
        harness = make_harness(world, tmp_path, now=at + 8 * 3600)
        since, until = max(MIDNIGHT - DAY, at + 8 * 3600 - DAY), at + 8 * 3600
        reports.append(harvested(harness, tmp_path, since=since, until=until))
    requests = [report.requests.get(ENDPOINT, 0) for report in reports]
    assert requests == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]
    assert sum(report.ongoing for report in reports) == 4
    pending = open_store(tmp_path).writer.units(DEMO_APP_ID).pending["points"]
    assert sorted(pending.values()) == ["2026-11-20", "2026-11-21"]
    assert all(report.complete for report in reports)


def test_final_day_is_fetched_once(tmp_path):
    harness = make_harness(simple_world(5), tmp_path, now=MIDNIGHT + 3 * DAY)
    report = harvested(harness, tmp_path, since=MIDNIGHT - DAY, until=MIDNIGHT)
    assert (report.calls, report.ongoing) == (1, 0)
    assert not open_store(tmp_path).writer.units(DEMO_APP_ID).pending["points"]
    later = make_harness(simple_world(5), tmp_path, now=MIDNIGHT + 4 * DAY)
    assert harvested(later, tmp_path, since=MIDNIGHT - DAY, until=MIDNIGHT).requests == {}


def test_stored_rows_equal_the_response(tmp_path):
    harness = make_harness(simple_world(5), tmp_path, now=MIDNIGHT + 12 * 3600)
    harvested(harness, tmp_path, ("networkDelay", "videoFreezeRate"), since=MIDNIGHT - DAY, until=MIDNIGHT)

    async def fetch(client):
        return await client.insights.quality(
            ["networkDelay", "videoFreezeRate"], MIDNIGHT - DAY, MIDNIGHT, granularity="1h"
        )

    expected = sorted((row.metric, row.ts, row.value) for row in harness.run(fetch))
    rows = open_store(tmp_path).sql("select source_metric, epoch(ts)::bigint, value from points order by all")
    assert sorted(rows.fetchall()) == expected


def test_exhausted_quota_is_reported_with_the_time_of_its_reset(tmp_path):
    few = evolve(ENTERPRISE.limits[ENDPOINT], per_day=2)
    plan = evolve(ENTERPRISE, limits={**ENTERPRISE.limits, ENDPOINT: few})
    harness = make_harness(simple_world(5), tmp_path, now=MIDNIGHT + 12 * 3600, plan=plan)
    report = harvested(harness, tmp_path, since=MIDNIGHT - 4 * DAY, until=MIDNIGHT)
    assert (report.calls, report.left, report.skipped) == (2, 2, ())
    assert report.retry_at == MIDNIGHT + DAY
    assert not report.complete


def test_short_range_fetches_only_incomplete_days(tmp_path):
    world = simple_world(5)
    first = make_harness(world, tmp_path, now=MIDNIGHT + 8 * 3600)
    assert harvested(first, tmp_path, since=MIDNIGHT - DAY).ongoing == 1
    later = make_harness(world, tmp_path, now=MIDNIGHT + 3 * DAY)
    for requests in (1, 0):
        report = harvested(later, tmp_path, since=MIDNIGHT + 3 * DAY - 3600)
        assert report.requests == ({ENDPOINT: requests} if requests else {})
    with pytest.raises(WindowOutOfReach):
        harvested(later, tmp_path, since=MIDNIGHT - 900 * DAY, until=MIDNIGHT - 800 * DAY)
