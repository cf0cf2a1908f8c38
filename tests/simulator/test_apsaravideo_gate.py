"""Simulated ApsaraVideo lets in who signs as the document says, and nobody else. Its check is not the client's code."""

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
    """Send a question signed by the client's code; `more` changes headers behind its back."""
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
async def test_a_signed_question_is_answered(method):
    answer = await ask(simulator(), method=method)
    assert answer.status_code == 200
    assert 10 <= len(answer.json()["Nodes"]) <= 12


async def test_a_form_is_a_question_too():
    body = urlencode(QUESTION).encode()
    answer = await ask(simulator(), {}, body=body, content_type=FORM)
    assert answer.json() | {"RequestId": ""} == (await ask(simulator())).json() | {"RequestId": ""}


async def test_the_wire_may_be_encoded_otherwise_than_the_signature():
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
async def test_what_is_not_signed_as_it_must_be_is_refused(settings, refusal):
    assert await code_of(simulator(), **settings) == refusal


@pytest.mark.parametrize("left_out", ["host", "x-acs-action", "x-acs-date", "x-acs-version"])
async def test_a_header_that_must_be_signed_cannot_be_left_out(left_out):
    headers = signed_headers(
        method="POST", host="sim", query=QUESTION.items(), action="DescribeLiveInteractionMetricData",
        credentials=KEY, now=T, nonce="n",
    )  # fmt: skip
    del headers["authorization"]
    signed = {name: value for name, value in headers.items() if name != left_out}
    forged = authorization("POST", "/", QUESTION.items(), signed, KEY)
    assert await code_of(simulator(), more={"authorization": forged}) == (403, "SignatureDoesNotMatch")


async def test_fifteen_minutes_of_difference_are_taken():
    for now in (T - 899, T + 899):
        assert (await ask(simulator(), now=now)).status_code == 200


async def test_a_nonce_is_good_for_once():
    clock = Clock(T)
    sim = simulator(clock=clock)
    assert (await ask(sim)).status_code == 200
    assert await code_of(sim) == (400, "SignatureNonceUsed")
    clock.now = T + 1700
    assert await code_of(sim, now=T + 1700) == (400, "SignatureNonceUsed")
    assert (await ask(sim, now=T + 1700, nonce="m")).status_code == 200
    clock.now = T + 4000  # a request of that time would be refused for its date
    assert (await ask(sim, now=T + 4000)).status_code == 200


async def test_a_refused_signature_does_not_use_up_its_nonce():
    sim = simulator()
    assert await code_of(sim, credentials=Credentials(KEY.access_key_id, "wrong")) == (
        403,
        "SignatureDoesNotMatch",
    )
    assert (await ask(sim)).status_code == 200


async def test_a_temporary_key_needs_its_token_until_it_expires():
    sim = simulator(keys={"sts": "s"}, tokens={"sts": "t"})
    assert (await ask(sim, credentials=Credentials("sts", "s", security_token="t"))).status_code == 200
    for token in (None, "u"):
        key = Credentials("sts", "s", security_token=token)
        assert await code_of(sim, credentials=key) == (400, "InvalidSecurityToken.MismatchWithAccessKey")
    sim.expire("sts")
    key = Credentials("sts", "s", security_token="t")
    assert await code_of(sim, credentials=key) == (400, "InvalidSecurityToken.Expired")


async def test_other_methods_and_paths_are_nowhere():
    sim = simulator()
    assert (await ask(sim, method="PUT")).status_code == 404
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="http://sim") as http:
        assert (await http.get("/elsewhere")).status_code == 404


def test_the_simulator_shares_facts_with_the_client_and_no_code():
    folder = Path(agora_analytics.simulator.apsaravideo.__file__).parent
    taken = {
        f"{node.module}"
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("agora_analytics.apsaravideo")
    }
    assert taken <= {"agora_analytics.apsaravideo", "agora_analytics.apsaravideo.spec"}


def test_the_official_sdk_is_let_in_over_a_socket(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):  # it would ask them for loopback too
        monkeypatch.delenv(name, raising=False)
    sim = ApsaraVideoSimulator(WORLD)  # the SDK has the machine's clock, so the simulator has it too
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
