"""OpenTok into a store: every sample of every meeting once, whatever ends the run; what goes on comes again."""

import asyncio
import math
from datetime import UTC, datetime

import pytest

from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.errors import AuthenticationError, InvalidRequest, StoreError
from agora_analytics.harvest import harvest
from agora_analytics.harvest.meetings import points_of
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.opentok.records import StreamSample
from agora_analytics.simulator import Faults
from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld, Rules
from agora_analytics.simulator.opentok.samples import MEASURES
from agora_analytics.store import open_store
from agora_analytics.testing import VirtualClock, run_virtual

DAY = 86_400
NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
SINCE, UNTIL = NOW - 3 * DAY, NOW - 3600
((KEY, SECRET),) = DEMO_PROJECT.items()


def world(**knobs):
    shape = {"sessions": 8, "ongoing_share": 0.0, "peers": 2}
    return OpenTokWorld.generate(seed=7, since=SINCE + 60, until=UNTIL - 7200, **(shape | knobs))


def harvested(simulator, clock, store, *, secret=SECRET, since=SINCE, until=UNTIL):
    async def job():
        async with AsyncOpenTok(
            ProjectKey(KEY, secret), transport=AsgiTransport(simulator.app), clock=clock
        ) as client:
            return await harvest(client, since=since, until=until, store=store)

    return run_virtual(job(), clock)


def staged(made, *, at=NOW, **settings):
    clock = VirtualClock(at)
    return OpenTokSimulator(made, now=clock.now, **settings), clock


def truth(made, until_ms=None):
    """Return (meeting, role, metric, ms, value) of every value that is no null."""
    found = []
    for session in made.sessions:
        for meeting in session.meetings:
            for role, streams in (("publisher", meeting.publishers), ("subscriber", meeting.subscribers)):
                for stream in streams:
                    samples = made.samples(stream, until_ms)
                    found += [
                        (meeting.meeting_id, f"{role}.{name}", int(ms), round(float(value), 4))
                        for name, row in zip(MEASURES, samples.values, strict=True)
                        for ms, value in zip(samples.ms, row, strict=True)
                        if not math.isnan(value)
                    ]
    return sorted(found)


def stored(folder):
    return sorted(
        open_store(folder)
        .sql(
            "select call_id, source_metric, epoch_ms(ts), round(value, 4) from points "
            "where vendor = 'opentok' and call_id is not null"
        )
        .rows()
    )


def test_every_sample_of_every_meeting_is_stored_once_and_never_asked_for_again(tmp_path):
    made = world()
    simulator, clock = staged(made)
    report = harvested(simulator, clock, tmp_path)
    assert stored(tmp_path) == truth(made)
    assert report.complete
    asked = simulator.seen.requests.total()
    again = harvested(simulator, clock, tmp_path)
    # the list of sessions, and the Pacific days whose data may not be there yet
    assert simulator.seen.requests.total() - asked == 1 + again.ongoing
    assert stored(tmp_path) == truth(made)
    assert max(simulator.rate_windows.worst.values()) < 100


def test_days_that_are_over_and_whole_become_a_file_each(tmp_path):
    made = world(sessions=12)
    harvested(*staged(made), tmp_path)
    days = [path.parent for path in open_store(tmp_path).files("points")]
    assert max(map(days.count, days)) > 1  # project days whose data may not be there yet keep theirs open
    simulator, clock = staged(made, at=NOW + 3 * DAY)
    harvested(simulator, clock, tmp_path)
    days = [path.parent for path in open_store(tmp_path).files("points")]
    assert len(days) == len(set(days)) >= 3
    assert stored(tmp_path) == truth(made)
    asked = simulator.seen.requests.total()
    assert harvested(simulator, clock, tmp_path).complete
    assert simulator.seen.requests.total() == asked + 1  # the list of sessions


def test_the_rows_say_who_where_and_whose_stream(tmp_path):
    made = world(sessions=2)
    harvested(*staged(made), tmp_path)
    streams = {
        (meeting.meeting_id, one.stream.stream_id): one.connection_id
        for session in made.sessions
        for meeting in session.meetings
        for one in meeting.publishers
    }
    rows = open_store(tmp_path).sql(
        "select channel, call_id, session_id, user_id, peer_id, metric, unit from quality "
        "where call_id is not null and metric like '%received'"
    )
    peers = {
        (session.session_id, meeting.meeting_id, one.subscriber_id, one.connection_id): streams[
            meeting.meeting_id, one.stream.stream_id
        ]
        for session in made.sessions
        for meeting in session.meetings
        for one in meeting.subscribers
    }
    assert {row[:4]: row[4] for row in rows.rows()}.items() <= peers.items()
    assert {row[5:] for row in rows.rows()} >= {
        ("video_packet_loss_received", "ratio"),
        ("audio_latency_received", "ms"),
    }


def test_project_days_give_usage_and_join_success(tmp_path):
    harvested(*staged(world(sessions=1)), tmp_path, since=NOW - 10 * DAY, until=NOW - 4 * DAY)
    store = open_store(tmp_path)
    made = store.sql("select distinct metric, unit from quality where call_id is null").rows()
    # the world of this test has days from its sessions on only
    assert made == []
    longer = OpenTokWorld.generate(seed=7, since=NOW - 20 * DAY, until=NOW - DAY, sessions=1)
    simulator, clock = staged(longer)
    report = harvested(simulator, clock, tmp_path / "other", since=NOW - 15 * DAY, until=NOW)
    assert report.points > 0
    days = open_store(tmp_path / "other").sql(
        "select count(distinct ts), min(value), max(value), any_value(unit) from quality where metric = 'join_success_rate'"
    )
    ((count, least, most, unit),) = days.rows()
    assert (unit, 10 <= count <= 15, 0 <= least <= most <= 1) == ("ratio", True, True)
    minutes = open_store(tmp_path / "other").sql(
        "select distinct unit from quality where metric = 'usage.streamedPublishedMinutes'"
    )
    assert minutes.rows() == [("min",)]
    usage = open_store(tmp_path / "other").sql(
        "select distinct unit from quality where metric like 'usage.%'"
    )
    assert usage.rows() == [("min",)]


def test_the_sender_is_known_where_none_of_its_samples_is():
    received = StreamSample(
        session_id="s", meeting_id="m", role="subscriber", stream_id="stream", connection_id="mine",
        subscriber_id="sub", publisher_connection_id="theirs", created_at=datetime.fromtimestamp(NOW, UTC),
        video_bitrate_kbps=1.0,
    )  # fmt: skip
    assert [point["peer_id"] for point in points_of([received])] == ["theirs"]


def test_a_meeting_that_goes_on_is_fetched_again(tmp_path):
    made = world(ongoing_share=1.0, sessions=3)
    first = harvested(*staged(made), tmp_path)
    assert first.ongoing >= 1
    seen_first = stored(tmp_path)
    assert len(seen_first) > 0
    simulator, clock = staged(made, at=NOW + 7200)
    harvested(simulator, clock, tmp_path)
    seen = set(stored(tmp_path))
    begun, ended = ((at - simulator.rules.delay) * 1000 for at in (NOW + 7200, clock.now()))
    assert len(seen) == len(stored(tmp_path))
    assert set(seen_first) < set(truth(made, int(begun))) <= seen <= set(truth(made, int(ended)))


def days_of(folder):
    rows = open_store(folder).sql(
        "select epoch(ts)::bigint, source_metric, value from points where call_id is null order by all"
    )
    return rows.rows()


def test_a_harvest_a_day_of_the_last_day_ends_with_what_one_of_all_days_has(tmp_path):
    made = world(sessions=6)
    meeting = made.sessions[0].meetings[0]
    at = (
        meeting.created_ms + meeting.destroyed_ms
    ) / 2000  # it goes on, and began before the next run's range
    simulator, clock = staged(made, at=at)
    daily, at_once = tmp_path / "daily", tmp_path / "at_once"
    for day in range(7):
        harvested(simulator, clock, daily, since=at + (day - 1) * DAY, until=at + day * DAY)
        clock.step(at + (day + 1) * DAY - clock.now())
    harvested(simulator, clock, at_once, since=SINCE - DAY, until=clock.now())
    assert stored(daily) == stored(at_once) == truth(made)
    assert days_of(daily) == days_of(at_once)
    assert len(days_of(daily)) > 0
    marks = open_store(daily).units(KEY).pending["points"]
    assert {name.partition(".")[0] for name in marks} == {"project"}
    assert len(marks) <= 3  # Pacific days that are younger than 48 hours, in part or as a whole
    files = [path.parent for path in open_store(daily).files("points") if path.parent.name < "day=2026-11-19"]
    assert len(files) == len(set(files)) >= 3


def test_a_range_without_them_fetches_what_went_on_again_and_nothing_else(tmp_path):
    made = OpenTokWorld.generate(
        seed=7, since=SINCE, until=SINCE + 7200, sessions=8, ongoing_share=0.0, peers=2
    )
    meetings = sorted((m for s in made.sessions for m in s.meetings), key=lambda one: one.created_ms)
    marked = [meetings[0], meetings[2]]  # what began between them is listed, and not wanted
    assert marked[1].created_ms - marked[0].created_ms < 3_600_000
    for meeting in marked:
        begun = meeting.created_ms / 1000
        harvested(*staged(made, at=begun + 400), tmp_path, since=begun, until=begun + 0.001)
    marks = open_store(tmp_path).units(KEY).pending["points"]
    assert {name.split(".")[1] for name in marks} >= {meeting.meeting_id for meeting in marked}
    report = harvested(*staged(made, at=NOW), tmp_path, since=NOW - 600, until=NOW - 540)
    assert (report.calls, report.ongoing) == (
        len(marks) + 1,
        1,
    )  # and the day of the range, which is too young
    ids = {meeting.meeting_id for meeting in marked}
    assert stored(tmp_path) == [row for row in truth(made) if row[0] in ids]


class Held(AsgiTransport):
    """Answers about the samples of meetings come when `release` is set."""

    def __init__(self, app):
        super().__init__(app)
        self.release = asyncio.Event()

    async def send(self, request):
        response = await super().send(request)
        if b"streamStatsCollection" in request.body:
            await self.release.wait()
        return response


def test_a_harvest_that_hangs_does_not_put_less_in_the_place_of_what_another_has_brought(tmp_path):
    made = world(sessions=1, meetings=(1, 1))
    ((meeting,),) = (session.meetings for session in made.sessions)
    simulator, clock = staged(made, at=(meeting.created_ms + meeting.destroyed_ms) / 2000)

    async def harvesting(transport):
        key, retry = ProjectKey(KEY, SECRET), RetryPolicy(timeout=DAY, deadline=None)
        async with AsyncOpenTok(key, transport=transport, clock=clock, retry=retry) as client:
            return await harvest(client, since=SINCE, until="now", store=tmp_path)

    async def job():
        hangs = Held(simulator.app)
        async with asyncio.TaskGroup() as group:
            older = group.create_task(harvesting(hangs))
            await asyncio.sleep(meeting.destroyed_ms / 1000 + 600 - clock.now())
            younger = await harvesting(AsgiTransport(simulator.app))
            hangs.release.set()
        return older.result(), younger

    older, younger = run_virtual(job(), clock)
    assert stored(tmp_path) == truth(made)
    assert (older.known_before, younger.known_before) == (1, 0)
    marks = open_store(tmp_path).units(KEY).pending["points"]
    assert not any(meeting.meeting_id in name for name in marks)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_faults_the_rows_are_the_same(tmp_path, seed):
    made = world()
    simulator, clock = staged(made, faults=Faults(share=0.1, seed=seed))
    harvested(simulator, clock, tmp_path)
    assert stored(tmp_path) == truth(made)


@pytest.mark.parametrize("writes", [1, 2, 5, 9])
def test_stopped_after_some_writes_it_goes_on_where_it_stood(tmp_path, writes):
    made = world()
    store = open_store(tmp_path, create=True)
    put, left = store.put, iter(range(writes))

    def full_after(*args, **more):
        if next(left, None) is None:
            raise StoreError("the disk is full")
        return put(*args, **more)

    store.put = full_after
    with pytest.raises(StoreError, match="full"):
        harvested(*staged(made), store)
    harvested(*staged(made), tmp_path)
    assert stored(tmp_path) == truth(made)


def test_without_the_add_on_the_days_are_stored_and_the_report_says_what_is_missing(tmp_path):
    longer = OpenTokWorld.generate(seed=7, since=NOW - 9 * DAY, until=NOW - DAY, sessions=1)
    simulator, clock = staged(longer, rules=Rules(add_on=False))
    report = harvested(simulator, clock, tmp_path, since=NOW - 8 * DAY)
    assert [skipped.call_id for skipped in report.skipped] == ["sessions"]
    assert "1014" in report.skipped[0].reason
    assert report.points > 0


def test_a_meeting_that_comes_in_part_is_stored_told_and_fetched_again(tmp_path):
    made = world(sessions=2, meetings=(1, 1))
    simulator, clock = staged(made)
    simulator.fail_with(1014, times=7, at="streamStatsCollection")  # four days, the list, two meetings
    first = harvested(simulator, clock, tmp_path)
    assert any("came in part" in skipped.reason for skipped in first.skipped)
    assert not first.complete
    again = harvested(simulator, clock, tmp_path)
    assert again.complete
    assert stored(tmp_path) == truth(made)


def test_meetings_that_the_list_of_sessions_does_not_tell_are_named_and_fetched_by_the_next_run(tmp_path):
    made = world(sessions=3)
    simulator, clock = staged(made)
    simulator.fail_with(1014, times=5, at="meetings")  # four days, and the list
    first = harvested(simulator, clock, tmp_path)
    assert [skipped.call_id for skipped in first.skipped if skipped.call_id == "sessions"]
    assert not first.complete
    assert harvested(simulator, clock, tmp_path).complete
    assert stored(tmp_path) == truth(made)


def test_what_cannot_be_asked_ends_it(tmp_path):
    simulator, clock = staged(world())
    with pytest.raises(AuthenticationError):
        harvested(simulator, clock, tmp_path, secret="another" * 8)
    with pytest.raises(InvalidRequest):
        harvested(simulator, clock, tmp_path, since=UNTIL, until=SINCE)
