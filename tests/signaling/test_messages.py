"""Messages: what is sent, what is checked before, and that none is sent twice."""

import asyncio
import json
from contextlib import suppress

import pytest

from agora_analytics import AsyncSignaling, errors
from agora_analytics.messages import FailureKind
from agora_analytics.signaling import LIMITS, Basic, DeliveryState, LegacyToken, Token
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, response
from tests.faults.fleet import NEIGHBOUR, PRIMARY, Fleet, dead
from tests.harness import Scripted
from tests.signaling.harness import BASIC, log_in, make_harness, scripted


def hello(client):
    return client.peer_message("server", "ann", "hello")


def test_request_of_a_peer_message():
    harness = scripted(b'{"result":"success","request_id":"r1","code":"message_delivered"}')
    sent = harness.run(
        lambda c: c.peer_message("a#b%c&d?e;f", "ann", "hi", wait_for_ack=True, historical=True)
    )
    assert (sent.code, sent.state, sent.request_id) == ("message_delivered", DeliveryState.DELIVERED, "r1")
    (request,) = harness.transport.requests
    assert request.url == (
        "https://api.agora.io/dev/v2/project/app/rtm/users/a%23b%25c%26d%3Fe%3Bf/peer_messages?wait_for_ack=true"
    )
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "destination": "ann",
        "payload": "hi",
        "enable_offline_messaging": False,
        "enable_historical_messaging": True,
    }


def test_request_of_a_channel_message():
    harness = scripted(b'{"result":"success","request_id":"r1"}')
    sent = harness.run(lambda c: c.channel_message("server", "room 1", "hi"), region="cn")
    assert (sent.code, sent.state) == (None, DeliveryState.SENT)  # the legacy answer has no code
    (request,) = harness.transport.requests
    assert request.url == "https://api.sd-rtn.com/dev/v2/project/app/rtm/users/server/channel_messages"
    assert json.loads(request.body) == {
        "channel_name": "room 1",
        "payload": "hi",
        "enable_historical_messaging": False,
    }


@pytest.mark.parametrize("user", [".", ".."])
def test_dot_as_user_id_is_escaped_in_the_path(user):
    harness = scripted(b"{}")
    harness.run(lambda c: c.peer_message(user, "ann", "hi"))
    assert harness.transport.requests[0].path.split("/")[-2] == user.replace(".", "%2E")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("message_sent", DeliveryState.SENT),
        ("message_delivered", DeliveryState.DELIVERED),
        ("message_offline", DeliveryState.OFFLINE),
        ("peer_offline", DeliveryState.OFFLINE),
        ("message_in_a_bottle", None),
    ],
)
def test_both_names_of_every_state(code, state):
    sent = scripted(json.dumps({"code": code, "request_id": "r", "new": 1}).encode()).run(hello)
    assert (sent.code, sent.state) == (code, state)


@pytest.mark.parametrize("legacy", [False, True])
def test_against_the_simulator(legacy):
    harness = make_harness(legacy=legacy)

    async def job(client):
        log_in(harness, 1)
        return [
            await client.peer_message("server", "user 0", "hi"),
            await client.peer_message("server", "user 0", "hi", wait_for_ack=True),
            await client.peer_message("server", "nobody", "hi"),
            await client.channel_message("server", "room", "hi"),
        ]

    states = [delivery.state for delivery in harness.run(job)]
    assert states == [DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.OFFLINE, DeliveryState.SENT]
    messages = harness.simulator.message_store.messages
    assert [message.to_channel for message in messages] == [False, False, False, True]


@pytest.mark.parametrize("fault", ["lost-answer", "cut-off", "hang", "500", "503-html", "504-html", "reset"])
def test_a_message_is_never_sent_twice(fault):
    harness = make_harness(fault)
    with pytest.raises((errors.TransportError, errors.ServerError), match="may have arrived"):
        harness.run(hello)
    assert harness.requests["signaling/peer_messages"] == 1
    assert len(harness.simulator.message_store.messages) == (fault in {"lost-answer", "cut-off"})


def test_unreadable_response_to_an_accepted_message_is_a_decode_error():
    harness = make_harness("broken-json")
    with pytest.raises(errors.DecodeError, match="not a response of this API"):
        harness.run(hello)
    assert len(harness.simulator.message_store.messages) == 1


@pytest.mark.parametrize(
    "kind", [FailureKind.DNS, FailureKind.REFUSED, FailureKind.TLS, FailureKind.CONNECT_TIMEOUT]
)
def test_a_message_that_never_left_is_sent_again(kind):
    harness = scripted(kind, kind, b'{"result":"success","code":"message_sent"}')
    assert harness.run(hello).state is DeliveryState.SENT
    assert len(harness.transport.requests) == 3


def test_rate_limited_message_is_sent_again():
    harness = make_harness("429")
    assert harness.run(hello).code == "message_offline"
    assert len(harness.simulator.message_store.messages) == 1


def test_under_faults_every_message_arrives_once_or_fails():
    from agora_analytics.simulator import Faults

    kinds = ("lost-answer", "reset", "500", "429", "cut-off")
    harness = make_harness(faults=Faults(share=0.3, kinds=kinds, seed=4))

    async def job(client):
        failed = []
        for i in range(200):
            try:
                await client.peer_message("server", "ann", f"message {i}")
            except errors.AgoraAnalyticsError:
                failed.append(f"message {i}")
        return failed

    failed = harness.run(job)
    taken = [message.payload for message in harness.simulator.message_store.messages]
    assert len(taken) == len(set(taken))
    assert set(taken) | set(failed) == {f"message {i}" for i in range(200)}
    assert 0 < len(failed) < 100


def send_every(seconds, number, trouble):
    """Send messages to the shipped hosts at a pace; return the fleet, and how many were taken."""
    fleet, clock = Fleet(trouble), VirtualClock(NOW)

    async def job():
        taken = 0
        async with AsyncSignaling(
            Basic("id", "secret"), app_id="app", transport=fleet, clock=clock
        ) as client:
            for _ in range(number):
                with suppress(errors.AgoraAnalyticsError):
                    await hello(client)
                    taken += 1
                await asyncio.sleep(seconds)
        return taken

    return fleet, run_virtual(job(), clock)


@pytest.mark.parametrize(
    "fault",
    [FailureKind.READ_TIMEOUT, FailureKind.RESET, (503, b"<html>")],
    ids=lambda fault: str(fault)[:12],
)
def test_client_leaves_a_primary_after_two_lost_messages(fault):
    trouble = fault if isinstance(fault, FailureKind) else response(fault[1], fault[0])
    fleet, taken = send_every(1, 20, dead(PRIMARY, by=trouble))
    assert (taken, fleet.sent) == (18, {PRIMARY: 2, NEIGHBOUR: 18})


def test_messages_return_to_the_primary_after_it_recovers():
    trouble = lambda host, seconds: FailureKind.REFUSED if host == PRIMARY and seconds < 30 else None  # noqa: E731
    fleet, taken = send_every(60, 60, trouble)
    assert (taken, fleet.sent) == (60, {PRIMARY: 2 + 55, NEIGHBOUR: 5})


def test_dead_primary_costs_at_most_one_message_in_five_minutes():
    fleet, taken = send_every(1, 3600, dead(PRIMARY, by=FailureKind.RESET))
    assert 3600 - taken == fleet.sent[PRIMARY] <= 2 + 3600 / 300


def test_both_kinds_of_messages_share_500_a_second():
    import asyncio

    harness = make_harness()

    async def job(client):
        async with asyncio.TaskGroup() as group:
            for i in range(600):
                group.create_task(client.peer_message("server", "ann", str(i)))
                group.create_task(client.channel_message("server", "room", str(i)))

    harness.run(job)
    arrivals = sorted(t for times in harness.simulator.seen.arrivals.values() for t in times)
    assert len(arrivals) == len(harness.simulator.message_store.messages) == 1200
    worst = max(sum(1 for t in arrivals if start <= t < start + 1) for start in arrivals[::50])
    assert 400 < worst <= 500
    assert not harness.refusals


WRONG = [
    (("", "ann", "hi"), "sender has 0 characters"),
    (("s" * 65, "ann", "hi"), "sender has 65 characters"),
    (("server ", "ann", "hi"), "begins or ends with a space"),
    (("sérver", "ann", "hi"), "allowed are a-z"),
    (("a/b", "ann", "hi"), "contains /; allowed"),
    (("server", "b*b", "hi"), r"destination 'b\*b' contains \*"),
    (("server", "ann", ""), "payload is empty"),
    (("server", "ann", "é" * 16_385), "32770 bytes; at most 32768"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_invalid_message_is_refused_before_a_request(arguments, said):
    harness = make_harness()
    with pytest.raises(errors.InvalidRequest, match=said):
        harness.run(lambda c: c.peer_message(*arguments))
    assert not harness.requests


def test_every_allowed_character_is_sent():
    harness = make_harness()
    name = "aZ09 !#$%&()+-:;<=.>?@[]^_{}|~,'"
    harness.run(lambda c: c.channel_message(name, name, "é" * 16_384))
    assert (
        harness.simulator.message_store.messages[0].sender,
        harness.simulator.message_store.messages[0].receiver,
    ) == (name, name)


def test_without_validation_a_message_is_sent_unchecked():
    harness = make_harness()
    with pytest.raises(errors.BadRequest, match="435"):
        harness.run(lambda c: c.peer_message("server", "ann", ""), validate=False)


def test_the_forms_of_a_token():
    harness = make_harness(tokens={"t-1": "ann"})
    for credentials in (Token("t-1"), Token(lambda: "t-1", user_id="ann"), LegacyToken("ann", "t-1")):
        harness.run(lambda c: c.peer_message("ann", "bob", "hi"), credentials=credentials)
        assert "t-1" not in repr(credentials)
    assert len(harness.simulator.message_store.messages) == 3
    with pytest.raises(errors.InvalidRequest, match="the token belongs to 'ann'"):
        harness.run(lambda c: c.peer_message("bob", "ann", "hi"), credentials=LegacyToken("ann", "t-1"))
    for wrong in (Token("t-2"), LegacyToken("bob", "t-1"), Basic("demo-customer-id", "no")):
        with pytest.raises(errors.AuthenticationError):
            harness.run(lambda c: c.peer_message("bob", "ann", "hi"), credentials=wrong)


def test_a_request_with_a_token_does_not_show_it():
    harness = scripted(b"{}")
    harness.run(lambda c: c.peer_message("ann", "bob", "hi"), credentials=LegacyToken("ann", "t-1"))
    assert harness.transport.requests[0].headers["x-agora-token"] == "t-1"
    assert "t-1" not in repr(harness.transport.requests[0])


def test_repr_has_no_secret():
    harness = make_harness()
    client = harness.client(credentials=Basic("demo-customer-id", "s3cret"))
    assert "s3cret" not in repr(client)
    with pytest.raises(errors.ConfigurationError, match="customer_id and customer_secret are missing"):
        harness.client(credentials=Basic("", ""))
    with pytest.raises(errors.ConfigurationError, match="user_id is missing"):
        LegacyToken("", "t-1")


def test_the_environment():
    from agora_analytics.signaling import AsyncSignaling

    environment = {
        "AGORA_CUSTOMER_ID": "an-id",
        "AGORA_CUSTOMER_SECRET": "s",
        "AGORA_APP_ID": "app",
        "AGORA_PLAN": "premium",
        "AGORA_REGION": "cn",
    }
    client = AsyncSignaling.from_env(environment)
    assert (client.app_id, client.credentials.customer_id) == ("app", "an-id")
    assert "sd-rtn" in repr(client)
    with pytest.raises(errors.ConfigurationError):
        AsyncSignaling.from_env({})


def test_ledger_of_environment_is_shared_and_closed(tmp_path):
    environment = {
        "AGORA_CUSTOMER_ID": "an-id",
        "AGORA_CUSTOMER_SECRET": "s",
        "AGORA_APP_ID": "app",
        "AGORA_LEDGER": str(tmp_path / "ledger"),
    }

    async def quotas():
        transport = Scripted(b"{}", b'{"events":[]}', b'{"errorCode":200}')
        async with AsyncSignaling.from_env(environment, transport=transport) as first:
            await hello(first)
            assert [batch async for batch in first.user_events()] == []
            assert await first.history("ann", "room").collect() == []
        async with AsyncSignaling.from_env(environment) as second:
            return await second.quota()

    spent = {quota.endpoint: quota.spent for quota in asyncio.run(quotas())}
    assert spent == {
        "signaling/peer_messages": 1,
        "signaling/channel_messages": 1,  # counted together with peer messages
        "signaling/user_events": 1,
        "signaling/channel_events": 1,
        "signaling/history": 1,
        **dict.fromkeys(
            ("signaling/history/query", "signaling/history/result", "signaling/history/count"), 0
        ),
    }


def test_plain_http_to_another_machine_needs_allow_http():
    with pytest.raises(errors.ConfigurationError, match="allow_http=True"):
        AsyncSignaling(BASIC, app_id="app", base_url="http://proxy.example")
    client = AsyncSignaling(BASIC, app_id="app", base_url="http://proxy.example", allow_http=True)
    assert "http://proxy.example" in repr(client)


def test_limits_without_an_endpoint_refuse_it():
    limits = {name: row for name, row in LIMITS.items() if name != "signaling/history"}
    with pytest.raises(errors.InvalidRequest, match="signaling/history"):
        scripted().run(lambda c: c.history("ann", "room").collect(), limits=limits)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, errors.BadRequest, "not valid"),
        (401, errors.AuthenticationError, "customer id and secret, or the token"),
        (403, errors.AccessDenied, "not enabled"),
        (404, errors.NotFound, "App ID"),
        (408, errors.ServerError, "no response.*may have arrived"),
        (415, errors.BadRequest, "only JSON"),
        (418, errors.BadRequest, "not documented"),
        (435, errors.BadRequest, "invalid payload"),
        (500, errors.ServerError, "internal.*may have arrived"),
        (503, errors.ServerError, "timed out.*may have arrived"),
    ],
)
@pytest.mark.parametrize(
    "body", [b'{"errorCode":%d,"reason":"said so"}', b'{"message":"said so","request_id":"r9"}', b"<html>%d"]
)
def test_every_documented_code(status, kind, said, body):
    harness = scripted((status, body % status if b"%d" in body else body))
    with pytest.raises(kind, match=said) as caught:
        harness.run(hello)
    assert (caught.value.status, caught.value.code) == (status, status)
    assert ("said so" in str(caught.value)) == (body[:1] == b"{")
    assert caught.value.request_id == ("r9" if b"r9" in body else None)
    assert len(harness.transport.requests) == 1


def test_a_code_in_the_body_counts_under_http_200():
    with pytest.raises(errors.BadRequest, match="435"):
        scripted(b'{"errorCode":435,"reason":"bad"}').run(hello)
    with pytest.raises(errors.APIError, match="result 'failed': no luck"):
        scripted(b'{"result":"failed","reason":"no luck"}').run(hello)


def test_repeated_rate_limit_is_raised_after_eight_attempts():
    harness = scripted(*[(429, b'{"message":"quota"}')] * 8)
    with pytest.raises(errors.RateLimited, match="too many requests"):
        harness.run(hello)
    assert len(harness.transport.requests) == 8
