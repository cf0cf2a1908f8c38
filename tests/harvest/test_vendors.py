"""Harvests of three vendors into one store, over a real socket; one query compares them."""

import asyncio
import time

import pytest

from agora_analytics import blocking
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.apsaravideo import AsyncApsaraVideo
from agora_analytics.blocking import Agora, ApsaraVideo, OpenTok
from agora_analytics.harvest import harvest
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.simulator import (
    DEMO_APP_ID,
    DEMO_CREDENTIALS,
    DEMO_KEYS,
    DEMO_PROJECT,
    ApsaraVideoSimulator,
    ApsaraVideoWorld,
    CombinedSimulator,
    OpenTokSimulator,
    OpenTokWorld,
    Simulator,
    World,
    serve_in_thread,
)
from agora_analytics.store import open_store

DAY = 86_400


@pytest.fixture(scope="module")
def vendors():
    """The simulators, and the URL that serves all of them."""
    until = int(time.time()) - 7200
    agora = Simulator(
        World.generate(seed=7, since=until - 6 * 3600, until=until, calls=5, simple=True, interval=30)
    )
    opentok = OpenTokSimulator(
        OpenTokWorld.generate(
            seed=7, since=until - 4 * DAY, until=until, sessions=3, peers=1, ongoing_share=0
        )
    )
    apsaravideo = ApsaraVideoSimulator(ApsaraVideoWorld.generate(seed=7))
    with serve_in_thread(CombinedSimulator(agora, opentok, apsaravideo)) as url:
        yield url, (agora, opentok, apsaravideo)


def clients(url, *, kinds):
    agora, opentok, apsaravideo = kinds
    return (
        agora(*next(iter(DEMO_CREDENTIALS.items())), app_id=DEMO_APP_ID, plan="enterprise", base_url=url),
        opentok(ProjectKey(*next(iter(DEMO_PROJECT.items()))), base_url=url),
        apsaravideo(
            *next(iter(DEMO_KEYS.items())), app_id=ApsaraVideoWorld.generate(seed=7).app_ids[0], base_url=url
        ),
    )


def test_concurrent_harvests_of_three_vendors_store_the_reported_rows(vendors, tmp_path):
    url, simulators = vendors

    async def run_harvest(client):
        async with client:
            return await harvest(client, since="5d", store=tmp_path)

    async def all_at_once():
        async_clients = clients(url, kinds=(AsyncAgora, AsyncOpenTok, AsyncApsaraVideo))
        return await asyncio.gather(*map(run_harvest, async_clients))

    agora, opentok, apsaravideo = asyncio.run(all_at_once())
    store = open_store(tmp_path)
    counts = dict(store.sql("select vendor, count(*) from quality group by all").fetchall())
    assert store.counts()["metrics"] == agora.points
    freezes = store.sql(
        "select count(user_audio_freeze_rate) + count(user_video_freeze_rate) from sessions"
    ).fetchall()
    assert counts == {
        "agora": agora.points + freezes[0][0],
        "opentok": opentok.points,
        "apsaravideo": apsaravideo.points,
    }
    assert all(report.complete for report in (agora, opentok, apsaravideo))
    assert [simulator.seen.requests.total() for simulator in simulators] == [
        sum(report.requests.values()) for report in (agora, opentok, apsaravideo)
    ]
    assert not any(simulator.seen.refused for simulator in simulators)
    lost = store.sql(
        "select vendor, count(*), min(value), max(value), any_value(unit) from quality "
        "where metric like 'video_packet_loss_%' group by all order by 1"
    ).fetchall()
    assert [row[0] for row in lost] == ["agora", "opentok"]
    assert all(
        count > 100 and 0 <= least <= most <= 1 and unit == "ratio" for _, count, least, most, unit in lost
    )
    joined = store.sql(
        "select distinct metric, vendor from quality where metric like 'join_success_%' order by 1"
    ).fetchall()
    assert joined == [("join_success_in_5s_rate", "apsaravideo"), ("join_success_rate", "opentok")]


def test_blocking_harvests_of_three_vendors(vendors, tmp_path):
    url, _ = vendors
    reports = []
    for client in clients(url, kinds=(Agora, OpenTok, ApsaraVideo)):
        with client:
            reports.append(blocking.harvest(client, since="5d", store=tmp_path))
    counts = open_store(tmp_path).counts()
    assert counts["metrics"] == reports[0].points
    assert counts["points"] == reports[1].points + reports[2].points


def test_unknown_path_is_answered_by_the_first_simulator(vendors):
    import httpx

    assert httpx.get(f"{vendors[0]}/nothing").json() == {"message": "no Route matched with those values"}
