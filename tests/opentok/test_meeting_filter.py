"""Which meetings are returned, by time and id, however the server reads its arguments; active meetings."""

from datetime import UTC, datetime

import pytest

from agora_analytics.opentok.query_builders import MeetingFilter
from agora_analytics.simulator import OpenTokWorld
from tests.conftest import slow
from tests.opentok.harness import DAY, IDS, NOW, data, listed, make_harness, scripted
from tests.opentok.test_listings import LAST_MS, expected_samples, sample_rows, utc

BEGAN = datetime(2026, 11, 18, 10, tzinfo=UTC)
AT = BEGAN.timestamp()


@pytest.mark.parametrize(
    ("part", "matches"),
    [
        (MeetingFilter(), True),
        (MeetingFilter(since=AT), True),
        (MeetingFilter(since=AT + 0.001), False),
        (MeetingFilter(until=AT), False),
        (MeetingFilter(until=AT + 0.001), True),
        (MeetingFilter(since=AT - 1, until=AT + 1, meeting_id="m"), True),
        (MeetingFilter(since=AT - 1, until=AT + 1, meeting_id="n"), False),
        (MeetingFilter(since=AT + 1, meeting_id="m"), False),
    ],
)
def test_filter_matches_by_start_and_id(part, matches):
    assert part.matches(BEGAN, "m") is matches


def test_filter_keeps_meetings_whose_id_cannot_be_read():
    """The server has selected them."""
    assert MeetingFilter(meeting_id="m").matches(None, None)


def test_filter_keeps_meetings_without_a_start():
    assert MeetingFilter(since=AT).matches(None, "m")
    assert not MeetingFilter(meeting_id="n").matches(None, "m")


@pytest.mark.parametrize("method", ["meetings", "connections", "publishers", "subscribers", "stream_stats"])
def test_listings_drop_meetings_outside_the_filter(method):
    """The documents do not state whether `start` and `end` refer to the start of a meeting or to its duration."""

    def meeting(number, meeting_id):
        stats = {"streamStatsCollection": listed({"createdAt": f"2026-11-18T{number}:00:30.000Z"})}
        inside = {
            "meetings": {},
            "connections": {"connections": listed({"connectionId": "c"})},
            "publishers": {"publishers": listed({"connectionId": "c", "stream": {"streamId": "s"}})},
            "subscribers": {"subscribers": listed({"connectionId": "c", "stream": {"streamId": "s"}})},
            "stream_stats": {"publishers": listed({"connectionId": "c", **stats})},
        }[method]
        return {"meetingId": meeting_id, "createdAt": f"2026-11-18T{number}:00:00.000Z", **inside}

    sent = listed(meeting("08", "m"), meeting("09", "n"), meeting("09", "m"), meeting("10", "m"))
    harness = scripted(data({"sessionData": {"sessions": listed({"sessionId": "s", "meetings": sent})}}))
    found = harness.run(
        lambda client: getattr(client, method)(
            "s", since="2026-11-18T09:00Z", until="2026-11-18T10:00Z", meeting_id="m"
        ).collect(),
    )
    (one,) = found
    began = one.created_at if method == "meetings" else one.meeting_created_at
    assert (one.meeting_id, began) == ("m", datetime(2026, 11, 18, 9, tzinfo=UTC))


@pytest.mark.parametrize("kind", ["connections", "publishers", "subscribers"])
def test_entries_with_the_same_meeting_id_are_distinct(kind):
    world = OpenTokWorld.generate(
        seed=3, since=NOW - 2 * DAY, until=NOW - DAY, sessions=1, meetings=(4, 4), reconnect_share=1.0
    )
    (session,) = world.sessions
    (meeting_id,) = {one.meeting_id for one in session.meetings}
    found = make_harness(world).run(
        lambda client: getattr(client, kind)(session.session_id, meeting_id=meeting_id).collect()
    )
    assert [(one.meeting_created_at, one.connection_id) for one in found] == [
        (utc(entry.created_ms), one.connection_id)
        for entry in session.meetings
        for one in getattr(entry, kind)
    ]
    assert len({one.meeting_created_at for one in found}) == 4


def test_active_meeting_has_data_up_to_now():
    world = OpenTokWorld.generate(seed=7, since=NOW - 3600, until=NOW, sessions=6, ongoing_share=1.0)
    ids = [session.session_id for session in world.sessions if session.created_ms <= LAST_MS]
    active = {
        (session.session_id, utc(one.created_ms))
        for session in world.sessions
        for one in session.meetings
        if one.created_ms <= LAST_MS and utc(one.destroyed_ms) is None
    }

    async def job(client):
        return (
            await client.session_summaries("2h").collect(),
            await client.meetings(ids).collect(),
            await client.connections(ids).collect(),
            await client.stream_stats(ids).collect(),
        )

    summaries, meetings, connections, samples = make_harness(world).run(job)
    in_summaries = [one for summary in summaries for one in summary.meetings]
    for listed_meetings in (in_summaries, meetings):
        assert (
            {(one.session_id, one.created_at) for one in listed_meetings if one.destroyed_at is None}
            == active
            != set()
        )
    assert any(one.destroyed_at is None for one in connections)
    assert sample_rows(samples) == expected_samples(world, keep=lambda session, _: session.session_id in ids)
    last = max(one.created_at for one in samples).timestamp()
    assert NOW - 360 < last <= NOW - 300  # up to the newest data that the server returns


@pytest.mark.parametrize("since", [0, *map(slow, (-5, NOW - 40 * DAY, "1970-01-01T00:00Z"))])
@pytest.mark.parametrize("method", ["meetings", "connections", "publishers", "subscribers", "stream_stats"])
def test_early_start_is_clipped_to_the_oldest_data(method, since):
    harness = make_harness()

    async def job(client):
        ask = getattr(client, method)
        return await ask(IDS[:2], since=since).collect(), await ask(IDS[:2]).collect()

    cut, whole = harness.run(job)
    assert cut == whole != []
    assert harness.simulator.errors == {}
