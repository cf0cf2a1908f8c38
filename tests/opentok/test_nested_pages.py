"""Lists are complete at every level: nested pages, many sessions, small pages, lists that change meanwhile."""

import asyncio
import itertools
import json
import re
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora_analytics.engine.events import PartialResponse
from agora_analytics.errors import DeadlineExceeded, IncompleteListing
from agora_analytics.opentok import graphql_query, pagination
from agora_analytics.simulator import OpenTokWorld
from tests.opentok.harness import DAY, NOW, data, listed, make_harness, scripted, summaries
from tests.opentok.test_listings import expected_samples, meeting_key, meetings_of, sample_rows


def world(**shape):
    known = {"sessions": 1, "ongoing_share": 0.0, "screen_share": 0.0, "publish_share": 1.0}
    return OpenTokWorld.generate(seed=7, since=NOW - 2 * DAY, until=NOW - DAY, **(known | shape))


@pytest.mark.slow
def test_four_nested_lists_are_complete():
    made = world(sessions=3, meetings=(10, 10), connections=(60, 60), samples=60, peers=0)
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made)

    async def job(client):
        counted, times, numbers = 0, 0, 0.0
        async for page in client.stream_stats(ids, roles=("publisher",)).pages():
            assert page.problems == []
            counted += len(page.records)
            times += sum(round(one.created_at.timestamp() * 1000) for one in page.records)
            for one in page.records:
                numbers += sum(
                    value or 0.0
                    for value in (
                        one.audio_bitrate_kbps, one.video_bitrate_kbps, one.audio_latency_ms, one.video_latency_ms,
                        one.audio_packet_loss, one.video_packet_loss,
                    )
                )  # fmt: skip
        return counted, times, numbers

    counted, times, numbers = harness.run(job, prefetch=1)
    truth = made.totals("publishers")
    assert counted == truth.samples == 3 * 10 * 60 * 60
    assert times == truth.ms_sum
    assert numbers == pytest.approx(truth.value_sum)
    assert harness.requests.total() == 3  # one request for each session


def test_120_sessions_are_complete():
    made = world(sessions=120, meetings=(1, 2), connections=(1, 3))
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made)
    found = harness.run(lambda client: client.sessions(ids).collect())
    assert [(one.session_id, len(one.meetings)) for one in found] == [
        (one.session_id, len(one.meetings)) for one in made.sessions
    ]
    assert harness.requests.total() == 3


def test_meetings_on_several_pages():
    made = world(sessions=3, meetings=(27, 27), connections=(1, 1), minutes=(1.0, 2.0))
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made)

    async def job(client):
        in_summaries = await client.session_summaries("3d").collect()
        in_sessions = await client.sessions(ids).collect()
        alone = await client.meetings(ids).collect()
        return in_summaries, in_sessions, alone

    in_summaries, in_sessions, alone = harness.run(job)
    wanted = [meeting_key(*one) for one in meetings_of(made)]
    for found in (in_summaries, in_sessions):
        returned = [
            (one.session_id, one.meeting_id, one.created_at) for each in found for one in each.meetings
        ]
        assert returned == wanted
    assert [(one.session_id, one.meeting_id, one.created_at) for one in alone] == wanted
    assert harness.requests.total() == 3 * 3  # one request fetches the second page of all sessions


def test_deadline_of_a_page_includes_its_nested_pages():
    made = world(sessions=3, meetings=(27, 27), connections=(1, 1), minutes=(1.0, 2.0))
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made, latency=(2.0, 2.0))

    async def job(client):
        start = harness.clock.now()
        with pytest.raises(DeadlineExceeded, match="timed out after 5 s"):
            await client.sessions(ids, deadline=5).collect()
        assert harness.clock.now() - start == pytest.approx(5, abs=0.1)
        return await client.sessions(ids, deadline=6.5).collect()

    assert len(harness.run(job)) == 3


@pytest.mark.slow
def test_every_list_has_several_pages():
    """12 meetings of 70 streams of 70 samples on both sides: pages of 63 and of 10."""
    made = world(meetings=(12, 12), connections=(70, 70), samples=70, peers=1)
    (session,) = made.sessions
    harness = make_harness(made)
    found = harness.run(lambda client: client.stream_stats(session.session_id).collect())
    assert sample_rows(found) == expected_samples(made)
    assert len(found) == 2 * 12 * 70 * 70
    assert harness.requests.total() <= 14
    connections = make_harness(made).run(lambda client: client.connections(session.session_id).collect())
    assert len(connections) == 12 * 70


def test_long_meeting_takes_few_requests():
    """The sizes of the outer lists are known, so the second page can be large."""
    made = world(meetings=(1, 1), connections=(4, 4), samples=900, peers=3)
    (session,) = made.sessions
    harness = make_harness(made)
    found = harness.run(lambda client: client.stream_stats(session.session_id).collect())
    assert sample_rows(found) == expected_samples(made)
    assert harness.requests.total() == 3  # one further page each of the samples of publishers and subscribers


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    budget=st.integers(30, 3_000),
    sessions=st.integers(1, 3),
    meetings=st.integers(1, 12),
    people=st.integers(1, 5),
    samples=st.integers(0, 9),
)
def test_any_page_size_returns_every_record_once(budget, sessions, meetings, people, samples):
    made = world(
        sessions=sessions, meetings=(meetings, meetings), connections=(people, people), samples=samples, peers=2,
        minutes=(1.0, 2.0),
    )  # fmt: skip
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphql_query, "PAGE_BUDGET", budget)
        patch.setattr(pagination, "PAGE_BUDGET", budget)
        found, summaries_found = harness.run(lambda client: both(client, ids))
    assert sample_rows(found) == expected_samples(made)
    assert [len(one.meetings) for one in summaries_found] == [meetings] * sessions
    assert harness.simulator.nodes <= budget
    assert harness.events_of(PartialResponse) == []


async def both(client, ids):
    return await client.stream_stats(ids).collect(), await client.session_summaries("3d").collect()


# ---- lists that change or lie


def session(number, *meetings, **page):
    return {"sessionId": f"s{number}", "meetings": listed(*meetings, **page)}


def meeting(number):
    return {"meetingId": f"m{number}", "createdAt": f"2026-11-18T0{number}:00:00.000Z"}


async def pages_of(client):
    return [page async for page in client.session_summaries("2d").pages()]


def test_list_shorter_than_its_count_is_reported():
    events = []
    pages = scripted(data(summaries(session(1, meeting(1), total=3), total=2))).run(
        pages_of, observer=events.append
    )
    assert [one.message for one in pages[0].problems] == [
        "the server returned 1 of 3 meetings",
        "the server returned 1 of 2 sessionSummaries",
    ]
    assert [event.message for event in events if isinstance(event, PartialResponse)] == [
        one.message for one in pages[0].problems
    ]
    assert len(pages[0].records) == 1


@pytest.mark.parametrize("second", [1, 3])
def test_count_that_changes_between_pages_is_reported(second):
    harness = scripted(
        data(summaries(session(1, meeting(1)), total=2, cursor="c1")),
        data(summaries(session(2, meeting(2)), total=second)),
    )
    pages = harness.run(pages_of)
    assert [len(page.problems) for page in pages] == [0, 1]
    assert f"went from 2 to {second}" in pages[1].problems[0].message
    assert [one.session_id for page in pages for one in page.records] == ["s1", "s2"]


def test_changed_count_is_reported_after_resuming():
    async def job(client):
        (first,) = [page async for page in pages_until_first(client)]
        return [page async for page in client.session_summaries("2d", resume=first.resume_token).pages()]

    async def pages_until_first(client):
        async for page in client.session_summaries("2d").pages():
            yield page
            return

    one, two = data(summaries(session(1), total=3, cursor="c1")), data(summaries(session(2), total=3))
    pages = scripted(one, two).run(job, prefetch=1)
    assert [problem.message for problem in pages[-1].problems] == [
        "the server returned 2 of 3 sessionSummaries"
    ]


@pytest.mark.parametrize("cursor", [None, "", "same"])
def test_missing_or_repeated_cursor_is_an_error(cursor):
    page = summaries(session(1), total=9, cursor="same")
    page["sessionData"]["sessionSummaries"]["pageInfo"]["endCursor"] = cursor
    with pytest.raises(IncompleteListing, match="more pages"):
        scripted(data(page)).run(pages_of)


@pytest.mark.parametrize("cursor", [None, "", "same"])
def test_missing_or_repeated_inner_cursor_is_an_error(cursor):
    page = summaries(session(1, meeting(1), total=9, cursor="same"))
    page["sessionData"]["sessionSummaries"]["resources"][0]["meetings"]["pageInfo"]["endCursor"] = cursor
    with pytest.raises(IncompleteListing, match="meetings"):
        scripted(data(page)).run(pages_of)


def turning(*pages):
    """Return a harness whose responses repeat its pages forever, except the first one."""
    sent = itertools.chain(pages, itertools.cycle(pages[1:]))
    return scripted(lambda _: data(next(sent)))


@pytest.mark.parametrize("circle", [["c1", "c2"], ["c1", "c2", "c3"]])
def test_cyclic_cursors_are_an_error(circle):
    pages = [summaries(session(1, meeting(1)), total=9, cursor=cursor) for cursor in ["begin", *circle]]
    harness = turning(*pages)
    with pytest.raises(IncompleteListing, match="more pages, but their cursor 'c1' does not advance"):
        harness.run(pages_of)
    assert len(harness.transport.requests) == len(circle) + 2


@pytest.mark.parametrize("circle", [["c1", "c2"], ["c1", "c2", "c3"]])
@pytest.mark.parametrize("how", ["a listing", "any query"])
def test_cyclic_inner_cursors_are_an_error(circle, how):
    pages = [summaries(session(1, meeting(1), total=9, cursor=cursor)) for cursor in ["begin", *circle]]
    harness = turning(*pages)
    text = """{ project(projectId: 45000001) { sessionData { sessionSummaries(start: 0) { resources { sessionId
        meetings { resources { meetingId createdAt } } } } } } }"""
    job = pages_of if how == "a listing" else lambda client: client.query(text)
    with pytest.raises(IncompleteListing, match="meetings has more pages, but their cursor 'c1' does not"):
        harness.run(job)
    assert len(harness.transport.requests) == len(circle) + 2


def test_lists_with_their_own_cursors_are_followed_separately():
    """A list that is requested with the cursor of another list restarts; that is not a cycle."""
    cursors = {1: ["a2", "a3"], 2: ["b2", "b3"]}

    def page(number, asked):
        ahead = ["", *cursors[number], ""]
        place = ahead.index(asked) if asked in cursors[number] else 0
        return session(number, meeting(3 * number + place), total=3, cursor=ahead[place + 1])

    def answer(request):
        asked = re.search(r'endCursor: "(\w+)"', json.loads(request.body)["query"])
        return data(summaries(*(page(number, asked and asked[1]) for number in cursors)))

    harness = scripted(answer)
    (found,) = harness.run(pages_of)
    assert found.problems == []
    assert [[one.meeting_id for one in each.meetings] for each in found.records] == [
        ["m3", "m4", "m5"],
        ["m6", "m7", "m8"],
    ]
    assert len(harness.transport.requests) == 1 + 2 * 2


@pytest.mark.parametrize("there", [[2], []])
def test_moved_parent_is_an_error(there):
    """The second page would have the meetings of another session."""
    harness = scripted(
        data(summaries(session(1, meeting(1), total=2, cursor="c"))),
        data(summaries(*(session(number, meeting(2)) for number in there))),
    )
    with pytest.raises(IncompleteListing, match="changed while their pages were read"):
        harness.run(pages_of)


def test_failed_inner_page_is_reported_and_the_rest_kept():
    broken = {"message": "no", "errorCode": 1016, "path": ["project", "sessionData"]}
    harness = scripted(
        data(summaries(session(1, meeting(1), total=2, cursor="c"))),
        data({"sessionData": {"sessionSummaries": listed({"sessionId": "s1", "meetings": None})}}, broken),
    )
    (page,) = harness.run(pages_of)
    assert [one.code for one in page.problems] == [1016]
    assert [one.meeting_id for one in page.records[0].meetings] == ["m1"]


def test_endless_empty_pages_are_an_error():
    with pytest.raises(IncompleteListing, match="more pages"):
        scripted(data(summaries(total=9, cursor="c"))).run(pages_of)


@pytest.mark.slow
def test_raw_query_with_four_nested_lists_is_complete():
    """With default page sizes the response has 10 x 10 x 50 x 50 members; the rest is on further pages."""
    made = world(sessions=10, meetings=(10, 10), connections=(60, 60), samples=60, peers=0)
    harness = make_harness(made)
    query = """query($ids: [String]!) { project(projectId: 45000001) { sessionData { sessions(sessionIds: $ids) {
      resources { meetings { resources { publishers { resources { streamStatsCollection { resources {
      createdAt } } } } } } } } } } }"""
    ids = [session.session_id for session in made.sessions]
    result = harness.run(lambda client: client.query(query, {"ids": ids}))
    assert result.problems == []
    returned = [
        one["createdAt"]
        for session in result.data["project"]["sessionData"]["sessions"]["resources"]
        for meeting in session["meetings"]["resources"]
        for publisher in meeting["publishers"]["resources"]
        for one in publisher["streamStatsCollection"]["resources"]
    ]
    truth = made.totals("publishers")
    assert len(returned) == truth.samples == 10 * 10 * 60 * 60
    assert sum(round(datetime.fromisoformat(one).timestamp() * 1000) for one in returned) == truth.ms_sum
    assert harness.requests.total() <= 12


def test_callers_of_one_request_get_complete_lists_of_their_own(monkeypatch):
    """Both get the same first response. Each decodes it itself, and adds the pages to its own lists."""
    monkeypatch.setattr(graphql_query, "PAGE_BUDGET", 40)
    monkeypatch.setattr(pagination, "PAGE_BUDGET", 40)
    made = world(sessions=2, meetings=(2, 2), connections=(12, 12), samples=2, peers=0)
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made)

    async def job(client):
        one = await client.stream_stats(ids, roles=("publisher",)).collect()
        sent = harness.requests.total()
        listings = (client.stream_stats(ids, roles=("publisher",)).collect() for _ in range(2))
        return one, await asyncio.gather(*listings), sent, harness.requests.total() - sent

    one, both, sent, again = harness.run(job)
    assert sent > len(ids)
    assert both == [one, one]
    assert again == sent
