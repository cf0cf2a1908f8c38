"""Every method over a real socket, from awaiting and from blocking code."""

import pytest

from agora_analytics import TransportError
from agora_analytics.blocking.signaling import Signaling
from agora_analytics.signaling import AsyncSignaling, Basic, DeliveryState
from agora_analytics.simulator import DEMO_APP_ID, Faults, serve, serve_in_thread
from agora_analytics.simulator.signaling import ServerEvent, SignalingSimulator
from tests.blocking.parity import differences
from tests.signaling.harness import BASIC

NAME = "a#b%c&d?e;f g"


def happened(simulator):
    login = ServerEvent(kind="Login", user_id=NAME, ms=1_795_046_400_001)
    simulator.message_store.add_events(
        login, ServerEvent(kind="Join", user_id=NAME, channel="room", ms=1_795_046_400_002)
    )


async def test_every_method_awaited():
    simulator = SignalingSimulator(polls=0)
    happened(simulator)
    async with serve(simulator) as url, AsyncSignaling(BASIC, app_id=DEMO_APP_ID, base_url=url) as client:
        delivered = await client.peer_message(NAME, NAME, "hi ä", wait_for_ack=True, historical=True)
        assert delivered.state is DeliveryState.DELIVERED
        await client.channel_message(NAME, "room", "to all", historical=True)
        assert [batch.events[0].user_id async for batch in client.user_events()] == [NAME]
        assert [batch.events[0].channel async for batch in client.channel_events()] == ["room"]
        assert [m.message for m in await client.history("ann", "room").collect()] == ["to all"]
        assert [m.payload for m in await client.legacy_history("1h", source=NAME).collect()] == [
            "hi ä",
            "to all",
        ]
        assert await client.legacy_count("1h", destination="room") == 1
        assert (
            sum(client.sent.values()) == 9
        )  # the history takes two requests: its first page names another start
    assert [message.sender for message in simulator.message_store.messages] == [NAME, NAME]


def test_every_method_blocking():
    simulator = SignalingSimulator(polls=0)
    happened(simulator)
    with serve_in_thread(simulator) as url, Signaling(BASIC, app_id=DEMO_APP_ID, base_url=url) as client:
        assert client.peer_message(NAME, NAME, "hi", historical=True).state is DeliveryState.SENT
        client.channel_message(NAME, "room", "to all", historical=True)
        assert [batch.events[0].user_id for batch in client.user_events()] == [NAME]
        assert [batch.events[0].channel for batch in client.channel_events()] == ["room"]
        assert [m.message for m in client.history("ann", "room")] == ["to all"]
        assert [m.payload for m in client.legacy_history("1h", source=NAME)] == ["hi", "to all"]
        assert client.legacy_count("1h", destination="room") == 1
        assert (client.app_id, client.credentials) == (DEMO_APP_ID, BASIC)


@pytest.mark.parametrize("fault", ["lost-answer", "cut-off", "reset"])
def test_no_message_twice_over_a_socket(fault):
    simulator = SignalingSimulator(faults=Faults(script=(fault,)))
    with (
        serve_in_thread(simulator) as url,
        Signaling(BASIC, app_id=DEMO_APP_ID, base_url=url) as client,
        pytest.raises(TransportError, match="may have arrived"),
    ):
        client.peer_message("server", "ann", "hi")
    assert simulator.seen.requests["signaling/peer_messages"] == 1
    assert len(simulator.message_store.messages) == (fault != "reset")


def test_the_blocking_client_is_the_twin():
    with Signaling(Basic("an-id", "s"), app_id="app") as blocking:
        assert differences(AsyncSignaling(Basic("an-id", "s"), app_id="app"), blocking) == []
