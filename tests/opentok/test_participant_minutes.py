"""Participant minutes: all 17 tiers, typed on sessions, meetings and their summaries, and in tables."""

import attrs
import pytest

from agora_analytics.engine.events import FilterIgnored, RangeClipped
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.opentok import PARTICIPANTS, ParticipantMinutes, pacific_midnight
from agora_analytics.opentok.participant_minutes import read_participant_minutes, unreadable_tiers
from agora_analytics.opentok.records import snake
from agora_analytics.simulator.opentok.usage import participant_minutes
from tests.opentok.harness import DAY, IDS, NOW, WORLD, data, listed, make_harness, scripted

TIERS = [name.rpartition(".")[2] for name in PARTICIPANTS]
SENT = {tier: 1.5 * number for number, tier in enumerate(TIERS, 1)}
TYPED = ParticipantMinutes(**{snake(tier): minutes for tier, minutes in SENT.items()})
EDGE_MS = int((NOW - 300) * 1000)


def test_record_has_every_documented_tier():
    assert len(TIERS) == 17
    assert [attribute.name for attribute in attrs.fields(ParticipantMinutes)] == [
        snake(tier) for tier in TIERS
    ]
    assert TYPED.from1_to2_publishers == 1.5
    assert TYPED.from41_plus_publishers == 25.5


def test_tiers_are_read_whatever_their_form():
    sent = {
        "from1To2Publishers": "2.5",
        "from1To4Publishers": 3,
        "from1To8Publishers": None,
        "from3To6Publishers": "x",
    }
    read = read_participant_minutes(
        sent | {"from9To10Publishers": True, "from36PlusPublishers": float("inf"), "new": 1}
    )
    assert read == ParticipantMinutes(from1_to2_publishers=2.5, from1_to4_publishers=3.0)
    assert unreadable_tiers(sent | {"new": 1, "from9To10Publishers": "1_000"}) == {
        "participantMinutes.from3To6Publishers": "x",
        "participantMinutes.new": 1,
        "participantMinutes.from9To10Publishers": "1_000",
    }
    with pytest.raises(ValueError, match="cannot be list"):
        read_participant_minutes([1])


MEETING = {"meetingId": "m", "createdAt": "2026-11-18T12:00:00.000Z", "participantMinutes": SENT}
SESSION = {"sessionId": "s", "mediaMode": "routed", "participantMinutes": SENT, "meetings": listed(MEETING)}


@pytest.mark.parametrize(
    ("list_name", "ask"),
    [
        ("sessionSummaries", lambda c: c.session_summaries("2d", minutes=True)),
        ("sessions", lambda c: c.sessions("s", minutes=True)),
        ("sessions", lambda c: c.meetings("s", minutes=True)),
    ],
)
def test_minutes_are_typed_on_every_record(list_name, ask):
    harness = scripted(data({"sessionData": {list_name: listed(SESSION)}}))
    (found,) = harness.run(lambda client: ask(client).collect())
    assert found.participant_minutes == TYPED
    assert all(meeting.participant_minutes == TYPED for meeting in getattr(found, "meetings", ()))
    query = harness.transport.bodies[0]["query"]
    assert all(tier in query for tier in TIERS)


@pytest.mark.parametrize("sent", [None, [], "x", 5])
def test_unreadable_minutes_cost_no_record(sent):
    harness = scripted(
        data({"sessionData": {"sessionSummaries": listed(SESSION | {"participantMinutes": sent})}})
    )
    (found,) = harness.run(lambda client: client.session_summaries("2d", minutes=True).collect())
    assert found.participant_minutes is None
    assert found.meetings[0].participant_minutes == TYPED


@pytest.mark.parametrize("sent", ["many", "1_000", "nan", 2**53 + 1, [1], {"a": 1}])
def test_unreadable_tier_is_none_and_stays_in_extra(sent):
    minutes = SENT | {"from1To2Publishers": sent}
    harness = scripted(
        data({"sessionData": {"sessionSummaries": listed(SESSION | {"participantMinutes": minutes})}})
    )
    (found,) = harness.run(lambda client: client.session_summaries("2d", minutes=True).collect())
    assert found.participant_minutes == attrs.evolve(TYPED, from1_to2_publishers=None)
    assert found.extra == {"participantMinutes.from1To2Publishers": sent}


def test_minutes_are_those_of_the_world():
    async def job(client):
        summaries = await client.session_summaries("16d", minutes=True).collect()
        sessions = await client.sessions(IDS, minutes=True).collect()
        meetings = await client.meetings(IDS, minutes=True).collect()
        return summaries, sessions, meetings, await client.session_summaries("16d").collect()

    summaries, sessions, meetings, without = make_harness().run(job)
    truth = {
        session.session_id: ParticipantMinutes(
            **{snake(tier): value for tier, value in participant_minutes(session.meetings, EDGE_MS).items()}
        )
        for session in WORLD.sessions
    }
    for found in (*summaries, *sessions):
        expected = attrs.asdict(truth[found.session_id])
        assert attrs.asdict(found.participant_minutes) == pytest.approx(expected)
    total = sum(meeting.participant_minutes.from1_to25_publishers for meeting in meetings)
    assert total == pytest.approx(sum(one.from1_to25_publishers for one in truth.values()))
    assert total > 0
    assert {found.participant_minutes for found in without} == {None}


def test_command_line_has_a_column_for_each_tier():
    pytest.importorskip("pyarrow")
    pytest.importorskip("typer")
    from agora_analytics.cli.commands import opentok as commands

    summaries = make_harness().run(lambda c: c.session_summaries("16d", minutes=True).collect())
    table = commands._meetings_table(summaries, minutes=True)
    tiers = [f"participant_minutes_{snake(tier)}" for tier in TIERS]
    assert table.column_names[-19:] == ["publisher_minutes", "subscriber_minutes", *tiers]
    shown = [m.participant_minutes.from1_to25_publishers for s in summaries for m in s.meetings]
    assert table[commands._SHOWN_TIER].to_pylist() == shown
    assert commands.MEETING_MINUTES_ROWS.schema().names == table.column_names
    assert not set(tiers) & set(commands.MEETING_ROWS.schema().names)


# ---- filters that do not apply

MINUTES = (
    "usage.participantMinutes.from1To25Publishers",
    "usage.hdArchiveComposedMinutes",
    "usage.hlsMinutes",
)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"sdk_type": "JS"}, ("sdk_type",)),
        ({"region": ["CA"], "browser": "CHROME"}, ("browser", "region")),
        ({"sdk_version": "2.25.1"}, ("sdk_version",)),
        ({"browser_version": "120"}, ("browser_version",)),
        ({"group_by": ["COUNTRY", "SDK_TYPE"]}, ("group_by=SDK_TYPE",)),
    ],
)
def test_filter_without_effect_is_reported_once(filters, named):
    harness = scripted(data({"projectData": listed()}))
    harness.run(lambda c: c.project_data("3d", fields=MINUTES, **filters).collect())
    assert harness.events_of(FilterIgnored) == [
        FilterIgnored(endpoint="opentok/project_data", arguments=named, fields=MINUTES[:2])
    ]


@pytest.mark.parametrize(
    ("fields", "filters"),
    [
        (MINUTES, {"country": "US"}),
        (MINUTES, {"group_by": "COUNTRY"}),
        (MINUTES[2:], {"sdk_type": "JS"}),
        (MINUTES, {}),
    ],
)
def test_filter_with_effect_is_not_reported(fields, filters):
    harness = scripted(data({"projectData": listed()}))
    harness.run(lambda c: c.project_data("3d", fields=fields, **filters).collect())
    assert harness.events_of(FilterIgnored) == []


# ---- daily rows are kept for 90 days


def sent_start(harness):
    return harness.transport.bodies[-1]["query"].partition('projectData(start: "')[2][:24]


def test_daily_rows_that_are_gone_are_cut_off_and_reported():
    harness = scripted(data({"projectData": listed()}))
    harness.run(lambda c: c.project_data("200d", interval="DAILY").collect())
    assert sent_start(harness) == "2026-08-21T07:00:00.000Z"  # the Pacific midnight before NOW - 90 days
    (event,) = harness.events_of(RangeClipped)
    assert event.requested_start == NOW - 200 * DAY
    assert event.start == pacific_midnight("2026-08-21").timestamp()


@pytest.mark.parametrize("interval", ["MONTHLY", "WEEKLY", None])
def test_other_intervals_are_not_cut(interval):
    harness = scripted(data({"projectData": listed()}))
    harness.run(lambda c: c.project_data("200d", interval=interval).collect())
    assert sent_start(harness) == "2026-05-03T12:00:00.000Z"
    assert harness.events_of(RangeClipped) == []


def test_range_of_days_that_are_gone_takes_no_request():
    harness = scripted(data({"projectData": listed()}))
    with pytest.raises(WindowOutOfReach, match="daily rows are kept for 90 days") as caught:
        harness.run(lambda c: c.project_data("200d", "100d", interval="DAILY").collect())
    assert harness.transport.bodies == []
    assert caught.value.legal[0] == pacific_midnight("2026-08-21").timestamp()
    harness.run(lambda c: c.project_data("200d", "100d", interval="DAILY").collect(), validate=False)
    assert len(harness.transport.bodies) == 1


def test_earliest_days_are_requested_without_a_start():
    harness = scripted(data({"projectData": listed()}))
    harness.run(lambda c: c.project_data(0, interval="DAILY").collect())
    assert "projectData(start: 0," in harness.transport.bodies[0]["query"]
    assert harness.events_of(RangeClipped) == []
