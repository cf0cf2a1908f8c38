"""Credentials from a coroutine function: called for every attempt, tried once more after they were renewed, never shown."""

import anyio
import pytest

from agora_analytics import AsyncAgora, AsyncAgoraBeta, AsyncApsaraVideo, AsyncSignaling, blocking
from agora_analytics.agora.credentials import Basic
from agora_analytics.apsaravideo import Credentials
from agora_analytics.errors import (
    AgoraAnalyticsError,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceeded,
)
from agora_analytics.signaling import LegacyToken, Token
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, response
from tests.harness import Scripted

OLD, NEW = "0ld-s3cret", "n3w-s3cret"
GOOD = {
    AsyncAgora: {"code": 200, "message": "success", "call_lists": []},
    AsyncAgoraBeta: {"code": 200, "message": "", "has_more": False, "call_info": []},
    AsyncSignaling: {"result": "success", "code": "message_sent"},
    AsyncApsaraVideo: {"RequestId": "r"},
}
REFUSED = {kind: (response({"message": "Invalid authentication credentials"}, 401)) for kind in GOOD} | {
    AsyncApsaraVideo: response({"Code": "InvalidAccessKeyId.NotFound", "Message": "m"}, 404)
}
CREDENTIALS = {
    AsyncAgora: lambda secret: Basic("an-id", secret),
    AsyncAgoraBeta: lambda secret: Basic("an-id", secret),
    AsyncSignaling: Token,
    AsyncApsaraVideo: lambda secret: Credentials(f"id-{secret}", secret),
}
KINDS = list(GOOD)


async def ask(client):
    if isinstance(client, AsyncSignaling):
        await client.peer_message("ann", "bob", "hi")
    elif isinstance(client, AsyncApsaraVideo):
        await client.interaction_metrics("VideoStuckRate", "1h").collect()
    else:
        await client.calls("1h").collect()


class Source:
    """Returns the credentials of a list in turn, and then the last ones again."""

    def __init__(self, kind, *secrets):
        self.make, self.secrets, self.calls = CREDENTIALS[kind], list(secrets), 0

    async def __call__(self):
        self.calls += 1
        return self.make(self.secrets.pop(0) if len(self.secrets) > 1 else self.secrets[0])


def run(kind, credentials, *script, times=1):
    """Return the transport after so many calls of the client."""
    return run_with(Scripted(*script), kind, credentials, times)


def run_with(transport, kind, credentials, times=1):
    clock = VirtualClock(NOW)

    async def work():
        async with kind(credentials=credentials, app_id="app", transport=transport, clock=clock) as client:
            shown = f"{client!r} {vars(client)!r}"
            assert OLD not in shown
            assert NEW not in shown
            for _ in range(times):
                await ask(client)

    run_virtual(work(), clock)
    return transport


def authorizations(transport):
    return [request.headers["authorization"].partition(",")[0] for request in transport.requests]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_accepted(kind):
    assert len(run(kind, CREDENTIALS[kind](OLD), response(GOOD[kind])).requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_function_is_called_for_every_attempt(kind):
    source = Source(kind, OLD)
    assert len(run(kind, source, response(GOOD[kind]), times=3).requests) == 3
    assert source.calls == 3


@pytest.mark.parametrize("kind", KINDS)
def test_renewed_credentials_are_tried_once_after_a_refusal(kind):
    transport = run(kind, Source(kind, OLD, NEW), REFUSED[kind], response(GOOD[kind]))
    first, second = authorizations(transport)
    assert first != second


@pytest.mark.parametrize("kind", KINDS)
def test_same_credentials_are_not_sent_again(kind):
    for credentials in (CREDENTIALS[kind](OLD), Source(kind, OLD)):
        transport = Scripted(REFUSED[kind])
        with pytest.raises(AuthenticationError) as caught:
            run_with(transport, kind, credentials)
        assert len(transport.requests) == 1
        assert OLD not in f"{caught.value!r} {caught.value} {caught.value.trail}"


@pytest.mark.parametrize("kind", KINDS)
def test_renewed_credentials_are_not_tried_after_another_error(kind):
    transport = Scripted(response({"message": "no"}, 400))
    with pytest.raises(AgoraAnalyticsError) as caught:
        run_with(transport, kind, Source(kind, OLD, NEW))
    assert not isinstance(caught.value, AuthenticationError)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_second_refusal_is_final(kind):
    """Also when the function returns other credentials every time."""
    transport = Scripted(REFUSED[kind])
    with pytest.raises(AuthenticationError) as caught:
        run_with(transport, kind, Source(kind, OLD, NEW, "third", "fourth", "fifth"))
    assert len(transport.requests) == 2
    assert len(caught.value.trail) == 2
    assert NEW not in f"{caught.value!r} {caught.value}"


def test_legacy_token_of_signaling_is_renewed():
    secrets = [OLD, NEW, NEW]

    async def source():
        return LegacyToken("ann", secrets.pop(0))

    transport = run(AsyncSignaling, source, REFUSED[AsyncSignaling], response(GOOD[AsyncSignaling]))
    assert [request.headers["x-agora-token"] for request in transport.requests] == [OLD, NEW]


def test_token_function_of_signaling_is_renewed():
    secrets = [OLD, NEW, NEW]
    transport = run(
        AsyncSignaling, Token(lambda: secrets.pop(0)), REFUSED[AsyncSignaling], response(GOOD[AsyncSignaling])
    )
    assert [request.headers["authorization"] for request in transport.requests] == [
        f"agora token={OLD}",
        f"agora token={NEW}",
    ]


@pytest.mark.parametrize("kind", [AsyncAgora, AsyncAgoraBeta, AsyncSignaling])
@pytest.mark.parametrize("wrong", [("an-id", OLD), None, OLD], ids=["a tuple", "None", "a text"])
def test_function_that_returns_something_else_is_an_error_without_its_value(kind, wrong):
    async def source():
        return wrong

    with pytest.raises(ConfigurationError, match="credentials= returned") as caught:
        run(kind, source, response(GOOD[kind]))
    assert OLD not in f"{caught.value!r}"


@pytest.mark.parametrize("kind", [AsyncAgora, AsyncAgoraBeta])
def test_both_forms_exclude_each_other(kind):
    for credentials in (Basic("i", "s"), Source(kind, OLD)):
        with pytest.raises(
            ConfigurationError, match="either credentials= or customer_id and customer_secret"
        ):
            kind("an-id", "s", credentials=credentials, app_id="app")
    with pytest.raises(
        ConfigurationError, match="customer_id and customer_secret are missing; pass them, set AGORA_"
    ):
        kind(app_id="app")
    with pytest.raises(ConfigurationError, match="customer_id is missing"):
        kind(None, "s", app_id="app")
    with pytest.raises(ConfigurationError, match="customer_secret is missing"):
        kind("an-id", app_id="app")


@pytest.mark.parametrize("kind", [AsyncAgora, AsyncAgoraBeta])
def test_clients_share_limits_by_customer_or_by_account(kind):
    def account(*values, **options):
        return kind(*values, app_id="app", **options)._engine._account

    assert account("i", "s") == account("i", "other") == account(credentials=Basic("i", "s"))
    assert account(credentials=Source(kind, OLD)) == account(credentials=Source(kind, NEW))
    assert account("i", "s") != account("j", "s") != account(credentials=Source(kind, OLD))
    named = account("i", "s", account="us")
    assert named == account(credentials=Source(kind, OLD), account="us") != account("us", "s")


def test_blocking_client_takes_a_coroutine_function():
    transport = Scripted(response(GOOD[AsyncAgora]))
    with blocking.Agora(credentials=Source(AsyncAgora, OLD), app_id="app", transport=transport) as client:
        client.calls("1h").collect()
    assert len(transport.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [True, False], ids=["at first", "after a refusal"])
def test_error_of_the_function_is_raised_as_it_is(kind, first):
    """Nothing more is sent, and the client can be used again."""
    source, transport = Source(kind, OLD), Scripted(REFUSED[kind])

    async def failing():
        if source.calls or first:
            raise LookupError("the vault is sealed")
        return await source()

    with pytest.raises(LookupError, match="the vault is sealed"):
        run_with(transport, kind, failing)
    assert len(transport.requests) == (0 if first else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_function_that_hangs_ends_with_the_deadline(kind):
    async def hanging():
        await anyio.sleep(10_000)

    with pytest.raises(DeadlineExceeded, match="timed out after"):
        run_with(Scripted(), kind, hanging)
