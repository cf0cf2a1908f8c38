"""Generated OpenTok projects, and that the server's responses match them."""

from base64 import urlsafe_b64decode
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from agora_analytics.simulator import OpenTokWorld, OpenTokWorldConfig
from agora_analytics.simulator.opentok.samples import MEASURES
from agora_analytics.simulator.opentok.usage import most_at_once, participant_minutes, total_minutes
from tests.simulator.insights_client import DAY, NOW, SESSIONS, connected

WORLD = OpenTokWorld.generate(seed=11, since=NOW - 15 * DAY, until=NOW, sessions=60)
MEETINGS = [meeting for session in WORLD.sessions for meeting in session.meetings]
EDGE = (NOW - 300) * 1000


def test_world_follows_from_its_seed():
    def made(seed):
        return OpenTokWorld.generate(seed=seed, since=NOW - DAY, until=NOW, sessions=3)

    assert [one.session_id for one in made(1).sessions] == [one.session_id for one in made(1).sessions]
    assert made(1).totals(now=NOW) == made(1).totals(now=NOW) != made(2).totals(now=NOW)


def test_more_sessions_do_not_change_the_first_ones():
    few, more = (OpenTokWorld.generate(since=NOW - DAY, until=NOW, sessions=n) for n in (3, 9))
    assert {one.session_id for one in few.sessions} < {one.session_id for one in more.sessions}


def test_session_id_has_the_vendors_format():
    for session in WORLD.sessions:
        kind, _, inner = session.session_id.partition("_")
        assert (kind == "2") == (session.media_mode == "routed")
        text = urlsafe_b64decode(inner + "=" * (-len(inner) % 4)).decode()
        assert text.startswith(f"1~45000001~~{session.created_ms}~")


def test_world_has_some_of_everything():
    connections = [one for meeting in MEETINGS for one in meeting.connections]
    publishers = [one for meeting in MEETINGS for one in meeting.publishers]
    assert {session.media_mode for session in WORLD.sessions} == {"routed", "relayed"}
    assert {one.guid is None for one in connections} == {True, False}
    assert {one.stream.video_type for one in publishers} == {"camera", "screen"}
    assert {(one.stream.audio, one.stream.video) for one in publishers} == {
        (True, True),
        (True, False),
        (False, True),
    }
    assert {meeting.destroyed_ms is None for meeting in MEETINGS} == {True, False}


def test_meetings_are_ten_minutes_apart_unless_they_share_an_id():
    shared = 0
    for session in WORLD.sessions:
        for before, after in pairwise(session.meetings):
            pause = (after.created_ms - before.destroyed_ms) / 60_000
            assert pause > 0
            assert (pause < 10) == (before.meeting_id == after.meeting_id)
            shared += pause < 10
    assert shared > 3


def test_times_lie_within_those_of_the_parent():
    for meeting in MEETINGS:
        connections = {one.connection_id: one for one in meeting.connections}
        for one in (*meeting.publishers, *meeting.subscribers):
            connection = connections[one.connection_id]
            assert connection.created_ms <= one.created_ms
            if one.destroyed_ms is not None:
                assert one.created_ms < one.destroyed_ms <= (connection.destroyed_ms or one.destroyed_ms)
        for one in meeting.connections:
            assert meeting.created_ms <= one.created_ms
            assert one.destroyed_ms is None or one.destroyed_ms <= (meeting.destroyed_ms or one.destroyed_ms)
        own = {one.stream.stream_id: one.connection_id for one in meeting.publishers}
        assert all(own[one.stream.stream_id] != one.connection_id for one in meeting.subscribers)


def test_samples_are_30_seconds_or_1_to_14_seconds_apart():
    kinds = set()
    for publisher in (one for meeting in MEETINGS for one in meeting.publishers):
        ms = WORLD.samples(publisher, EDGE).ms
        if len(ms) < 5:
            continue
        gaps = np.diff(ms) / 1000
        steady = 28 <= gaps.min() <= gaps.max() <= 32
        assert steady or 1 <= gaps.min() <= gaps.max() <= 14
        assert ms[0] > publisher.created_ms
        kinds.add(steady)
    assert kinds == {True, False}


def test_samples_do_not_depend_on_the_time_of_generation():
    publisher = max(
        (one for meeting in MEETINGS for one in meeting.publishers), key=lambda p: len(WORLD.samples(p, EDGE))
    )
    whole = WORLD.samples(publisher, EDGE)
    half = WORLD.samples(publisher, int(whole.ms[len(whole) // 2]))
    assert len(half) == len(whole) // 2 + 1
    assert np.array_equal(half.values, whole.values[:, : len(half)], equal_nan=True)
    assert half.resolution.tolist() == whole.resolution[: len(half)].tolist()


def test_values_are_in_range():
    hidden = 0
    for publisher in (one for meeting in MEETINGS for one in meeting.publishers):
        samples = WORLD.samples(publisher, EDGE)
        loss = samples.values[[name.endswith("Loss") for name in MEASURES]]
        assert np.nanmin(loss, initial=0) >= 0
        assert np.nanmax(loss, initial=0) <= 1
        video = samples.values[[name.startswith("video") for name in MEASURES]]
        if not publisher.stream.video:
            hidden += 1
            assert np.isnan(video).all()
            assert set(samples.resolution) <= {None}
        elif len(samples) > 200:
            assert 0 < np.isnan(video).mean() < 0.1
    assert hidden


def test_active_stream_needs_an_end():
    endless = next(one for meeting in MEETINGS for one in meeting.publishers if one.destroyed_ms is None)
    with pytest.raises(ValueError, match="pass last_ms"):
        WORLD.samples(endless)
    assert len(WORLD.samples(endless, NOW * 1000)) >= len(WORLD.samples(endless, EDGE)) > 0


def test_config_can_be_exact():
    config = OpenTokWorldConfig(
        meetings=(10, 10),
        connections=(60, 60),
        publish_share=1,
        screen_share=0,
        samples=60,
        peers=0,
        ongoing_share=0,
    )
    world = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW, sessions=2, config=config)
    assert world.totals().samples == 2 * 10 * 60 * 60
    assert world.totals("subscribers").samples == 0


class Stay:
    def __init__(self, created_ms, destroyed_ms):
        self.created_ms, self.destroyed_ms = created_ms, destroyed_ms


def test_minutes_and_concurrency_of_stays():
    stays = [Stay(0, 60_000), Stay(60_000, 180_000), Stay(90_000, None)]
    assert most_at_once(stays, 240_000) == 2  # the first leaves before the second joins
    assert total_minutes(stays, 240_000) == 1 + 2 + 2.5
    assert total_minutes(stays, 120_000) == 1 + 1 + 0.5
    assert most_at_once([], 1) == 0


def test_participant_minutes_count_in_every_matching_tier():
    meeting = max(MEETINGS, key=lambda one: len(one.publishers))
    tiers = participant_minutes([meeting], EDGE)
    # Three consecutive tiers, compared with a fourth one that spans them.
    parts = [tiers[name] for name in ("from1To2Publishers", "from3To6Publishers", "from7To8Publishers")]
    assert sum(parts) == pytest.approx(tiers["from1To8Publishers"])
    connected = total_minutes(meeting.connections, EDGE)
    assert connected * 0.9 < tiers["from1To25Publishers"] <= connected
    assert tiers["from41PlusPublishers"] == 0


def rows(answer, *path):
    for session in answer["sessionData"]["sessions"]["resources"]:
        for meeting in session["meetings"]["resources"]:
            yield from meeting[path[0]]["resources"]


async def test_responses_match_the_ground_truth():
    fields = """{resources {meetings {resources {
        subscribers(first: 20) {resources {streamStatsCollection(first: 1000) {resources {
            createdAt %s subscribeToAudio subscribeToVideo audioCodec}}}}
        publishers(first: 20) {resources {streamStatsCollection(first: 1000) {resources {
            createdAt %s hasAudio hasVideo videoResolution}}}}}}}}"""
    fields = fields.replace("%s", " ".join(MEASURES))
    found = {"publishers": [], "subscribers": []}
    world = OpenTokWorld.generate(seed=12, since=NOW - 15 * DAY, until=NOW, sessions=15)
    async with connected(world) as client:
        for session in world.sessions:
            answer = await client.project(SESSIONS % fields, ids=[session.session_id])
            for side, samples in found.items():
                samples += [
                    row for one in rows(answer, side) for row in one["streamStatsCollection"]["resources"]
                ]
    for side, samples in found.items():
        truth = world.totals(side, now=NOW - 300)
        values = [row[name] for row in samples for name in MEASURES]
        assert len(samples) == truth.samples > 1000
        assert sum(value is None for value in values) == truth.nulls > 0
        assert sum(filter(None, values)) == pytest.approx(truth.value_sum)
        assert sum(ms_of(row["createdAt"]) for row in samples) == truth.ms_sum


def ms_of(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def test_ongoing_has_no_end_and_future_is_not_visible():
    ongoing = next(one for one in WORLD.sessions if one.meetings[-1].destroyed_ms is None)
    meeting = ongoing.meetings[-1]
    query = (
        SESSIONS
        % "{resources {meetings {resources {createdAt destroyedAt connections {totalCount maxConcurrent}}}}}"
    )
    async with connected(WORLD) as client:
        client.now = meeting.created_ms / 1000 + 301
        answer = await client.project(query, ids=[ongoing.session_id])
    (*_, last) = answer["sessionData"]["sessions"]["resources"][0]["meetings"]["resources"]
    assert last["destroyedAt"] is None
    assert ms_of(last["createdAt"]) == meeting.created_ms
    seen = sum(one.created_ms <= meeting.created_ms + 1000 for one in meeting.connections)
    assert last["connections"] == {"totalCount": seen, "maxConcurrent": seen}
    assert seen < len(meeting.connections)


async def test_summaries_count_the_whole_session():
    session = max(
        WORLD.sessions, key=lambda one: (one.meetings[-1].destroyed_ms is not None, len(one.meetings))
    )
    last = session.meetings[-1]
    query = (
        f"{{project(projectId: 45000001) {{sessionData {{sessionSummaries(start: {last.created_ms}, end: {last.created_ms + 1})"
        " {resources {sessionId mediaMode publisherMinutes subscriberMinutes meetings {totalCount resources"
        " {meetingId totalConnections totalStreams totalSubscribers maxConcurrentStreams publisherMinutes}}}}}}}"
    )
    async with connected(WORLD) as client:
        answer = await client.project(query)
    (found,) = answer["sessionData"]["sessionSummaries"]["resources"]
    assert (found["sessionId"], found["mediaMode"]) == (session.session_id, session.media_mode)
    assert found["meetings"]["totalCount"] == len(session.meetings) > 1
    publishers = [one for meeting in session.meetings for one in meeting.publishers]
    assert found["publisherMinutes"] == pytest.approx(total_minutes(publishers, EDGE))
    listed = found["meetings"]["resources"]
    assert sum(one["publisherMinutes"] for one in listed) == pytest.approx(found["publisherMinutes"])
    assert listed[-1]["totalStreams"] == len(last.publishers)
    assert listed[-1]["totalSubscribers"] == len(last.subscribers)
    assert listed[-1]["maxConcurrentStreams"] == most_at_once(last.publishers, EDGE)
