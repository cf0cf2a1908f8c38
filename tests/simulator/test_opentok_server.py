"""The OpenTok simulator over a socket: rate limit, faults and speed."""

import time

import httpx
import pytest

from agora_analytics.opentok.spec import INSIGHTS
from agora_analytics.simulator import Faults, OpenTokSimulator, OpenTokWorld, serve, serve_in_thread
from tests.simulator.insights_client import DAY, NOW, SESSIONS, WORLD, connected, token

QUERY = "{project(projectId: 45000001) {projectData(start: 0) {totalCount}}}"
STATISTICS = """{resources {meetings {resources {publishers(first: 60) {resources {
    streamStatsCollection(first: 60) {totalCount resources {
        __typename at: createdAt audioBitrateKbps videoBitrateKbps audioLatencyMs videoLatencyMs audioPacketLoss
        videoPacketLoss videoResolution audioCodec videoCodec hasAudio hasVideo}}}}}}}}"""


async def test_async_client_over_a_socket():
    sim = OpenTokSimulator(WORLD, now=lambda: NOW)
    async with serve(sim) as url, httpx.AsyncClient(base_url=url) as http:
        response = await http.post("/graphql", json={"query": QUERY}, headers={"X-OPENTOK-AUTH": token()})
    assert response.json() == {"data": {"project": {"projectData": {"totalCount": 1}}}}
    assert response.headers["date"] == "Thu, 19 Nov 2026 12:00:00 GMT"
    assert response.headers["content-type"] == "application/json"
    assert sim.seen.requests == {INSIGHTS: 1}
    assert sim.rate_windows.worst == {"key 45000001": 1, "address 127.0.0.1": 1}


def test_blocking_client_of_a_server_in_a_thread():
    with serve_in_thread(OpenTokSimulator(WORLD, now=lambda: NOW)) as url:
        ids = [WORLD.sessions[0].session_id]
        body = {"query": SESSIONS % "{resources {sessionId}}", "variables": {"ids": ids}}
        response = httpx.post(f"{url}/graphql", json=body, headers={"X-OPENTOK-AUTH": token()})
    assert response.json()["data"]["project"]["sessionData"]["sessions"]["resources"] == [
        {"sessionId": ids[0]}
    ]


async def test_hundredth_request_in_30_seconds_is_refused():
    async with connected() as client:
        statuses = [(await client.ask(QUERY)).status_code for _ in range(101)]
        assert statuses == [200] * 99 + [429] * 2
        refused = await client.ask(QUERY)
        assert refused.json() == {"message": "Too Many Requests"}
        client.now += 29.9
        assert (await client.ask(QUERY)).status_code == 429
        client.now += 0.1
        assert (await client.ask(QUERY)).status_code == 200
        assert (
            client.sim.rate_windows.worst["key 45000001"]
            == client.sim.rate_windows.worst["address 10.0.0.1"]
            == 103
        )
        assert client.sim.seen.worst_sliding(INSIGHTS, 30) == 103
        assert client.sim.seen.refused[INSIGHTS, "429"] == 4


async def test_rate_window_slides():
    async with connected() as client:
        for _ in range(198):  # 99 around each full half minute, across fixed windows
            client.now += 30 / 99 + 1e-6
            assert (await client.ask(QUERY)).status_code == 200
        client.now += 0.1
        assert (await client.ask(QUERY)).status_code == 429


async def test_two_keys_share_the_limit_of_their_address():
    two = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW, project_id="45000002")
    secrets = {"45000001": "1" * 40, "45000002": "2" * 40}
    for by_address, worst in ((True, 429), (False, 200)):
        async with connected([WORLD, two], projects=secrets, by_address=by_address) as client:
            for key, secret in list(secrets.items()) * 50:
                headers = {"X-OPENTOK-AUTH": token(key, secret)}
                query = QUERY.replace("45000001", key)
                response = await client.http.post("/graphql", json={"query": query}, headers=headers)
            assert response.status_code == worst
            assert (
                client.sim.rate_windows.worst["key 45000001"]
                == client.sim.rate_windows.worst["key 45000002"]
                == 50
            )


def test_world_without_credentials_is_an_error():
    world = OpenTokWorld.generate(since=NOW - DAY, until=NOW, sessions=1, project_id="45000002")
    with pytest.raises(ValueError, match="45000002"):
        OpenTokSimulator([WORLD, world])


async def test_faults_are_injected():
    async with connected(faults=Faults(script=("500", "503-html", "429", "broken-json", None))) as client:
        responses = [await client.ask(QUERY) for _ in range(5)]
    assert [response.status_code for response in responses] == [500, 503, 429, 200, 200]
    assert responses[1].headers["content-type"] == "text/html"
    with pytest.raises(ValueError):
        responses[3].json()
    assert responses[4].json()["data"]["project"]["projectData"]["totalCount"] == 1


async def test_leaf_rows_equal_rows_read_field_by_field():
    variables = {"ids": [WORLD.sessions[-1].session_id]}
    async with connected() as client:
        quick = await client.ask(SESSIONS % STATISTICS, **variables)
        client.sim.fail_with(1012, at="a field that is not requested")
        slow = await client.ask(SESSIONS % STATISTICS, **variables)
        client.sim.fail_with(1012, at="videoLatencyMs")
        failed = await client.ask(SESSIONS % STATISTICS, **variables)
    assert b"PublisherStats" in quick.content
    assert quick.content == slow.content
    (error,) = failed.json()["errors"]
    assert (error["errorCode"], error["path"][-1]) == (1012, "videoLatencyMs")
    assert failed.json()["data"]["project"]["sessionData"]["sessions"]["resources"][0]["meetings"][
        "resources"
    ]


async def test_meeting_of_60_with_60_samples_each_is_fast():
    world = OpenTokWorld.generate(
        since=NOW - 9 * DAY, until=NOW - DAY, sessions=1, meetings=(10, 10), connections=(60, 60), publish_share=1,
        screen_share=0, samples=60, peers=0, ongoing_share=0,
    )  # fmt: skip
    async with connected(world) as client:
        before = time.process_time()
        answer = await client.project(SESSIONS % STATISTICS, ids=[world.sessions[0].session_id])
        spent = time.process_time() - before
    meetings = answer["sessionData"]["sessions"]["resources"][0]["meetings"]["resources"]
    collections = [
        one["streamStatsCollection"] for meeting in meetings for one in meeting["publishers"]["resources"]
    ]
    assert [len(one["resources"]) for one in collections] == [60] * 600
    assert spent < 10, "36 000 samples: about a second"
