"""Simulated OpenTok: pages at every level, the node count of a query, and when data is available."""

from base64 import b64decode
from itertools import pairwise

import pytest
from graphql import parse

from agora_analytics.simulator import OpenTokWorld
from agora_analytics.simulator.opentok import Rules
from agora_analytics.simulator.opentok.ground_truth import OpenTokSessionTruth
from agora_analytics.simulator.opentok.node_count import count_nodes
from agora_analytics.simulator.opentok.rules import MESSAGES
from tests.simulator.insights_client import DAY, NOW, SESSIONS, connected

DENSE = OpenTokWorld.generate(
    seed=3, since=NOW - 12 * DAY, until=NOW - DAY, sessions=3, meetings=(12, 12), connections=(55, 55),
    publish_share=1, screen_share=0, samples=52, minutes=(20, 30), ongoing_share=0,
)  # fmt: skip
SESSION: OpenTokSessionTruth = DENSE.sessions[0]
INNER = "(first: 1) {resources {meetings(meetingId: $meeting) {resources {%s(first: $first, endCursor: $after) {totalCount pageInfo {hasNextPage endCursor} resources {%s}}}}}}"
VARIABLES = "query($ids: [String]!, $meeting: String, $first: Int, $after: String) "


async def walk(client, query, path, **variables):
    """Return the rows of all pages of the list at `path`, and the size of each page."""
    rows, sizes, after = [], [], ""
    while True:
        level = await client.project(query, after=after, **variables)
        for step in path:
            level = level[step]
        rows += level["resources"]
        sizes.append(len(level["resources"]))
        more, after = level["pageInfo"]["hasNextPage"], level["pageInfo"]["endCursor"]
        if not more:
            assert after is None
            assert level["totalCount"] == len(rows)
            return rows, sizes
        assert b64decode(after) == b"insights-resource:%d" % len(rows)


def nested(collection, fields):
    body = SESSIONS.partition(")")[2] % (INNER % (collection, fields)).replace("(first: 1)", "", 1)
    return VARIABLES + body


@pytest.mark.parametrize(
    ("collection", "field", "truth"),
    [
        ("connections", "connectionId", "connection_id"),
        ("publishers", "connectionId", "connection_id"),
        ("subscribers", "subscriberId", "subscriber_id"),
    ],
)
async def test_pages_of_a_meetings_lists_are_complete(collection, field, truth):
    meeting = SESSION.meetings[0]
    path = ("sessionData", "sessions", "resources", 0, "meetings", "resources", 0, collection)
    variables = {"ids": [SESSION.session_id], "meeting": meeting.meeting_id}
    expected = [getattr(one, truth) for one in getattr(meeting, collection)]
    async with connected(DENSE) as client:
        by_default, sizes = await walk(client, nested(collection, field), path, **variables)
        assert sizes[0] == 50 < len(expected)
        by_seven, _ = await walk(client, nested(collection, field), path, first=7, **variables)
    assert [row[field] for row in by_default] == [row[field] for row in by_seven] == expected


async def test_samples_have_their_own_pages():
    publisher = SESSION.meetings[0].publishers[0]
    query = VARIABLES.replace("$meeting: String, ", "") + (
        "{project(projectId: 45000001) {sessionData {sessions(sessionIds: $ids) {resources {meetings(first: 1)"
        " {resources {publishers(first: 1) {resources {streamStatsCollection(first: $first, endCursor: $after)"
        " {totalCount pageInfo {hasNextPage endCursor} resources {createdAt}}}}}}}}}}}"
    )
    path = ("sessionData", "sessions", "resources", 0, "meetings", "resources", 0)
    path += ("publishers", "resources", 0, "streamStatsCollection")
    async with connected(DENSE) as client:
        rows, sizes = await walk(client, query, path, ids=[SESSION.session_id])
    assert sizes == [50, 2]
    assert len({row["createdAt"] for row in rows}) == len(DENSE.samples(publisher)) == 52


async def test_meetings_page_has_ten_by_default_and_at_most():
    query = SESSIONS % "{resources {meetings%s {totalCount pageInfo {endCursor} resources {meetingId}}}}"
    async with connected(DENSE) as client:
        for first in ("", "(first: 10)", "(first: 1000)"):
            level = await client.project(query % first, ids=[SESSION.session_id])
            meetings = level["sessionData"]["sessions"]["resources"][0]["meetings"]
            assert (len(meetings["resources"]), meetings["totalCount"]) == (10, 12)
    async with connected(DENSE, rules=Rules(excess="refuse")) as client:
        assert await client.codes(query % "(first: 11)", ids=[SESSION.session_id]) == [1005]


async def test_list_of_120_sessions_is_complete():
    world = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW - DAY, sessions=120, ongoing_share=0)
    ids = [session.session_id for session in world.sessions]
    query = "query($ids: [String]!, $after: String) {project(projectId: 45000001) {sessionData {sessions(sessionIds: $ids, endCursor: $after) {totalCount pageInfo {hasNextPage endCursor} resources {sessionId}}}}}"
    async with connected(world) as client:
        rows, sizes = await walk(client, query, ("sessionData", "sessions"), ids=ids)
    assert sizes == [50, 50, 20]
    assert [row["sessionId"] for row in rows] == ids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The vendor's own example: 2 sessions, 10 meetings, 50 publishers, 50 statistics.
        ('{sessions(sessionIds: ["a", "b"]) {x: meetings {publishers {streamStatsCollection {totalCount}}}}}', 51_023),
        ("{sessionSummaries(start: 0, first: 1000) {resources {meetings {totalCount}}}}", 11_001),
        ("{projectData(start: 0) {totalCount}}", 51),
        ("query($n: Int = 3) {sessionSummaries(first: $n) {totalCount}}", 4),
        ("query($n: Int) {sessionSummaries(first: $n) {totalCount}}", 8),
        ("{sessionSummaries(first: 2) {...F ... on X {meetings(first: 1) {a}}}} fragment F on X {meetings(first: 3) {a}}", 11),
        ("{sessionSummaries(first: 5000) {totalCount}}", 1001),
        ("{project {sessionData {sessions(sessionIds: []) {totalCount}}}}", 1),
    ],
)  # fmt: skip
def test_nodes_are_the_sum_of_the_products_down_the_tree(query, expected):
    assert count_nodes(parse(query), {"n": 7} if "$n: Int)" in query else {}) == expected


async def test_too_many_nodes_are_refused_with_the_documented_message():
    fields = (
        "{resources {meetings {resources {publishers {resources {streamStatsCollection {totalCount}}}}}}}"
    )
    async with connected(DENSE) as client:
        ids = [session.session_id for session in DENSE.sessions]
        await client.project(SESSIONS % fields, ids=ids)
        assert client.sim.nodes == 1 + 3 * (1 + 10 * (1 + 50 * (1 + 50)))
        response = await client.ask(SESSIONS % fields, ids=ids * 10)
        assert response.status_code == 400
        (error,) = response.json()["errors"]
        assert (error["errorCode"], error["message"]) == (
            1014,
            MESSAGES[1014],
        )


async def test_meeting_is_available_after_five_minutes_and_for_21_days():
    created = SESSION.meetings[0].created_ms / 1000
    query = "{project(projectId: 45000001) {sessionData {sessionSummaries(start: %d) {resources {sessionId meetings {totalCount}}}}}}"
    async with connected(DENSE) as client:

        async def found_at(now):
            client.now = now
            answer = await client.project(query % (now - 20.99 * DAY))
            listed = answer["sessionData"]["sessionSummaries"]["resources"]
            return {one["sessionId"]: one["meetings"]["totalCount"] for one in listed}

        assert SESSION.session_id not in await found_at(created + 299)
        assert (await found_at(created + 300))[SESSION.session_id] == 1
        assert (await found_at(NOW))[SESSION.session_id] == 12
        client.now = created + 21 * DAY
        whole = SESSIONS % "{resources {meetings {totalCount}}}"
        detail = await client.project(whole, ids=[SESSION.session_id])
        assert detail["sessionData"]["sessions"]["resources"][0]["meetings"]["totalCount"] == 12
        client.now += 0.001
        detail = await client.project(whole, ids=[SESSION.session_id])
        assert detail["sessionData"]["sessions"]["resources"][0]["meetings"]["totalCount"] == 11
        client.now = NOW + 30 * DAY
        assert await client.codes(whole, ids=[SESSION.session_id]) == [1017]


async def test_meetings_can_be_filtered_by_time_and_id():
    meetings = SESSION.meetings
    query = SESSIONS % "{resources {meetings(%s) {resources {meetingId createdAt}}}}"

    async def meeting_ids(client, narrowed):
        answer = await client.project(query % narrowed, ids=[SESSION.session_id])
        return [
            one["meetingId"]
            for one in answer["sessionData"]["sessions"]["resources"][0]["meetings"]["resources"]
        ]

    start, end = meetings[2].created_ms, meetings[5].created_ms
    async with connected(DENSE) as client:
        assert await meeting_ids(client, f"start: {start}, end: {end}") == [
            one.meeting_id for one in meetings[2:5]
        ]
        twice = next(b.meeting_id for a, b in pairwise(meetings) if a.meeting_id == b.meeting_id)
        assert set(await meeting_ids(client, f'meetingId: "{twice}"')) == {twice}
        assert len(await meeting_ids(client, f'meetingId: "{twice}"')) >= 2
