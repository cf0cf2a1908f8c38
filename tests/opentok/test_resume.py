"""Resume tokens of OpenTok carry the time range of their queries, because a cursor is a position in it."""

import anyio
import pytest

from agora_analytics.errors import InvalidRequest, WindowOutOfReach
from tests.opentok.harness import DAY, NOW, data, listed, scripted, summaries

CURSOR = "aW5zaWdodHMtcmVzb3VyY2U6MQ=="


def summary(i):
    return {"sessionId": f"s{i}", "mediaMode": "routed", "meetings": listed()}


FIRST = summaries(summary(1), total=2, cursor=CURSOR)
SECOND = summaries(summary(2), total=2)


def two_pages(first=FIRST, second=SECOND):
    return scripted(data(first), data(second))


async def first_token(listing):
    async for page in listing.pages():
        return page.resume_token
    return ""


def starts(harness):
    return [body["query"].partition("start: ")[2][:26] for body in harness.transport.bodies]


def test_resumed_listing_requests_the_range_of_its_token():
    """Two hours later, `16d` begins two hours later: the cursor would skip sessions of the shorter list."""
    harness = two_pages()

    async def job(client):
        token = await first_token(client.session_summaries("16d"))
        await anyio.sleep(7200)
        return await client.session_summaries("16d", resume=token).collect()

    rest = harness.run(job, prefetch=1)
    assert [summary.session_id for summary in rest] == ["s2"]
    assert len(set(starts(harness))) == 1


def test_token_of_meetings_is_not_one_of_sessions():
    """Both listings send the same queries."""
    harness = two_pages({"sessionData": {"sessions": listed(summary(1), total=2, cursor=CURSOR)}})

    async def job(client):
        token = await first_token(client.meetings("s1"))
        with pytest.raises(InvalidRequest, match="another listing"):
            await first_token(client.sessions("s1", resume=token))

    harness.run(job, prefetch=1)
    assert len(harness.transport.bodies) == 1


def test_meetings_of_a_resumed_listing_are_those_of_its_token():
    """A meeting that began between the two starts belongs to the first question."""
    began = "2026-11-18T12:30:00.000Z"  # 23.5 hours before NOW
    meeting = {"meetingId": "m", "createdAt": began, "destroyedAt": began}
    sessions = [{"sessionId": f"s{i}", "mediaMode": "routed", "meetings": listed(meeting)} for i in (1, 2)]
    harness = two_pages(
        {"sessionData": {"sessions": listed(sessions[0], total=2, cursor=CURSOR)}},
        {"sessionData": {"sessions": listed(sessions[1], total=2)}},
    )

    async def job(client):
        token = await first_token(client.meetings(["s1", "s2"], since="1d"))
        await anyio.sleep(7200)
        return await client.meetings(["s1", "s2"], since="1d", resume=token).collect()

    assert [meeting.session_id for meeting in harness.run(job, prefetch=1)] == ["s2"]


@pytest.mark.parametrize(
    "other",
    [
        {"since": "15d"},
        {"until": "1h"},
        {"since": NOW - 16 * DAY},
        {"minutes": True},
        {"fields": ["createdAt"]},
    ],
)
def test_token_of_another_question_takes_no_request(other):
    harness = two_pages()

    async def job(client):
        asked = {"since": "16d"}
        token = await first_token(client.session_summaries(**asked))
        for changed in (token[:-1], f"{token}x", token.swapcase()):
            with pytest.raises(InvalidRequest, match="not a resume token"):
                await client.session_summaries(**asked, resume=changed).collect()
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.session_summaries(**(asked | other), resume=token).collect()

    harness.run(job, prefetch=1)
    assert len(harness.transport.bodies) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"start": "13d"},
        {"end": "1d"},
        {"interval": "WEEKLY"},
        {"sdk_type": "JS"},
        {"fields": ["usage.hlsMinutes"]},
    ],
)
def test_token_of_other_project_data_takes_no_request(other):
    row = {"intervalStart": None, "intervalEnd": None, "usage": None, "quality": None, "errors": None}
    harness = two_pages({"projectData": listed(row, total=2, cursor=CURSOR)})

    async def job(client):
        asked = {"start": "14d", "interval": "DAILY"}
        token = await first_token(client.project_data(**asked))
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.project_data(**(asked | other), resume=token).collect()

    harness.run(job, prefetch=1)
    assert len(harness.transport.bodies) == 1


def test_range_that_has_left_the_retention_is_not_resumed():
    harness = two_pages()

    async def job(client):
        token = await first_token(client.session_summaries("20d"))
        await anyio.sleep(2 * DAY)
        sent = len(harness.transport.bodies)
        with pytest.raises(WindowOutOfReach, match="no longer kept as a whole"):
            await client.session_summaries("20d", resume=token).collect()
        assert len(harness.transport.bodies) == sent

    harness.run(job, prefetch=1)


def test_resuming_after_the_last_page_returns_nothing():
    harness = two_pages()
    assert harness.run(lambda client: client.session_summaries("2d", resume="").collect()) == []
    assert harness.transport.bodies == []
