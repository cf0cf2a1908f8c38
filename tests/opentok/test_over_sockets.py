"""Every method over a real socket, async and blocking, with every transport; the blocking twin."""

import time
from contextlib import asynccontextmanager

import httpx
import pytest

from agora_analytics.blocking.opentok import OpenTok
from agora_analytics.blocking.wrappers import Pages, without_await
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.errors import AuthenticationError, ConfigurationError
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.simulator import Faults, OpenTokSimulator, OpenTokWorld, serve, serve_in_thread
from tests.blocking.parity import differences
from tests.opentok.harness import DAY, KEY, SECRET

END = time.time() - 3600
WORLD = OpenTokWorld.generate(
    seed=7, since=END - 5 * DAY, until=END - 3 * 3600, sessions=4, ongoing_share=0.0
)
IDS = [session.session_id for session in WORLD.sessions]
CREDENTIALS = ProjectKey(KEY, SECRET)
QUICK = RetryPolicy(timeout=2, backoff=(0.01,))
QUERY = (
    "query($ids: [String]!) { project(projectId: 45000001) { sessionData { sessions(sessionIds: $ids) { "
    "resources { sessionId } } } } }"
)
SAMPLES = WORLD.totals("publishers").samples + WORLD.totals("subscribers").samples


def count(kind):
    return sum(len(getattr(meeting, kind)) for session in WORLD.sessions for meeting in session.meetings)


@asynccontextmanager
async def transport_of(by):
    """Yield a transport that the client does not close; None: the default, httpx."""
    if by == "httpx":
        yield None
        return
    pytest.importorskip("aiohttp")
    from agora_analytics.engine.transports.aiohttp import AiohttpTransport

    transport = AiohttpTransport()
    yield transport
    await transport.aclose()


@pytest.mark.parametrize("by", ["httpx", "aiohttp"])
async def test_every_async_method(by):
    sim = OpenTokSimulator(WORLD)
    async with (
        serve(sim) as url,
        transport_of(by) as way,
        AsyncOpenTok(CREDENTIALS, base_url=url, transport=way) as client,
    ):
        summaries = await client.session_summaries("6d").collect()
        assert [one.session_id for one in summaries] == IDS
        assert [one.session_id for one in await client.sessions(IDS).collect()] == IDS
        meetings = await client.meetings(IDS).collect()
        assert len(meetings) == sum(len(one.meetings) for one in summaries)
        for kind in ("connections", "publishers", "subscribers"):
            assert len(await getattr(client, kind)(IDS).collect()) == count(kind)
        assert len(await client.stream_stats(IDS).collect()) == SAMPLES
        one = meetings[-1]
        entry = {
            "since": one.created_at,
            "until": one.created_at.timestamp() + 0.001,
            "meeting_id": one.meeting_id,
        }
        assert await client.meetings(one.session_id, **entry).collect() == [one]
        assert len(await client.project_data("5d", interval="DAILY").collect()) >= 1
        result = await client.query(QUERY, {"ids": IDS})
        assert [
            each["sessionId"] for each in result.data["project"]["sessionData"]["sessions"]["resources"]
        ] == IDS
        assert client.project_id == KEY
        assert client.reach().start < END - 20 * DAY
        assert client.window("1d").end <= time.time()
        assert {quota.spent for quota in await client.quota()} >= {sum(client.sent.values())}
    assert sim.seen.requests.total() == sum(client.sent.values())
    assert sim.seen.refused == {}
    assert sim.errors == {}


def test_every_blocking_method():
    sim = OpenTokSimulator(WORLD)
    with serve_in_thread(sim) as url, OpenTok(CREDENTIALS, base_url=url) as client:
        assert [one.session_id for one in client.session_summaries("6d")] == IDS
        assert [one.session_id for page in client.sessions(IDS).pages() for one in page.records] == IDS
        meetings = client.meetings(IDS).collect()
        for kind in ("connections", "publishers", "subscribers"):
            assert len(getattr(client, kind)(IDS).collect()) == count(kind)
        samples = client.stream_stats(IDS).collect()
        assert len(samples) == SAMPLES
        assert all(page.problems == [] for page in client.stream_stats(IDS).pages())
        assert {one.meeting_id for one in samples} <= {one.meeting_id for one in meetings}
        assert len(client.project_data("5d", interval="DAILY").collect()) >= 1
        result = client.query(QUERY, {"ids": IDS[:1]})
        assert result.data["project"]["sessionData"]["sessions"]["resources"] == [{"sessionId": IDS[0]}]
        assert (client.project_id, client.credentials) == (KEY, CREDENTIALS)
        assert client.window("1d").start < client.reach().end <= time.time()
        assert {quota.spent for quota in client.quota()} >= {sum(client.sent.values())}
    assert sim.seen.refused == {}


def test_blocking_to_arrow():
    pytest.importorskip("pyarrow")
    with serve_in_thread(OpenTokSimulator(WORLD)) as url, OpenTok(CREDENTIALS, base_url=url) as client:
        assert client.stream_stats(IDS).to_arrow().num_rows == SAMPLES


def test_blocking_client_raises_the_same_errors():
    wrong = ProjectKey(KEY, "another0secret0of0forty0characters000000")
    with (
        serve_in_thread(OpenTokSimulator(WORLD)) as url,
        OpenTok(wrong, base_url=url) as client,
        pytest.raises(AuthenticationError, match="1020"),
    ):
        client.sessions(IDS).collect()


async def test_http_client_of_the_user():
    sim = OpenTokSimulator(WORLD)
    async with (
        serve(sim) as url,
        httpx.AsyncClient() as http,
        AsyncOpenTok(CREDENTIALS, base_url=url, http_client=http) as client,
    ):
        assert len(await client.stream_stats(IDS).collect()) == SAMPLES
    assert sim.seen.refused == {}


@pytest.mark.parametrize("fault", ["reset", "503-html", "cut-off", "lost-answer", "broken-json", "500"])
def test_fault_over_a_socket_is_retried(fault):
    sim = OpenTokSimulator(WORLD, faults=Faults(script=(fault,)))
    with serve_in_thread(sim) as url, OpenTok(CREDENTIALS, base_url=url, retry=QUICK) as client:
        assert [one.session_id for one in client.session_summaries("6d")] == IDS
    assert sim.seen.faults == {fault: 1}
    assert sim.seen.requests.total() == 2


def test_blocking_client_is_a_twin():
    with OpenTok(CREDENTIALS) as blocking:
        assert differences(AsyncOpenTok(CREDENTIALS), blocking) == []
        assert repr(blocking) == f"OpenTok({CREDENTIALS!r}, host='https://insights.opentok.com')"
        assert isinstance(blocking.sessions("a"), Pages)
    assert without_await(OpenTok.__doc__) == OpenTok.__doc__
    words = [OpenTok, Pages, Pages.pages, OpenTok.query, OpenTok.stream_stats]
    for text in (word.__doc__ for word in words):
        assert "await" not in text


def test_blocking_from_env():
    with OpenTok.from_env({"OPENTOK_API_KEY": KEY, "OPENTOK_API_SECRET": SECRET}) as client:
        assert client.project_id == KEY
    with pytest.raises(ConfigurationError, match="OPENTOK_API_SECRET"):
        OpenTok.from_env({"OPENTOK_API_KEY": KEY})
