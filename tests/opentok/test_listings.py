"""Every listing against the simulated world: sessions, meetings, connections, streams, samples."""

import math
from datetime import UTC, datetime

import anyio
import pytest

from agora_analytics.engine.events import RangeClipped
from agora_analytics.errors import InvalidRequest, WindowOutOfReach, WindowRefused
from agora_analytics.opentok import pagination
from agora_analytics.simulator import OpenTokWorld
from agora_analytics.simulator.opentok.samples import MEASURES
from tests.opentok.harness import DAY, IDS, NOW, WORLD, data, listed, make_harness, scripted

LAST_MS = int((NOW - 300) * 1000)


def utc(ms):
    return None if ms is None or ms > LAST_MS else datetime.fromtimestamp(ms / 1000, UTC)


def meetings_of(world=WORLD):
    return [(session, meeting) for session in world.sessions for meeting in session.meetings]


def meeting_key(session, meeting):
    return session.session_id, meeting.meeting_id, utc(meeting.created_ms)


def stay(one):
    return utc(one.created_ms), utc(one.destroyed_ms)


def test_summaries_have_all_their_meetings():
    found = make_harness().run(lambda client: client.session_summaries("16d").collect())
    assert [(one.session_id, one.media_mode) for one in found] == [
        (one.session_id, one.media_mode) for one in WORLD.sessions
    ]
    assert [
        (
            one.session_id,
            one.meeting_id,
            one.created_at,
            one.destroyed_at,
            one.total_connections,
            one.total_streams,
        )
        for summary in found
        for one in summary.meetings
    ] == [
        (*meeting_key(session, one), utc(one.destroyed_ms), len(one.connections), len(one.publishers))
        for session, one in meetings_of()
    ]
    assert all(one.publisher_minutes is None for one in found)


def test_summaries_cover_meetings_that_began_in_the_range():
    since, until = NOW - 9 * DAY, NOW - 4 * DAY
    found = make_harness().run(lambda client: client.session_summaries(since, until).collect())
    wanted = {s.session_id for s, one in meetings_of() if since * 1000 <= one.created_ms < until * 1000}
    assert {one.session_id for one in found} == wanted
    assert 0 < len(wanted) < len(IDS)


def test_minutes_are_fetched_on_request():
    harness = make_harness()

    async def job(client):
        summary = (await client.session_summaries("16d", minutes=True).collect())[0]
        (session,) = await client.sessions(IDS[0], minutes=True).collect()
        (first, *_) = await client.meetings(IDS[0], minutes=True).collect()
        return summary, session, first

    summary, session, first = harness.run(job)
    assert summary.publisher_minutes == session.publisher_minutes > 0
    assert (
        summary.meetings[0].subscriber_minutes
        == first.subscriber_minutes
        == session.meetings[0].subscriber_minutes
    )
    assert math.isclose(
        session.publisher_minutes, sum(one.publisher_minutes for one in session.meetings), abs_tol=0.01
    )


def test_sessions_have_their_meetings():
    found = make_harness().run(lambda client: client.sessions(IDS).collect())
    assert [(one.session_id, one.media_mode) for one in found] == [
        (s.session_id, s.media_mode) for s in WORLD.sessions
    ]
    assert [(m.session_id, m.meeting_id, m.created_at) for one in found for m in one.meetings] == [
        meeting_key(*one) for one in meetings_of()
    ]


def test_meetings_by_time_and_by_id():
    world = OpenTokWorld.generate(
        seed=3, since=NOW - 2 * DAY, until=NOW - DAY, sessions=1, meetings=(4, 4), reconnect_share=1.0
    )
    (session,) = world.sessions
    assert len({one.meeting_id for one in session.meetings}) == 1  # all entries are of one meeting

    async def job(client):
        second = session.meetings[1].created_ms / 1000
        one = await client.meetings(session.session_id, since=second, until=second + 0.001).collect()
        named = await client.meetings(session.session_id, meeting_id=session.meetings[0].meeting_id).collect()
        none = await client.meetings(session.session_id, meeting_id="another").collect()
        return one, named, none

    one, named, none = make_harness(world).run(job)
    assert [m.created_at for m in one] == [utc(session.meetings[1].created_ms)]
    assert [m.created_at for m in named] == [utc(m.created_ms) for m in session.meetings]
    assert none == []


def test_connections_have_user_and_place():
    found = make_harness().run(lambda client: client.connections(IDS).collect())
    wanted = [
        (
            *meeting_key(s, m),
            one.connection_id,
            one.guid,
            *stay(one),
            one.client.country,
            one.client.region or None,
        )
        for s, m in meetings_of()
        for one in m.connections
    ]
    assert [
        (
            one.session_id, one.meeting_id, one.meeting_created_at, one.connection_id, one.guid,
            one.created_at, one.destroyed_at, one.country, one.region,
        )
        for one in found
    ] == wanted  # fmt: skip
    assert {(one.sdk_type, one.sdk_version, one.city) for one in found} == {
        (one.client.sdk_type, one.client.sdk_version, one.client.city)
        for _, m in meetings_of()
        for one in m.connections
    }


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_streams_have_their_connections(role):
    found = make_harness().run(lambda client: getattr(client, f"{role}s")(IDS).collect())
    assert [
        (
            one.session_id, one.meeting_id, one.meeting_created_at, one.connection_id, one.created_at,
            one.destroyed_at, one.stream_id, one.video_type, one.has_audio_track, one.has_video_track,
        )
        for one in found
    ] == [
        (
            *meeting_key(s, m), one.connection_id, *stay(one), one.stream.stream_id,
            one.stream.video_type, one.stream.audio, one.stream.video,
        )
        for s, m in meetings_of()
        for one in getattr(m, f"{role}s")
    ]  # fmt: skip
    if role == "subscriber":
        assert [one.subscriber_id for one in found] == [
            one.subscriber_id for _, m in meetings_of() for one in m.subscribers
        ]


def expected_samples(world=WORLD, roles=("publisher", "subscriber"), keep=lambda _session, _meeting: True):
    """Return (meeting key, role, stream, connection, sender, time, numbers) of every sample."""
    found = []
    for session, meeting in meetings_of(world):
        if not keep(session, meeting):
            continue
        sender = {one.stream.stream_id: one.connection_id for one in meeting.publishers}
        for role in roles:
            for one in getattr(meeting, f"{role}s"):
                samples = world.samples(one, LAST_MS)
                for i, ms in enumerate(samples.ms.tolist()):
                    numbers = tuple(None if math.isnan(n) else n for n in samples.values[:, i].tolist())
                    found.append(
                        (
                            *meeting_key(session, meeting), role, one.stream.stream_id, one.connection_id,
                            sender[one.stream.stream_id], utc(ms), numbers,
                        )
                    )  # fmt: skip
    return found


def sample_rows(samples):
    names = [
        "audio_bitrate_kbps", "video_bitrate_kbps", "audio_latency_ms", "video_latency_ms", "audio_packet_loss",
        "video_packet_loss",
    ]  # fmt: skip
    assert [name.replace("_", "") for name in names] == [name.lower() for name in MEASURES]
    return [
        (
            one.session_id, one.meeting_id, one.meeting_created_at, one.role, one.stream_id, one.connection_id,
            one.publisher_connection_id, one.created_at, tuple(getattr(one, name) for name in names),
        )
        for one in samples
    ]  # fmt: skip


def test_samples_of_all_streams():
    found = make_harness().run(lambda client: client.stream_stats(IDS).collect())
    assert sample_rows(found) == expected_samples()
    assert len(found) > 1000
    sent = [one for one in found if one.role == "publisher"]
    assert {one.has_audio for one in sent} <= {True, False}
    assert all(one.subscribe_to_audio is None and one.subscriber_id is None for one in sent)
    assert all(one.has_audio is None and one.subscriber_id for one in found if one.role == "subscriber")


def test_samples_of_one_entry_of_a_meeting():
    world = OpenTokWorld.generate(
        seed=3, since=NOW - 2 * DAY, until=NOW - DAY, sessions=1, meetings=(3, 3), reconnect_share=1.0
    )
    (session,) = world.sessions
    wanted = session.meetings[1]

    async def job(client):
        begin = wanted.created_ms / 1000
        return await client.stream_stats(
            session.session_id, since=begin, until=begin + 0.001, meeting_id=wanted.meeting_id
        ).collect()

    found = make_harness(world).run(job)
    assert sample_rows(found) == expected_samples(world, keep=lambda _, meeting: meeting is wanted)


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_samples_of_one_role(role):
    found = make_harness().run(lambda client: client.stream_stats(IDS[:2], roles=(role,)).collect())
    wanted = expected_samples(roles=(role,), keep=lambda session, _: session.session_id in IDS[:2])
    if role == "subscriber":  # publishers were not requested
        wanted = [(*one[:6], None, *one[7:]) for one in wanted]
    assert sample_rows(found) == wanted


def test_table_columns_are_typed():
    pa = pytest.importorskip("pyarrow")
    harness = make_harness()

    async def job(client):
        return (
            await client.stream_stats(IDS).to_arrow(),
            await client.stream_stats(IDS[0], meeting_id="another").to_arrow(),
            await client.connections(IDS).to_arrow(),
            await client.session_summaries("16d").to_arrow(),
        )

    samples, none, connections, summaries = harness.run(job)
    assert samples.schema == none.schema
    assert none.num_rows == 0
    assert samples.schema.field("created_at").type == pa.timestamp("ms", "UTC")
    assert samples.schema.field("audio_packet_loss").type == pa.float64()
    assert samples.schema.field("has_video").type == pa.bool_()
    assert samples["created_at"].to_pylist() == [one[7] for one in expected_samples()]
    assert samples["video_bitrate_kbps"].to_pylist() == [one[8][1] for one in expected_samples()]
    assert connections.num_rows == sum(len(meeting.connections) for _, meeting in meetings_of())
    assert summaries["session_id"].to_pylist() == IDS


def test_listing_resumes_after_a_page():
    ids = [f"1_{i}" for i in range(120)]
    world = OpenTokWorld.generate(
        seed=7,
        since=NOW - 5 * DAY,
        until=NOW - DAY,
        sessions=120,
        session_ids=ids,
        meetings=(1, 1),
        connections=(1, 2),
    )
    harness = make_harness(world)

    async def job(client):
        whole = [page async for page in client.sessions(ids).pages()]
        rest = await client.sessions(ids, resume=whole[0].resume_token).collect()
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.sessions(ids[:50], resume=whole[1].resume_token).collect()
        with pytest.raises(InvalidRequest, match="not a resume token"):
            await client.sessions(ids, resume="what?").collect()
        return whole, rest

    whole, rest = harness.run(job)
    assert [len(page.records) for page in whole] == [50, 50, 20]
    assert whole[-1].resume_token == ""
    assert rest == [one for page in whole[1:] for one in page.records]
    assert all(page.problems == [] and page.meta.total == page.listed for page in whole)


# ---- refused before a request is spent

BAD = {
    "too far back": (lambda c: c.session_summaries("40d", "30d"), WindowOutOfReach, "too far back"),
    "too recent": (lambda c: c.session_summaries("4m"), WindowOutOfReach, "too recent"),
    "in the future": (lambda c: c.stream_stats("s", since=NOW + 60), WindowOutOfReach, "too recent"),
    "meetings too far back": (lambda c: c.meetings("s", until="22d"), WindowOutOfReach, "too far back"),
    "swapped": (lambda c: c.session_summaries("1d", "2d"), InvalidRequest, "earlier time first"),
    "meetings swapped": (
        lambda c: c.meetings("s", since="1d", until="2d"),
        InvalidRequest,
        "earlier time first",
    ),
    "milliseconds": (lambda c: c.session_summaries(NOW * 1000), InvalidRequest, "milliseconds"),
    "naive": (lambda c: c.meetings("s", since=datetime(2026, 11, 18)), InvalidRequest, "time zone"),  # noqa: DTZ001
    "no session": (lambda c: c.sessions([]), InvalidRequest, "no session"),
    "an empty session": (lambda c: c.sessions(["a", " "]), InvalidRequest, "empty"),
    "a session twice": (lambda c: c.connections(["a", "b", "a"]), InvalidRequest, "twice"),
    "no role": (lambda c: c.stream_stats("s", roles=()), InvalidRequest, "publisher, subscriber"),
    "another role": (
        lambda c: c.stream_stats("s", roles=("viewer",)),
        InvalidRequest,
        "publisher, subscriber",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_arguments_are_refused_before_a_request(name):
    ask, error, words = BAD[name]
    harness = make_harness()

    async def job(client):
        with pytest.raises(error, match=words):
            await ask(client).collect()

    harness.run(job)
    assert harness.requests.total() == 0


def test_range_is_clipped_to_the_reach():
    world = OpenTokWorld.generate(seed=7, since=NOW - 30 * DAY, until=NOW - DAY, sessions=12)
    harness = make_harness(world)

    async def job(client):
        reach = client.reach()
        found = await client.session_summaries("30d").collect()
        for summary in found:
            await client.stream_stats(summary.session_id, since="30d").collect()
        return reach, found

    reach, found = harness.run(job)
    assert [one.session_id for one in found] == [
        session.session_id
        for session in world.sessions
        if any(reach.start * 1000 <= one.created_ms <= LAST_MS for one in session.meetings)
    ]
    assert 0 < len(found) < 12
    assert harness.simulator.errors == {}


def test_slowly_read_pages_stay_within_the_reach(monkeypatch):
    """All pages of a listing have the same start, while the reach of the server moves."""
    monkeypatch.setattr(pagination, "PAGE_BUDGET", 1_400)  # pages of 125
    world = OpenTokWorld.generate(
        seed=7, since=NOW - 20 * DAY, until=NOW - DAY, sessions=400, meetings=(1, 1), connections=(1, 1)
    )
    harness = make_harness(world)

    async def job(client):
        found = []
        async for page in client.session_summaries("21d").pages():
            found += page.records
            await anyio.sleep(400)
        return found

    assert len(harness.run(job, prefetch=1)) == 400
    assert harness.requests.total() == 4


def test_unrequested_meetings_are_filtered_out():
    """The documents do not state whether `start` and `end` are inclusive."""
    entries = [
        {"meetingId": name, "createdAt": f"2026-11-18T{hour}:00:00.000Z"}
        for name, hour in (("a", 10), ("a", 11), ("b", 11), ("a", 12))
    ]
    answer = data({"sessionData": {"sessions": listed({"sessionId": "s", "meetings": listed(*entries)})}})

    async def job(client):
        return await client.meetings(
            "s", since="2026-11-18T11:00Z", until="2026-11-18T12:00Z", meeting_id="a"
        ).collect()

    (found,) = scripted(answer).run(job)
    assert (found.meeting_id, found.created_at.hour) == ("a", 11)


def test_range_is_sent_unchanged_without_validation():
    harness = make_harness()

    async def job(client):
        with pytest.raises(WindowRefused, match="1002"):
            await client.session_summaries("40d", "30d").collect()
        with pytest.raises(WindowRefused, match="1002"):
            await client.meetings(IDS[0], since="40d").collect()

    harness.run(job, validate=False)
    assert harness.simulator.errors == {1002: 2}


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.session_summaries("30d"),
        lambda c: c.meetings(IDS, since="30d"),
        lambda c: c.stream_stats(IDS[0], since="30d"),
    ],
)
def test_range_before_the_retention_raises_one_event(ask):
    harness = make_harness()
    harness.run(lambda client: ask(client).collect())
    (event,) = harness.events_of(RangeClipped)
    assert event.requested_start == NOW - 30 * DAY
    assert event.start == pytest.approx(NOW - 21 * DAY + 900, abs=5)


@pytest.mark.parametrize("ask", [lambda c: c.session_summaries("20d"), lambda c: c.meetings(IDS)])
def test_range_within_the_retention_raises_none(ask):
    harness = make_harness()
    harness.run(lambda client: ask(client).collect())
    assert harness.events_of(RangeClipped) == []
