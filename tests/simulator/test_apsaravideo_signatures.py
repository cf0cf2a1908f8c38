"""Simulated ApsaraVideo: the check of signatures, which shares no code with the client."""

import ast
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

import agora_analytics.simulator.apsaravideo
from agora_analytics.apsaravideo.auth import Credentials, authorization, signed_headers
from agora_analytics.simulator import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld, serve_in_thread
from tests.apsaravideo import official
from tests.simulator.conftest import Clock, T

WORLD = ApsaraVideoWorld.generate(seed=7)
(KEY,) = [Credentials(*pair) for pair in DEMO_KEYS.items()]
QUESTION = {
    "MetricType": "FirstFrameCost",
    "BeginTs": str((T - 7200) * 1000),
    "EndTs": str((T - 3600) * 1000 - 1),
    "AppId": WORLD.app_ids[0],
}
FORM = "application/x-www-form-urlencoded"


def simulator(**settings):
    clock = settings.pop("clock", Clock(T))
    return ApsaraVideoSimulator(WORLD, now=clock, **settings)


async def ask(
    sim, query=QUESTION, *, method="POST", body=b"", content_type=None, credentials=KEY, more=(), **sign
):
    """Send a request signed by the client's code. `more` changes headers after signing."""
    headers = signed_headers(
        **(
            {
                "method": method,
                "host": "sim",
                "query": query.items(),
                "body": body,
                "content_type": content_type,
                "action": "DescribeLiveInteractionMetricData",
                "credentials": credentials,
                "now": T,
                "nonce": "n",
            }
            | sign
        )
    )
    headers |= dict(more)
    headers = {name: value for name, value in headers.items() if value is not None}
    transport = httpx.ASGITransport(app=sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as http:
        return await http.request(method, "/", params=query, content=body, headers=headers)


async def code_of(*args, **settings):
    answer = await ask(*args, **settings)
    return (answer.status_code, answer.json().get("Code"))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_signed_request_returns_data(method):
    answer = await ask(simulator(), method=method)
    assert answer.status_code == 200
    assert 10 <= len(answer.json()["Nodes"]) <= 12


async def test_parameters_may_be_a_form():
    body = urlencode(QUESTION).encode()
    answer = await ask(simulator(), {}, body=body, content_type=FORM)
    assert answer.json() | {"RequestId": ""} == (await ask(simulator())).json() | {"RequestId": ""}


async def test_wire_encoding_may_differ_from_the_signed_encoding():
    strange = QUESTION | {"ChannelId": "a *~/+%ä", "Os": ""}
    assert (await ask(simulator(), strange)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"credentials": Credentials("who", "s")}, (404, "InvalidAccessKeyId.NotFound")),
        ({"credentials": Credentials(KEY.access_key_id, "wrong")}, (403, "SignatureDoesNotMatch")),
        ({"now": T - 901}, (400, "InvalidTimeStamp.Expired")),
        ({"now": T + 901}, (400, "InvalidTimeStamp.Expired")),
        ({"more": {"x-acs-date": "yesterday"}}, (400, "IllegalTimestamp")),
        ({"more": {"x-acs-date": None}}, (400, "MissingParameter")),
        ({"more": {"x-acs-signature-nonce": None}}, (400, "MissingParameter")),
        ({"more": {"authorization": None}}, (400, "MissingParameter")),
        ({"more": {"authorization": "Basic YTpi"}}, (403, "SignatureDoesNotMatch")),
        ({"more": {"x-acs-signature-nonce": "another"}}, (403, "SignatureDoesNotMatch")),
        ({"more": {"x-acs-action": "DeleteAll"}}, (403, "SignatureDoesNotMatch")),
        ({"more": {"host": "elsewhere"}}, (403, "SignatureDoesNotMatch")),
        ({"more": {"x-acs-not-signed": "1"}}, (403, "SignatureDoesNotMatch")),
        ({"more": {"x-acs-content-sha256": "0" * 64}}, (403, "SignatureDoesNotMatch")),
        ({"body": b"x", "more": {"x-acs-content-sha256": "0" * 64}}, (403, "SignatureDoesNotMatch")),
        (
            {"credentials": Credentials(*next(iter(DEMO_KEYS.items())), security_token="t")},
            (400, "InvalidSecurityToken.MismatchWithAccessKey"),
        ),
        ({"action": "DescribeLiveAnything"}, (404, "InvalidApi.NotFound")),
        ({"version": "2017-01-01"}, (404, "InvalidProduct.NotFound")),
    ],
)
async def test_invalid_signature_is_refused(settings, refusal):
    assert await code_of(simulator(), **settings) == refusal


@pytest.mark.parametrize("left_out", ["host", "x-acs-action", "x-acs-date", "x-acs-version"])
async def test_unsigned_required_header_is_refused(left_out):
    headers = signed_headers(
        method="POST", host="sim", query=QUESTION.items(), action="DescribeLiveInteractionMetricData",
        credentials=KEY, now=T, nonce="n",
    )  # fmt: skip
    del headers["authorization"]
    signed = {name: value for name, value in headers.items() if name != left_out}
    forged = authorization("POST", "/", QUESTION.items(), signed, KEY)
    assert await code_of(simulator(), more={"authorization": forged}) == (403, "SignatureDoesNotMatch")


async def test_date_may_differ_by_fifteen_minutes():
    for now in (T - 899, T + 899):
        assert (await ask(simulator(), now=now)).status_code == 200


async def test_nonce_is_accepted_once():
    clock = Clock(T)
    sim = simulator(clock=clock)
    assert (await ask(sim)).status_code == 200
    assert await code_of(sim) == (400, "SignatureNonceUsed")
    clock.now = T + 1700
    assert await code_of(sim, now=T + 1700) == (400, "SignatureNonceUsed")
    assert (await ask(sim, now=T + 1700, nonce="m")).status_code == 200
    clock.now = T + 4000  # the date of an older request would be refused
    assert (await ask(sim, now=T + 4000)).status_code == 200


async def test_refused_signature_does_not_spend_its_nonce():
    sim = simulator()
    assert await code_of(sim, credentials=Credentials(KEY.access_key_id, "wrong")) == (
        403,
        "SignatureDoesNotMatch",
    )
    assert (await ask(sim)).status_code == 200


async def test_temporary_key_needs_its_token_until_it_expires():
    sim = simulator(keys={"sts": "s"}, tokens={"sts": "t"})
    assert (await ask(sim, credentials=Credentials("sts", "s", security_token="t"))).status_code == 200
    for token in (None, "u"):
        key = Credentials("sts", "s", security_token=token)
        assert await code_of(sim, credentials=key) == (400, "InvalidSecurityToken.MismatchWithAccessKey")
    sim.expire("sts")
    key = Credentials("sts", "s", security_token="t")
    assert await code_of(sim, credentials=key) == (400, "InvalidSecurityToken.Expired")


async def test_unknown_method_or_path_is_not_found():
    sim = simulator()
    assert (await ask(sim, method="PUT")).status_code == 404
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="http://sim") as http:
        assert (await http.get("/elsewhere")).status_code == 404


def test_simulator_shares_facts_and_no_code_with_the_client():
    folder = Path(agora_analytics.simulator.apsaravideo.__file__).parent
    taken = {
        f"{node.module}"
        for path in folder.glob("apsaravideo*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("agora_analytics.apsaravideo")
    }
    assert taken <= {"agora_analytics.apsaravideo", "agora_analytics.apsaravideo.spec"}


def test_official_sdk_is_accepted_over_a_socket(monkeypatch):
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):  # the SDK would use the proxies for loopback too
        monkeypatch.delenv(name, raising=False)
    sim = ApsaraVideoSimulator(WORLD)  # the SDK uses the machine's clock
    now = int(time.time()) * 1000
    question = QUESTION | {"BeginTs": str(now - 7_200_000), "EndTs": str(now - 3_600_001)}
    with serve_in_thread(sim) as url:
        sdk = official.Sdk(*next(iter(DEMO_KEYS.items())), url.removeprefix("http://"))
        answers = [
            sdk.ask("POST", query=question),
            sdk.ask("GET", query=question | {"Os": "iOS", "ChannelId": WORLD.channel_ids[0]}),
            sdk.ask("POST", body=question | {"TerminalType": "mobile"}),
        ]
        with pytest.raises(Exception, match="Authentication Failed") as caught:
            sdk.ask("POST", query=question | {"AppId": "another"})
    assert all(answer["statusCode"] == 200 and len(answer["body"]["Nodes"]) > 7 for answer in answers)
    assert caught.value.code == "Meter.AuthError"
    assert sum(sim.seen.requests.values()) == 4
