"""The server as a client meets it: over a socket, with its limit, its faults, and its speed."""

import time

import httpx
import pytest

from agora_analytics.opentok.spec import INSIGHTS
from agora_analytics.simulator import Faults, OpenTokSimulator, OpenTokWorld, serve, serve_in_thread
from tests.simulator.opentok_stage import DAY, NOW, SESSIONS, WORLD, asking, token

QUERY = "{project(projectId: 45000001) {projectData(start: 0) {totalCount}}}"
STATISTICS = """{resources {meetings {resources {publishers(first: 60) {resources {
    streamStatsCollection(first: 60) {totalCount resources {
        __typename at: createdAt audioBitrateKbps videoBitrateKbps audioLatencyMs videoLatencyMs audioPacketLoss
        videoPacketLoss videoResolution audioCodec videoCodec hasAudio hasVideo}}}}}}}}"""


async def test_over_a_socket():
    sim = OpenTokSimulator(WORLD, now=lambda: NOW)
    async with serve(sim) as url, httpx.AsyncClient(base_url=url) as http:
        response = await http.post("/graphql", json={"query": QUERY}, headers={"X-OPENTOK-AUTH": token()})
    assert response.json() == {"data": {"project": {"projectData": {"totalCount": 1}}}}
    assert response.headers["date"] == "Thu, 19 Nov 2026 12:00:00 GMT"
    assert response.headers["content-type"] == "application/json"
    assert sim.seen.requests == {INSIGHTS: 1}
    assert sim.pace.worst == {"key 45000001": 1, "address 127.0.0.1": 1}


def test_by_a_blocking_client_through_a_thread():
    with serve_in_thread(OpenTokSimulator(WORLD, now=lambda: NOW)) as url:
        ids = [WORLD.sessions[0].session_id]
        body = {"query": SESSIONS % "{resources {sessionId}}", "variables": {"ids": ids}}
        response = httpx.post(f"{url}/graphql", json=body, headers={"X-OPENTOK-AUTH": token()})
    assert response.json()["data"]["project"]["sessionData"]["sessions"]["resources"] == [
        {"sessionId": ids[0]}
    ]


async def test_the_hundredth_request_in_30_seconds_is_refused():
    async with asking() as asker:
        statuses = [(await asker.ask(QUERY)).status_code for _ in range(101)]
        assert statuses == [200] * 99 + [429] * 2
        refused = await asker.ask(QUERY)
        assert refused.json() == {"message": "Too Many Requests"}
        asker.now += 29.9
        assert (await asker.ask(QUERY)).status_code == 429
        asker.now += 0.1
        assert (await asker.ask(QUERY)).status_code == 200
        assert asker.sim.pace.worst["key 45000001"] == asker.sim.pace.worst["address 10.0.0.1"] == 103
        assert asker.sim.seen.worst_sliding(INSIGHTS, 30) == 103
        assert asker.sim.seen.refused[INSIGHTS, "429"] == 4


async def test_the_window_slides():
    async with asking() as asker:
        for _ in range(198):  # 99 around each full half minute, however they lie in fixed windows
            asker.now += 30 / 99 + 1e-6
            assert (await asker.ask(QUERY)).status_code == 200
        asker.now += 0.1
        assert (await asker.ask(QUERY)).status_code == 429


async def test_two_keys_share_the_limit_of_their_address():
    two = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW, project_id="45000002")
    secrets = {"45000001": "1" * 40, "45000002": "2" * 40}
    for by_address, worst in ((True, 429), (False, 200)):
        async with asking([WORLD, two], projects=secrets, by_address=by_address) as asker:
            for key, secret in list(secrets.items()) * 50:
                headers = {"X-OPENTOK-AUTH": token(key, secret)}
                query = QUERY.replace("45000001", key)
                response = await asker.http.post("/graphql", json={"query": query}, headers=headers)
            assert response.status_code == worst
            assert asker.sim.pace.worst["key 45000001"] == asker.sim.pace.worst["key 45000002"] == 50


def test_a_world_that_nobody_can_ask_for_is_refused():
    world = OpenTokWorld.generate(since=NOW - DAY, until=NOW, sessions=1, project_id="45000002")
    with pytest.raises(ValueError, match="45000002"):
        OpenTokSimulator([WORLD, world])


async def test_faults_are_played():
    async with asking(faults=Faults(script=("500", "503-html", "429", "broken-json", None))) as asker:
        found = [await asker.ask(QUERY) for _ in range(5)]
    assert [response.status_code for response in found] == [500, 503, 429, 200, 200]
    assert found[1].headers["content-type"] == "text/html"
    with pytest.raises(ValueError):
        found[3].json()
    assert found[4].json()["data"]["project"]["projectData"]["totalCount"] == 1


async def test_rows_that_are_read_at_once_are_the_same_as_those_read_field_by_field():
    known = {"ids": [WORLD.sessions[-1].session_id]}
    async with asking() as asker:
        quick = await asker.ask(SESSIONS % STATISTICS, **known)
        asker.sim.fail_with(1012, at="a field that is not asked for")
        slow = await asker.ask(SESSIONS % STATISTICS, **known)
        asker.sim.fail_with(1012, at="videoLatencyMs")
        failed = await asker.ask(SESSIONS % STATISTICS, **known)
    assert b"PublisherStats" in quick.content
    assert quick.content == slow.content
    (error,) = failed.json()["errors"]
    assert (error["errorCode"], error["path"][-1]) == (1012, "videoLatencyMs")
    assert failed.json()["data"]["project"]["sessionData"]["sessions"]["resources"][0]["meetings"][
        "resources"
    ]


async def test_a_meeting_of_60_with_60_samples_each_costs_little():
    world = OpenTokWorld.generate(
        since=NOW - 9 * DAY, until=NOW - DAY, sessions=1, meetings=(10, 10), connections=(60, 60), publish_share=1,
        screen_share=0, samples=60, peers=0, ongoing_share=0,
    )  # fmt: skip
    async with asking(world) as asker:
        before = time.process_time()
        answer = await asker.project(SESSIONS % STATISTICS, ids=[world.sessions[0].session_id])
        spent = time.process_time() - before
    meetings = answer["sessionData"]["sessions"]["resources"][0]["meetings"]["resources"]
    collections = [
        one["streamStatsCollection"] for meeting in meetings for one in meeting["publishers"]["resources"]
    ]
    assert [len(one["resources"]) for one in collections] == [60] * 600
    assert spent < 10, "36 000 samples: about a second"
