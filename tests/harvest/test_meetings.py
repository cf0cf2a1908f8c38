"""Harvests of OpenTok: every sample of every meeting is stored once, however a run ends."""

import asyncio
import math
from datetime import UTC, datetime

import pytest

from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.errors import AuthenticationError, InvalidRequest, StoreError
from agora_analytics.harvest import harvest
from agora_analytics.harvest.meetings import sample_points
from agora_analytics.opentok import ProjectKey
from agora_analytics.opentok.records import StreamSample
from agora_analytics.simulator import Faults
from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokWorld, Rules
from agora_analytics.simulator.opentok.samples import MEASURES
from agora_analytics.store import open_store
from agora_analytics.testing import run_virtual
from tests.conftest import slow
from tests.opentok.harness import make_harness

DAY = 86_400
NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
SINCE, UNTIL = NOW - 3 * DAY, NOW - 3600
((KEY, SECRET),) = DEMO_PROJECT.items()


def world(**knobs):
    shape = {"sessions": 8, "ongoing_share": 0.0, "peers": 2}
    return OpenTokWorld.generate(seed=7, since=SINCE + 60, until=UNTIL - 7200, **(shape | knobs))


def harvested(harness, store, *credentials, since=SINCE, until=UNTIL):
    async def job(client):
        return await harvest(client, since=since, until=until, store=store)

    return harness.run(job, *credentials)


def truth(project, until_ms=None):
    """Return (meeting, metric, ms, value) of every value that is not null."""
    values = []
    for session in project.sessions:
        for meeting in session.meetings:
            for role, streams in (("publisher", meeting.publishers), ("subscriber", meeting.subscribers)):
                for stream in streams:
                    samples = project.samples(stream, until_ms)
                    values += [
                        (meeting.meeting_id, f"{role}.{name}", int(ms), round(float(value), 4))
                        for name, row in zip(MEASURES, samples.values, strict=True)
                        for ms, value in zip(samples.ms, row, strict=True)
                        if not math.isnan(value)
                    ]
    return sorted(values)


def stored(folder):
    return sorted(
        open_store(folder)
        .sql(
            "select call_id, source_metric, epoch_ms(ts), round(value, 4) from points "
            "where vendor = 'opentok' and call_id is not null"
        )
        .fetchall()
    )


def test_every_sample_is_stored_once_and_fetched_once(tmp_path):
    project = world()
    harness = make_harness(project)
    report = harvested(harness, tmp_path)
    assert stored(tmp_path) == truth(project)
    assert report.complete
    sent = harness.requests.total()
    again = harvested(harness, tmp_path)
    # the list of sessions, and the Pacific days whose data may be incomplete
    assert harness.requests.total() - sent == 1 + again.ongoing
    assert stored(tmp_path) == truth(project)
    assert max(harness.simulator.rate_windows.worst.values()) < 100


@pytest.mark.slow
def test_complete_days_are_compacted_to_one_file_each(tmp_path):
    project = world(sessions=12)
    harvested(make_harness(project), tmp_path)
    days = [path.parent for path in open_store(tmp_path).files("points")]
    assert max(map(days.count, days)) > 1  # a day with an incomplete project day is not compacted
    harness = make_harness(project, now=NOW + 3 * DAY)
    harvested(harness, tmp_path)
    days = [path.parent for path in open_store(tmp_path).files("points")]
    assert len(days) == len(set(days)) >= 3
    assert stored(tmp_path) == truth(project)
    sent = harness.requests.total()
    assert harvested(harness, tmp_path).complete
    assert harness.requests.total() == sent + 1  # the list of sessions


def test_rows_identify_channel_user_and_peer(tmp_path):
    project = world(sessions=2)
    harvested(make_harness(project), tmp_path)
    streams = {
        (meeting.meeting_id, member.stream.stream_id): member.connection_id
        for session in project.sessions
        for meeting in session.meetings
        for member in meeting.publishers
    }
    rows = open_store(tmp_path).sql(
        "select channel, call_id, session_id, user_id, peer_id, metric, unit from quality "
        "where call_id is not null and metric like '%received'"
    )
    peers = {
        (session.session_id, meeting.meeting_id, member.subscriber_id, member.connection_id): streams[
            meeting.meeting_id, member.stream.stream_id
        ]
        for session in project.sessions
        for meeting in session.meetings
        for member in meeting.subscribers
    }
    assert {row[:4]: row[4] for row in rows.fetchall()}.items() <= peers.items()
    assert {row[5:] for row in rows.fetchall()} >= {
        ("video_packet_loss_received", "ratio"),
        ("audio_latency_received", "ms"),
    }


def test_project_days_give_usage_and_join_success(tmp_path):
    harvested(make_harness(world(sessions=1)), tmp_path, since=NOW - 10 * DAY, until=NOW - 4 * DAY)
    store = open_store(tmp_path)
    rows = store.sql("select distinct metric, unit from quality where call_id is null").fetchall()
    # the project data of this world starts with its first session
    assert rows == []
    longer = OpenTokWorld.generate(seed=7, since=NOW - 20 * DAY, until=NOW - DAY, sessions=1)
    harness = make_harness(longer)
    report = harvested(harness, tmp_path / "other", since=NOW - 15 * DAY, until=NOW)
    assert report.points > 0
    days = open_store(tmp_path / "other").sql(
        "select count(distinct ts), min(value), max(value), any_value(unit) from quality where metric = 'join_success_rate'"
    )
    ((count, least, most, unit),) = days.fetchall()
    assert (unit, 10 <= count <= 15, 0 <= least <= most <= 1) == ("ratio", True, True)
    minutes = open_store(tmp_path / "other").sql(
        "select distinct unit from quality where metric = 'usage.streamedPublishedMinutes'"
    )
    assert minutes.fetchall() == [("min",)]
    usage = open_store(tmp_path / "other").sql(
        "select distinct unit from quality where metric like 'usage.%'"
    )
    assert usage.fetchall() == [("min",)]


def test_peer_id_of_a_sample_without_publisher_samples():
    received = StreamSample(
        session_id="s", meeting_id="m", role="subscriber", stream_id="stream", connection_id="mine",
        subscriber_id="sub", publisher_connection_id="theirs", created_at=datetime.fromtimestamp(NOW, UTC),
        video_bitrate_kbps=1.0,
    )  # fmt: skip
    assert [point["peer_id"] for point in sample_points([received])] == ["theirs"]


@pytest.mark.slow
def test_ongoing_meeting_is_fetched_again(tmp_path):
    project = world(ongoing_share=1.0, sessions=3)
    first = harvested(make_harness(project), tmp_path)
    assert first.ongoing >= 1
    first_rows = stored(tmp_path)
    assert len(first_rows) > 0
    harness = make_harness(project, now=NOW + 7200)
    harvested(harness, tmp_path)
    later_rows = set(stored(tmp_path))
    began, ended = ((at - harness.simulator.rules.delay) * 1000 for at in (NOW + 7200, harness.clock.now()))
    assert len(later_rows) == len(stored(tmp_path))
    assert set(first_rows) < set(truth(project, int(began))) <= later_rows <= set(truth(project, int(ended)))


def days_of(folder):
    rows = open_store(folder).sql(
        "select epoch(ts)::bigint, source_metric, value from points where call_id is null order by all"
    )
    return rows.fetchall()


@pytest.mark.slow
def test_daily_runs_equal_one_run_over_all_days(tmp_path):
    project = world(sessions=6)
    meeting = project.sessions[0].meetings[0]
    at = (meeting.created_ms + meeting.destroyed_ms) / 2000  # ongoing, and older than the next run's range
    harness = make_harness(project, now=at)
    daily, at_once = tmp_path / "daily", tmp_path / "at_once"
    for day in range(7):
        harvested(harness, daily, since=at + (day - 1) * DAY, until=at + day * DAY)
        harness.clock.step(at + (day + 1) * DAY - harness.clock.now())
    harvested(harness, at_once, since=SINCE - DAY, until=harness.clock.now())
    assert stored(daily) == stored(at_once) == truth(project)
    assert days_of(daily) == days_of(at_once)
    assert len(days_of(daily)) > 0
    pending = open_store(daily).writer.units(KEY).pending["points"]
    assert {name.partition(".")[0] for name in pending} == {"project"}
    assert len(pending) <= 3  # Pacific days that are younger than 48 hours, in part or as a whole
    files = [path.parent for path in open_store(daily).files("points") if path.parent.name < "day=2026-11-19"]
    assert len(files) == len(set(files)) >= 3


def test_incomplete_meetings_outside_the_range_are_fetched_again(tmp_path):
    project = OpenTokWorld.generate(
        seed=7, since=SINCE, until=SINCE + 7200, sessions=8, ongoing_share=0.0, peers=2
    )
    meetings = sorted(
        (m for s in project.sessions for m in s.meetings), key=lambda meeting: meeting.created_ms
    )
    incomplete = [meetings[0], meetings[2]]  # meetings between them are listed, but must not be fetched
    assert incomplete[1].created_ms - incomplete[0].created_ms < 3_600_000
    for meeting in incomplete:
        began = meeting.created_ms / 1000
        harvested(make_harness(project, now=began + 400), tmp_path, since=began, until=began + 0.001)
    pending = open_store(tmp_path).writer.units(KEY).pending["points"]
    assert {name.split(".")[1] for name in pending} >= {meeting.meeting_id for meeting in incomplete}
    report = harvested(make_harness(project, now=NOW), tmp_path, since=NOW - 600, until=NOW - 540)
    # the pending units, and the day of the range, which is younger than 48 hours
    assert (report.calls, report.ongoing) == (len(pending) + 1, 1)
    ids = {meeting.meeting_id for meeting in incomplete}
    assert stored(tmp_path) == [row for row in truth(project) if row[0] in ids]


class Held(AsgiTransport):
    """Holds back the responses with stream statistics until `release` is set."""

    def __init__(self, app):
        super().__init__(app)
        self.release = asyncio.Event()

    async def send(self, request):
        response = await super().send(request)
        if b"streamStatsCollection" in request.body:
            await self.release.wait()
        return response


def test_delayed_harvest_does_not_replace_a_complete_meeting(tmp_path):
    """The older harvest fetches an ongoing meeting, but commits after a younger one has stored all of it."""
    project = world(sessions=1, meetings=(1, 1))
    ((meeting,),) = (session.meetings for session in project.sessions)
    harness = make_harness(project, now=(meeting.created_ms + meeting.destroyed_ms) / 2000)

    async def harvesting(transport):
        retry = RetryPolicy(timeout=DAY, deadline=None)
        async with harness.client(transport=transport, retry=retry) as client:
            return await harvest(client, since=SINCE, until="now", store=tmp_path)

    async def job():
        hangs = Held(harness.simulator.app)
        async with asyncio.TaskGroup() as group:
            older = group.create_task(harvesting(hangs))
            await asyncio.sleep(meeting.destroyed_ms / 1000 + 600 - harness.clock.now())
            younger = await harvesting(AsgiTransport(harness.simulator.app))
            hangs.release.set()
        return older.result(), younger

    older, younger = run_virtual(job(), harness.clock)
    assert stored(tmp_path) == truth(project)
    assert (older.known_before, younger.known_before) == (1, 0)
    pending = open_store(tmp_path).writer.units(KEY).pending["points"]
    assert not any(meeting.meeting_id in name for name in pending)


@pytest.mark.parametrize("seed", [1, *map(slow, (2, 3))])
@pytest.mark.slow
def test_faults_do_not_change_the_rows(tmp_path, seed):
    project = world()
    harness = make_harness(project, faults=Faults(share=0.1, seed=seed))
    harvested(harness, tmp_path)
    assert stored(tmp_path) == truth(project)


@pytest.mark.parametrize("writes", [2, *map(slow, (1, 5, 9))])
@pytest.mark.slow
def test_harvest_resumes_after_a_full_disk(tmp_path, writes):
    project = world()
    store = open_store(tmp_path, create=True)
    put, left = store.writer.put, iter(range(writes))

    def full_after(*args, **more):
        if next(left, None) is None:
            raise StoreError("the disk is full")
        return put(*args, **more)

    store.writer.put = full_after
    with pytest.raises(StoreError, match="full"):
        harvested(make_harness(project), store)
    harvested(make_harness(project), tmp_path)
    assert stored(tmp_path) == truth(project)


def test_harvest_without_the_add_on_stores_days_and_reports_sessions_as_skipped(tmp_path):
    longer = OpenTokWorld.generate(seed=7, since=NOW - 9 * DAY, until=NOW - DAY, sessions=1)
    harness = make_harness(longer, rules=Rules(add_on=False))
    report = harvested(harness, tmp_path, since=NOW - 8 * DAY)
    assert [skipped.call_id for skipped in report.skipped] == ["sessions"]
    assert "1014" in report.skipped[0].reason
    assert report.points > 0


def test_partial_meeting_is_stored_reported_and_fetched_again(tmp_path):
    project = world(sessions=2, meetings=(1, 1))
    harness = make_harness(project)
    harness.simulator.fail_with(
        1014, times=7, at="streamStatsCollection"
    )  # four days, the list, two meetings
    first = harvested(harness, tmp_path)
    assert any("incomplete response" in skipped.reason for skipped in first.skipped)
    assert not first.complete
    again = harvested(harness, tmp_path)
    assert again.complete
    assert stored(tmp_path) == truth(project)


def test_unlisted_meetings_are_reported_and_fetched_by_the_next_run(tmp_path):
    project = world(sessions=3)
    harness = make_harness(project)
    harness.simulator.fail_with(1014, times=5, at="meetings")  # four days, and the list
    first = harvested(harness, tmp_path)
    assert [skipped.call_id for skipped in first.skipped if skipped.call_id == "sessions"]
    assert not first.complete
    assert harvested(harness, tmp_path).complete
    assert stored(tmp_path) == truth(project)


def test_wrong_secret_and_invalid_range_end_the_harvest(tmp_path):
    harness = make_harness(world())
    with pytest.raises(AuthenticationError):
        harvested(harness, tmp_path, ProjectKey(KEY, "another" * 8))
    with pytest.raises(InvalidRequest):
        harvested(harness, tmp_path, since=UNTIL, until=SINCE)
