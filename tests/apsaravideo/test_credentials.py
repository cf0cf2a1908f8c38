"""Who asks, from where the settings come, and that no secret is ever shown."""

import asyncio
import logging
import re
import traceback
from datetime import datetime

import pytest

from agora_analytics import ConfigurationError
from agora_analytics.apsaravideo import AsyncApsaraVideo, Credentials
from agora_analytics.messages import FailureKind, Request, TransportFailure
from tests.apsaravideo.harness import APP_ID, ENDPOINT, KEY, NOW, make_harness, scripted
from tests.apsaravideo.test_metrics import COST
from tests.conftest import response
from tests.harness import Scripted

MARK = "marked-1f6c0b"
TOKEN = f"{MARK}-token"
ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "an-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": MARK,
    "APSARAVIDEO_APP_ID": "an-app",
}


async def ask(client):
    return await client.interaction_metrics(COST, "1h").collect()


def signed(request, name):
    return request.headers[name]


def test_every_attempt_has_its_own_date_nonce_and_signature():
    lost = TransportFailure(FailureKind.RESET, "gone")
    busy = response({"Code": "Throttling", "Message": "m"}, 400)
    harness = scripted(lost, busy, response(b"<html>", 502), response({"RequestId": "r"}))
    harness.run(ask)
    for name in ("x-acs-signature-nonce", "authorization"):
        assert len({signed(request, name) for request in harness.transport.requests}) == 4
    dates = [signed(request, "x-acs-date") for request in harness.transport.requests]
    assert dates == sorted(dates)
    assert len(set(dates)) >= 3  # the first two may be of the same second
    for request in harness.transport.requests:
        assert (request.method, request.path, request.body) == ("POST", "/", b"")
        assert re.fullmatch(r"[0-9a-f]{32}", signed(request, "x-acs-signature-nonce"))
        assert abs(datetime.fromisoformat(signed(request, "x-acs-date")).timestamp() - NOW) < 60
        assert signed(request, "host") == "live.aliyuncs.com"
        assert request.base_url == "https://live.aliyuncs.com"
        assert "accept" in request.headers


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://live.ap-southeast-1.aliyuncs.com", "live.ap-southeast-1.aliyuncs.com"),
        ("https://LIVE.aliyuncs.com:443/", "live.aliyuncs.com"),
        ("https://proxy.example:8443/live", "proxy.example:8443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_host_that_is_signed_is_the_one_that_is_sent(base_url, host):
    harness = scripted(response({"RequestId": "r"}))
    harness.run(ask, base_url=base_url)
    assert signed(harness.transport.requests[0], "host") == host


def test_a_temporary_key_sends_its_token():
    harness = make_harness(keys={"sts": "secret"}, tokens={"sts": TOKEN})
    assert len(harness.run(ask, "sts", "secret", security_token=TOKEN)) > 8
    assert harness.refusals == {}


def test_credentials_are_fetched_for_every_attempt_and_renewed_once():
    harness = make_harness(keys={"old": "s-1", "new": "s-2"}, tokens={"old": "t-1", "new": "t-2"})
    harness.simulator.expire("old")
    given = [Credentials("old", "s-1", security_token="t-1"), Credentials("new", "s-2", security_token="t-2")]
    asked = []

    async def credentials():
        asked.append(harness.clock.now())
        return given[min(len(asked) - 1, 1)]

    async def twice(client):
        return [await ask(client), await ask(client)]

    one, two = harness.run(twice, credentials=credentials)
    assert one == two != []
    assert len(asked) == harness.requests[ENDPOINT] == 3
    assert harness.refusals == {(ENDPOINT, "400"): 1}


def test_failing_credentials_raise_without_a_request():
    class Gone(Exception):
        pass

    async def credentials():
        raise Gone("no key today")

    harness = make_harness()

    async def job(client):
        with pytest.raises(Gone):
            await ask(client)
        return (await client.quota())[0].spent

    assert harness.run(job, credentials=credentials) == 0
    assert harness.requests[ENDPOINT] == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "access_key_id is missing; pass access_key_id= or set ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ({"access_key_id": "i"}, "set ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        ({"access_key_id": "i", "access_key_secret": f"{MARK}\n"}, "access_key_secret contains a space"),
        ({"access_key_id": "i", "access_key_secret": f" {MARK}"}, "access_key_secret contains a space"),
        ({"access_key_id": "i\u00e9", "access_key_secret": MARK}, "access_key_id has"),
        (
            {"access_key_id": "i", "access_key_secret": MARK, "security_token": f"{MARK}\r\nx: y"},
            "security_token contains a space",
        ),
        ({"access_key_id": "i", "access_key_secret": MARK, "app_id": ""}, "set APSARAVIDEO_APP_ID"),
        (
            {"access_key_id": "i", "access_key_secret": MARK, "prefetch": 0},
            "prefetch must be at least 1, got 0",
        ),
        (
            {"access_key_id": "i", "access_key_secret": MARK, "base_url": "live.aliyuncs.com"},
            "not a base URL",
        ),
        (
            {"access_key_id": "i", "access_key_secret": MARK, "base_url": f"https://i:{MARK}@h"},
            "contains credentials",
        ),
        ({"access_key_id": "i", "access_key_secret": MARK, "base_url": "http://10.0.0.1"}, "allow_http=True"),
        ({"access_key_id": "i", "credentials": ask}, "not both"),
    ],
)
def test_invalid_settings_are_refused_without_showing_a_secret(settings, said):
    with pytest.raises(ConfigurationError) as caught:
        AsyncApsaraVideo(**({"app_id": "a"} | settings))
    assert said in str(caught.value)
    assert MARK not in "".join(traceback.format_exception(caught.value))


def test_plain_http_with_allow_http():
    client = AsyncApsaraVideo("i", "s", app_id="a", base_url="http://10.0.0.1", allow_http=True)
    assert "http://10.0.0.1" in repr(client)


async def test_settings_of_the_environment():
    async with AsyncApsaraVideo.from_env(ENVIRONMENT) as client:
        assert client.app_id == "an-app"
        assert repr(client) == "AsyncApsaraVideo(app_id='an-app', host='https://live.aliyuncs.com')"
    more = {"APSARAVIDEO_BASE_URL": "http://127.0.0.1:9", "ALIBABA_CLOUD_SECURITY_TOKEN": "t"}
    async with AsyncApsaraVideo.from_env(ENVIRONMENT | more, app_id="b") as client:
        assert (client.app_id, "127.0.0.1:9" in repr(client)) == ("b", True)
        assert (await client._credentials()).security_token == "t"


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_missing_environment_variable_is_named(missing):
    with pytest.raises(ConfigurationError, match=missing):
        AsyncApsaraVideo.from_env({name: value for name, value in ENVIRONMENT.items() if name != missing})


async def test_a_callable_wins_over_the_keys_of_the_environment():
    async def credentials():
        return Credentials("other", "s")

    async with AsyncApsaraVideo.from_env(ENVIRONMENT, credentials=credentials) as client:
        assert (await client._credentials()).access_key_id == "other"


async def test_another_key_than_the_environment_s_does_not_take_its_token():
    environment = ENVIRONMENT | {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"}
    async with AsyncApsaraVideo.from_env(environment, access_key_id="b", access_key_secret="s") as client:
        assert await client._credentials() == Credentials("b", "s")


def test_a_ledger_that_the_environment_names_is_shared_and_closed(tmp_path):
    path = tmp_path / "ledger"
    environment = ENVIRONMENT | dict(
        zip(("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"), KEY, strict=True)
    )

    async def spent():
        async with AsyncApsaraVideo.from_env(
            environment | {"AGORA_LEDGER": str(path), "APSARAVIDEO_APP_ID": APP_ID},
            transport=Scripted(b'{"RequestId": "r"}'),
        ) as client:
            await ask(client)
            return (await client.quota())[0].spent

    assert asyncio.run(spent()) == 1
    assert asyncio.run(spent()) == 2
    assert MARK.encode() not in path.read_bytes()
    assert KEY[0].encode() not in path.read_bytes()


def test_no_secret_is_shown(caplog):
    caplog.set_level(logging.DEBUG)
    key = Credentials("an-id", MARK, security_token=TOKEN)
    seen: list[Request] = []

    def refuse(request):
        seen.append(request)
        return response({"Code": "Meter.AuthError", "Message": "m", "RequestId": "r"}, 403)

    shown = [repr(key), str(key), repr(AsyncApsaraVideo("an-id", MARK, security_token=TOKEN, app_id="a"))]
    with pytest.raises(Exception, match=r"Meter\.AuthError") as caught:
        scripted(refuse).run(
            ask,
            "an-id",
            MARK,
            security_token=TOKEN,
            observer=lambda e: shown.append(repr(e)),
        )
    (request,) = seen
    shown += ["".join(traceback.format_exception(caught.value)), caplog.text, repr(request), request.url]
    shown += [repr(caught.value.trail)]
    signature = request.headers["authorization"].partition("Signature=")[2]
    assert request.headers["x-acs-security-token"] == TOKEN  # it was in use
    assert len(shown) > 7
    for text in shown:
        assert MARK not in text
        assert signature not in text
