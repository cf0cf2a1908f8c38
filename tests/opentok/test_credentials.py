"""Tokens of both kinds, one for each attempt; settings from the environment; secrets in no output."""

import logging

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agora_analytics.engine.events import ResponseReceived
from agora_analytics.errors import AgoraAnalyticsError, AuthenticationError, ConfigurationError
from agora_analytics.opentok import Application, AsyncOpenTok, ProjectKey
from agora_analytics.simulator import Faults, OpenTokWorld
from tests.harness import Scripted
from tests.opentok.harness import DAY, IDS, KEY, NOW, SECRET, WORLD, data, make_harness, scripted, summaries

APPLICATION = "5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1"
PAIR = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = PAIR.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    PAIR.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
UNPROVED_TIMES = {"verify_exp": False, "verify_iat": False}


async def ask(client):
    return await client.session_summaries("16d").collect()


def claims_of(transport, *, header, key, algorithm):
    found = []
    for request in transport.requests:
        token = request.headers[header].removeprefix("Bearer ")
        found.append(jwt.decode(token, key, algorithms=[algorithm], options=UNPROVED_TIMES))
    return found


def test_project_token_is_signed_with_its_secret():
    harness = scripted(data(summaries()))
    harness.run(ask)
    (claims,) = claims_of(harness.transport, header="x-opentok-auth", key=SECRET, algorithm="HS256")
    assert claims.pop("jti")
    assert claims == {"iss": KEY, "ist": "project", "iat": int(NOW) - 5, "exp": int(NOW) + 180}
    (request,) = harness.transport.requests
    assert (request.method, request.base_url + request.path) == (
        "POST",
        "https://insights.opentok.com/graphql",
    )
    assert "authorization" not in request.headers
    assert request.headers["content-type"] == "application/json"


def test_application_token_is_signed_with_its_private_key():
    harness = scripted(data(summaries()))
    harness.run(ask, credentials=Application(APPLICATION, PRIVATE))
    (claims,) = claims_of(harness.transport, header="authorization", key=PUBLIC, algorithm="RS256")
    assert claims.pop("jti")
    assert claims == {"application_id": APPLICATION, "iat": int(NOW) - 5, "exp": int(NOW) + 180}
    (request,) = harness.transport.requests
    assert request.base_url + request.path == "https://tools.vonage.com/video/insights-api/graphql"
    assert f'projectId: \\"{APPLICATION}\\"'.encode() in request.body


def test_server_accepts_both_kinds_of_token():
    assert [one.session_id for one in make_harness().run(ask)] == IDS
    world = OpenTokWorld.generate(
        seed=7, since=NOW - 15 * DAY, until=NOW - 3600, sessions=3, project_id=APPLICATION
    )
    harness = make_harness([WORLD, world], applications={APPLICATION: PUBLIC})
    found = harness.run(ask, Application(APPLICATION, PRIVATE))
    assert [one.session_id for one in found] == [one.session_id for one in world.sessions]


def test_every_attempt_has_a_new_valid_token():
    transport = Scripted(data(summaries()))
    harness = make_harness(faults=Faults(script=("500", "reset", "503-html")))

    class Seen:
        async def send(self, request):
            transport.requests.append(request)
            return await harness.transport.send(request)

        async def aclose(self):
            pass

    harness.run(ask, transport=Seen())
    claims = claims_of(transport, header="x-opentok-auth", key=SECRET, algorithm="HS256")
    assert len({one["jti"] for one in claims}) == len(claims) == 4
    assert claims[0]["iat"] < claims[-1]["iat"]  # the back-off took seconds


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 11 * 3600.0, -11 * 3600.0])
def test_wrong_clock_is_corrected_after_one_refusal(ahead):
    """The tokens of a skewed clock are refused once (1011); the next ones use the server's date."""
    harness = make_harness(clock_skew=ahead)

    async def job(client):
        return [len(await ask(client)) for _ in range(3)]

    counts = harness.run(job)
    assert len(set(counts)) == 1
    assert harness.simulator.errors == {1011: 1}
    assert harness.requests.total() == 4


@pytest.mark.parametrize("code", [1001, 1011])
def test_rejected_token_is_renewed_once_without_delay(code):
    harness = make_harness()
    harness.simulator.fail_with(code)
    begin = harness.clock.now()
    assert len(harness.run(ask)) == len(IDS)
    assert harness.requests.total() == 2
    assert harness.clock.now() - begin < 1

    harness = make_harness()
    harness.simulator.fail_with(code, times=5)
    with pytest.raises(AuthenticationError, match=str(code)) as caught:
        harness.run(ask)
    assert harness.requests.total() == len(caught.value.trail) == 2


# ---- what cannot be used is refused at once


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ProjectKey("", SECRET), "api_key must consist of digits"),
        (lambda: ProjectKey("45000001\n", SECRET), "api_key must consist of digits"),
        (lambda: ProjectKey(APPLICATION, SECRET), "api_key must consist of digits"),
        (lambda: ProjectKey(KEY, " "), "secret is missing"),
        (lambda: Application(KEY, PRIVATE), "is not an application id"),
        (lambda: Application(APPLICATION, ""), "private_key is missing"),
        (lambda: AsyncOpenTok(ProjectKey(KEY, SECRET), base_url="http://insights.example"), "http"),
        (lambda: AsyncOpenTok(ProjectKey(KEY, SECRET), base_url="ftp://x"), "base"),
    ],
)
def test_invalid_credentials_are_refused(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_api_key_may_be_a_number():
    assert ProjectKey(45000001, SECRET).project_id == KEY


def test_error_of_an_invalid_private_key_does_not_show_it():
    harness = scripted(data(summaries()))
    with pytest.raises(ConfigurationError, match="private key cannot sign") as caught:
        harness.run(ask, credentials=Application(APPLICATION, "-----BEGIN nothing-----"))
    assert "BEGIN" not in str(caught.value)
    assert harness.transport.requests == []


def test_missing_pyjwt_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(ConfigurationError, match=r"agora-analytics\[opentok\]"):
        ProjectKey(KEY, SECRET).headers(NOW)


# ---- the environment


async def closing(client):
    async with client:
        return client.credentials, repr(client)


async def test_from_env_with_a_project():
    client = AsyncOpenTok.from_env({"OPENTOK_API_KEY": KEY, "OPENTOK_API_SECRET": SECRET})
    assert (await closing(client))[0] == ProjectKey(KEY, SECRET)


@pytest.mark.parametrize("how", ["text", "one line", "path"])
async def test_from_env_with_an_application(how, tmp_path):
    (tmp_path / "private.key").write_text(PRIVATE)
    named = {
        "text": PRIVATE,
        "one line": PRIVATE.replace("\n", "\\n"),
        "path": str(tmp_path / "private.key"),
    }[how]
    client = AsyncOpenTok.from_env({"VONAGE_APPLICATION_ID": APPLICATION, "VONAGE_PRIVATE_KEY": named})
    credentials, shown = await closing(client)
    assert credentials == Application(APPLICATION, PRIVATE)
    assert "tools.vonage.com" in shown


async def test_from_env_with_a_host_and_a_ledger(tmp_path):
    ledger = tmp_path / "ledger"
    client = AsyncOpenTok.from_env(
        {"OPENTOK_API_KEY": KEY, "OPENTOK_API_SECRET": SECRET, "OPENTOK_BASE_URL": "https://proxy.example",
         "AGORA_LEDGER": str(ledger)}
    )  # fmt: skip
    await client.quota()
    assert "https://proxy.example" in (await closing(client))[1]
    assert ledger.exists()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "OPENTOK_API_KEY, OPENTOK_API_SECRET"),
        ({"OPENTOK_API_KEY": KEY}, "OPENTOK_API_SECRET"),
        ({"VONAGE_APPLICATION_ID": APPLICATION}, "VONAGE_PRIVATE_KEY"),
        ({"VONAGE_APPLICATION_ID": APPLICATION, "VONAGE_PRIVATE_KEY": "not there"}, "cannot be read"),
    ],
)
def test_from_env_names_missing_variables(environment, words):
    with pytest.raises(ConfigurationError, match=words):
        AsyncOpenTok.from_env(environment)


# ---- secrets


def test_no_secret_in_any_log_event_or_error(caplog):
    caplog.set_level(logging.DEBUG)
    shown, secrets = [], [SECRET, "another0secret0of0forty0characters000000", PRIVATE.splitlines()[1], "eyJ"]
    for credentials in (
        ProjectKey(KEY, SECRET),
        ProjectKey(KEY, secrets[1]),
        Application(APPLICATION, PRIVATE),
    ):
        for faults in (Faults(), Faults(share=1.0)):
            harness = make_harness(faults=faults)
            shown.append(repr(credentials))

            async def job(client):
                shown.append(repr(client))
                return await ask(client)

            try:
                harness.run(job, credentials)
            except AgoraAnalyticsError as error:
                shown.append(f"{error!r} {error} {error.trail} {vars(error)}")
            shown.append(repr(harness.events))
            assert harness.events_of(ResponseReceived) or faults.share
            try:
                harness.run(job, credentials, observer=None)
            except AgoraAnalyticsError as error:
                shown.append(f"{error!r} {error}")
    everything = "\n".join([*shown, caplog.text])
    assert [secret for secret in secrets if secret in everything] == []
    assert KEY in everything
