"""Every method over a real socket, from awaiting and from blocking code, and by every transport."""

import time

import httpx
import pytest

from agora_analytics import AccessDenied, ConfigurationError
from agora_analytics.apsaravideo import AsyncApsaraVideo, Metric, MetricPage
from agora_analytics.blocking.apsaravideo import ApsaraVideo
from agora_analytics.blocking.wrappers import Pages, without_await
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.simulator import DEMO_KEYS, ApsaraVideoSimulator, Faults, serve, serve_in_thread
from agora_analytics.simulator.apsaravideo import Terminals
from tests.apsaravideo.harness import APP_ID, DAY, WORLD
from tests.blocking.parity import differences

(KEY,) = DEMO_KEYS.items()
STRANGE = "a *~/+%ä&=#"
END = int(time.time() // DAY * DAY)
ENDS = (END - 2 * DAY, END)  # two days that are over, on the machine's clock
QUICK = RetryPolicy(timeout=2, backoff=(0.01,))


def truth(metric, **terminals):
    asked = Terminals(**({"app_id": APP_ID} | terminals))
    return [
        (p.ms // 1000, float(p.value)) for p in WORLD.points(metric, asked, ENDS[0] * 1000, END * 1000 - 1)
    ]


def pairs(points):
    return [(p.ts, p.value) for p in points]


async def test_every_method_awaited():
    sim = ApsaraVideoSimulator(WORLD)
    async with serve(sim) as url, AsyncApsaraVideo(*KEY, app_id=APP_ID, base_url=url) as client:
        assert pairs(await client.interaction_metrics("VideoStuckRate", *ENDS).collect()) == truth(
            "VideoStuckRate"
        )
        points = await client.all_metrics(*ENDS, os="iOS", channel_id=WORLD.channel_ids[0]).collect()
        for metric in Metric:
            wanted = truth(metric, os="iOS", channel_id=WORLD.channel_ids[0])
            assert pairs(p for p in points if p.metric == metric) == wanted
        assert await client.interaction_metrics("VideoStuckRate", *ENDS, channel_id=STRANGE).collect() == []
        (quota,) = await client.quota()
        assert quota.spent == sum(client.sent.values()) == sum(sim.seen.requests.values()) == 12
        assert client.reach().end <= time.time()
    assert sim.seen.refused == {}


def test_every_method_blocking():
    sim = ApsaraVideoSimulator(WORLD)
    with serve_in_thread(sim) as url, ApsaraVideo(*KEY, app_id=APP_ID, base_url=url) as client:
        listing = client.interaction_metrics("VideoStuckRate", *ENDS)
        assert pairs(listing.collect()) == pairs(listing) == truth("VideoStuckRate")
        pages = list(listing.pages())
        assert all(isinstance(page, MetricPage) and page.summary for page in pages)
        rest = client.interaction_metrics("VideoStuckRate", *ENDS, resume=pages[0].resume_token)
        assert rest.collect() == list(pages[1].records)
        assert len(client.all_metrics(*ENDS).collect()) == sum(len(truth(metric)) for metric in Metric)
        assert client.quota()[0].spent == sum(client.sent.values())
        assert (client.app_id, client.reach().end <= time.time()) == (APP_ID, True)
        with pytest.raises(AccessDenied):
            client.interaction_metrics("VideoStuckRate", "1h", app_id="another").collect()


def test_a_blocking_table():
    pytest.importorskip("pyarrow")
    sim = ApsaraVideoSimulator(WORLD)
    with serve_in_thread(sim) as url, ApsaraVideo(*KEY, app_id=APP_ID, base_url=url) as client:
        table = client.interaction_metrics("FirstFrameCost", *ENDS).to_arrow()
    assert table["value"].to_pylist() == [value for _, value in truth("FirstFrameCost")]


async def test_by_the_user_s_own_client_and_by_aiohttp():
    pytest.importorskip("aiohttp")
    from agora_analytics.engine.transports.aiohttp import AiohttpTransport

    transport = AiohttpTransport()
    sim = ApsaraVideoSimulator(WORLD)
    async with serve(sim) as url, httpx.AsyncClient() as http:
        for way in ({"http_client": http}, {"transport": transport}):
            async with AsyncApsaraVideo(*KEY, app_id=APP_ID, base_url=url, **way) as client:
                points = await client.interaction_metrics(
                    "FirstFrameCost", *ENDS, channel_id=STRANGE
                ).collect()
                assert points == []
                points = await client.interaction_metrics("FirstFrameCost", *ENDS).collect()
                assert pairs(points) == truth("FirstFrameCost")
        await transport.aclose()
    assert sim.seen.refused == {}


@pytest.mark.parametrize("fault", ["reset", "503-html", "cut-off", "lost-answer", "broken-json", "500"])
def test_a_fault_over_a_socket_is_overcome(fault):
    sim = ApsaraVideoSimulator(WORLD, faults=Faults(script=(fault,)))
    settings = {"app_id": APP_ID, "retry": QUICK}
    with serve_in_thread(sim) as url, ApsaraVideo(*KEY, base_url=url, **settings) as client:
        assert pairs(client.interaction_metrics("FirstFrameCost", *ENDS)) == truth("FirstFrameCost")
    assert sim.seen.faults == {fault: 1}
    assert sum(sim.seen.requests.values()) == 3
    assert sim.seen.refused == {}


def test_the_blocking_client_is_the_twin():
    with ApsaraVideo("an-id", "s", app_id="app") as blocking:
        assert differences(AsyncApsaraVideo("an-id", "s", app_id="app"), blocking) == []
        assert isinstance(blocking.all_metrics("1h"), Pages)
        assert repr(blocking) == "ApsaraVideo(app_id='app', host='https://live.aliyuncs.com')"
    for text in (ApsaraVideo.__doc__, Pages.__doc__, Pages.pages.__doc__):
        assert without_await(text) == text
        assert "await" not in text


def test_the_blocking_client_of_the_environment():
    environment = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}
    with ApsaraVideo.from_env(environment | {"APSARAVIDEO_APP_ID": "a"}) as client:
        assert client.app_id == "a"
    with pytest.raises(ConfigurationError, match="APSARAVIDEO_APP_ID"):
        ApsaraVideo.from_env(environment)
