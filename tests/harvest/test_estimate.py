"""Estimates for OpenTok and ApsaraVideo equal the requests of the harvest."""

import pytest
from attrs import evolve

from agora_analytics.apsaravideo.spec import INTERACTION_METRICS
from agora_analytics.errors import AuthenticationError, WindowOutOfReach
from agora_analytics.harvest import estimate
from agora_analytics.opentok import ProjectKey
from agora_analytics.opentok.spec import PROJECT_DATA, SESSION_DATA
from agora_analytics.simulator.opentok import Rules
from tests.apsaravideo.harness import ENDPOINT, make_harness
from tests.apsaravideo.harness import NOW as APSARA_NOW
from tests.harvest.harness import SINCE as AGORA_SINCE
from tests.harvest.harness import make_harness as make_agora_harness
from tests.harvest.harness import simple_world
from tests.harvest.test_meetings import DAY, KEY, NOW, SINCE, UNTIL, harvested, world
from tests.harvest.test_metric_days import MIDNIGHT
from tests.harvest.test_metric_days import harvested as harvested_days
from tests.opentok.harness import make_harness as make_opentok_harness


def cost_of_days(harness, folder=None, *, since=MIDNIGHT - 3 * DAY, until=APSARA_NOW):
    async def job(client):
        return await estimate(client, since=since, until=until, store=folder)

    return harness.run(job)


def cost_of_meetings(harness, folder=None, *credentials, since=SINCE):
    async def job(client):
        return await estimate(client, since=since, until=UNTIL, store=folder)

    return harness.run(job, *credentials)


# ---- ApsaraVideo


def test_metric_days_are_estimated_without_a_request(tmp_path):
    harness, store = make_harness(), tmp_path / "store"
    before = cost_of_days(harness, store)
    assert (harness.requests[ENDPOINT], store.exists()) == (0, False)
    report = harvested_days(harness, store, since=MIDNIGHT - 3 * DAY, until=APSARA_NOW)
    assert (before.calls, before.known, before.window.start) == (16, 0, report.window.start)
    assert before.requests == report.requests == {INTERACTION_METRICS: 16}
    assert before.seconds == 16 / 50
    after = cost_of_days(harness, store)
    assert (after.calls, after.known, after.requests) == (4, 12, {INTERACTION_METRICS: 4})  # today's
    assert harness.requests[ENDPOINT] == 16


def test_range_outside_the_retention_is_rejected():
    with pytest.raises(WindowOutOfReach):
        cost_of_days(make_harness(), since=APSARA_NOW - 90 * DAY, until=APSARA_NOW - 80 * DAY)


# ---- OpenTok


def test_estimate_of_meetings_equals_the_requests_of_the_harvest(tmp_path):
    project, store = world(minutes=(1.0, 20.0), dense_share=0.0), tmp_path / "store"
    harness = make_opentok_harness(project)
    before = cost_of_meetings(harness, store)
    assert (harness.requests.total(), store.exists()) == (1, False)
    report = harvested(harness, store)
    assert (before.calls, before.known, before.window) == (report.calls, 0, report.window)
    assert before.requests == report.requests
    assert before.seconds == pytest.approx(sum(report.requests.values()) * 30 / 99, rel=0.02)
    assert before.skipped == ()
    after = cost_of_meetings(harness, store)
    assert (after.calls, after.known) == (report.ongoing, report.calls - report.ongoing)
    assert after.requests == harvested(harness, store).requests


def test_incomplete_units_outside_the_range_are_counted(tmp_path):
    project = world(sessions=6)
    meeting = project.sessions[0].meetings[0]
    harvested(make_opentok_harness(project, now=(meeting.created_ms + meeting.destroyed_ms) / 2000), tmp_path)
    cost = cost_of_meetings(make_opentok_harness(project), tmp_path, since=UNTIL - 60)
    report = harvested(make_opentok_harness(project), tmp_path, since=UNTIL - 60)
    assert (cost.calls, cost.known) == (report.calls, report.known_before)
    assert report.calls > 1
    assert cost.requests[PROJECT_DATA] == report.requests[PROJECT_DATA]


def test_long_meeting_is_estimated_as_one_request(tmp_path):
    project = world(sessions=1, meetings=(1, 1), connections=(3, 3), samples=300)
    harness = make_opentok_harness(project)
    cost = cost_of_meetings(harness)
    report = harvested(harness, tmp_path)
    assert cost.calls == report.calls
    assert cost.requests[PROJECT_DATA] == report.requests[PROJECT_DATA]
    assert cost.requests[SESSION_DATA] == 2 < report.requests[SESSION_DATA]


def test_estimate_without_the_add_on_has_days_only(tmp_path):
    harness = make_opentok_harness(world(), rules=Rules(add_on=False))
    cost = cost_of_meetings(harness)
    report = harvested(harness, tmp_path)
    assert (cost.calls, cost.requests) == (report.calls, report.requests)
    assert (
        [skipped.call_id for skipped in cost.skipped]
        == [skipped.call_id for skipped in report.skipped]
        == ["sessions"]
    )
    assert "1014" in cost.skipped[0].reason


def test_range_older_than_session_data_has_days_only():
    harness = make_opentok_harness(world())
    cost = cost_of_meetings(harness, since=NOW - 40 * DAY)
    assert cost.requests[PROJECT_DATA] == 41
    assert cost.calls == 41 + sum(len(session.meetings) for session in world().sessions)


def test_wrong_secret_raises_authentication_error():
    with pytest.raises(AuthenticationError):
        cost_of_meetings(make_opentok_harness(world()), None, ProjectKey(KEY, "another" * 6))


def test_estimate_without_a_daily_quota_is_always_enough(tmp_path):
    async def of_calls(client):
        return await estimate(client, since=AGORA_SINCE, store=tmp_path / "none")

    agora = make_agora_harness(simple_world(3), tmp_path / "store").run(of_calls)
    others = cost_of_days(make_harness()), cost_of_meetings(make_opentok_harness(world()))
    large = [evolve(cost, requests=dict.fromkeys(cost.requests, 10**9)) for cost in (agora, *others)]
    assert [cost.enough for cost in large] == [False, True, True]
