"""The fixtures, used as the tests of a user do."""

import time

import pytest

from agora_analytics import AsyncAgora
from agora_analytics.blocking import Agora, ApsaraVideo, OpenTok
from agora_analytics.integrations.pytest_simulators import START
from agora_analytics.signaling import AsyncSignaling
from agora_analytics.simulator import (
    ApsaraVideoSimulator,
    ApsaraVideoWorld,
    OpenTokSimulator,
    OpenTokWorld,
    SignalingSimulator,
)


def ids(calls):
    return {call.call_id for call in calls}


def test_blocking_client_connects_to_the_simulator(agora_simulator):
    with Agora.from_env() as client:
        assert ids(client.calls("6h")) == ids(agora_simulator.world.calls)
    assert agora_simulator.seen.requests == {"call/lists": 1}
    assert not agora_simulator.seen.refused


@pytest.mark.agora_world(calls=3, seed=2, plan="standard", since="2h", until="90m")
async def test_marker_changes_the_project(agora_simulator):
    async with AsyncAgora.from_env() as client:
        assert client.settings.plan.name == "standard"
        calls = await client.calls("2h", "90m").collect()
    assert len(calls) == 3
    assert all(time.time() - 7260 < call.created_ts < time.time() - 5400 for call in calls)


def test_other_vendors_are_served_at_the_same_time(agora_serve, agora_simulator):
    now = int(time.time())
    rooms = OpenTokWorld.generate(seed=1, since=now - 7200, until=now - 3600, sessions=2, peers=1)
    videos = ApsaraVideoWorld.generate(seed=1)
    urls = {agora_serve(OpenTokSimulator(rooms)), agora_serve(ApsaraVideoSimulator(videos))}
    assert len(urls | {agora_simulator.url}) == 3
    with OpenTok.from_env() as opentok, ApsaraVideo.from_env() as apsaravideo, Agora.from_env() as agora:
        assert opentok.session_summaries("3h").collect()
        assert apsaravideo.app_id == videos.app_ids[0]
        assert agora.calls("6h").collect()


async def test_signaling_is_served(agora_serve):
    url = agora_serve(SignalingSimulator())
    async with AsyncSignaling.from_env() as client:
        assert url in repr(client)


@pytest.mark.agora_world(calls=20, since="1d", until="1h")
def test_virtual_time_continues_between_runs(agora_virtual):
    async def first(client):
        assert client.settings.app_id == agora_virtual.world.app_id
        return await client.calls("1d").collect()

    assert agora_virtual.clock.now() == START
    assert ids(agora_virtual.run(first)) == ids(agora_virtual.world.calls)
    agora_virtual.clock.suspend(60)
    agora_virtual.run(first, prefetch=1)
    assert agora_virtual.clock.now() > START + 60
    assert agora_virtual.seen.requests == {"call/lists": 2}


@pytest.mark.agora_world(calls=0)
@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_a_whole_quota(agora_simulator, attempt):
    with Agora.from_env() as client:
        client.calls("2h", "1h").collect()
        (lists,) = [quota for quota in client.quota() if quota.endpoint == "call/lists"]
        assert lists.spent == 1
