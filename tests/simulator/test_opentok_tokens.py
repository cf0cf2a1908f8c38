"""Simulated OpenTok: tokens of projects and applications, checked by the server's clock."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agora_analytics.simulator import OpenTokWorld
from tests.simulator.insights_client import DAY, KEY, NOW, SECRET, connected, token

APPLICATION = "2bd6a0f4-9a1a-4c8b-8f7e-0c4a5b6d7e8f"
UNIFIED = "/video/insights-api/graphql"
QUERY = "{project(projectId: 45000001) {projectData(start: 0) {totalCount}}}"


def pair():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public.decode()


PRIVATE, PUBLIC = pair()


def bearer(key=PRIVATE, **claims):
    made = {"application_id": APPLICATION, "iat": NOW, "exp": NOW + 900, "jti": "a-uuid"} | claims
    return {"Authorization": f"Bearer {jwt.encode(made, key, 'RS256')}"}


async def answer(headers, path="/graphql", query=QUERY, **settings):
    async with connected(**settings) as client:
        return await client.http.post(path, json={"query": query}, headers=headers)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 1001),
        ({"Authorization": f"Bearer {token()}"}, 1001),  # the other vendor's header, at this one's address
        ({"X-OPENTOK-AUTH": "no token"}, 1011),
        ({"X-OPENTOK-AUTH": token(now=NOW - 180)}, 1011),
        ({"X-OPENTOK-AUTH": token(now=NOW + 60)}, 1011),
        ({"X-OPENTOK-AUTH": token(exp=None)}, 1011),
        ({"X-OPENTOK-AUTH": token("45000002")}, 1000),
        ({"X-OPENTOK-AUTH": token(secret="0" * 40)}, 1020),
        ({"X-OPENTOK-AUTH": token(secret="0" * 64, algorithm="HS512")}, 1020),
        ({"X-OPENTOK-AUTH": token(ist="account")}, 1021),
    ],
)
async def test_invalid_token_is_refused(headers, code):
    response = await answer(headers)
    assert response.status_code == 401
    assert response.json()["error"]["errorCode"] == code
    assert response.json().keys() == {"error"}


@pytest.mark.parametrize("claims", [{}, {"iss": int(KEY)}, {"jti": "a-nonce"}, {"exp": NOW + 3600}])
async def test_valid_tokens_of_a_project(claims):
    signed = jwt.PyJWS().encode(
        json.dumps(claims_of(claims)).encode(), SECRET, "HS256"
    )  # iss may be a number
    response = await answer({"X-OPENTOK-AUTH": signed})
    assert response.status_code == 200
    assert response.json()["data"]["project"]["projectData"]["totalCount"] == 1


def claims_of(claims):
    return {"iss": KEY, "ist": "project", "iat": NOW, "exp": NOW + 180} | claims


async def test_max_lifetime_bounds_tokens():
    headers = {"X-OPENTOK-AUTH": token(exp=NOW + 301)}
    assert (await answer(headers, max_lifetime=300)).json()["error"]["errorCode"] == 1011
    assert (await answer({"X-OPENTOK-AUTH": token(exp=NOW + 300)}, max_lifetime=300)).status_code == 200


async def test_token_times_are_checked_by_the_servers_clock():
    headers = {"X-OPENTOK-AUTH": token()}
    assert (await answer(headers, clock_skew=179)).status_code == 200
    late = await answer(headers, clock_skew=180)
    assert late.json()["error"]["errorCode"] == 1011
    assert late.headers["date"] == "Thu, 19 Nov 2026 12:03:00 GMT"
    assert (await answer(headers, clock_skew=-5)).status_code == 200
    assert (await answer(headers, clock_skew=-6)).json()["error"]["errorCode"] == 1011


async def test_unified_application_has_its_own_path_and_key():
    world = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW, project_id=APPLICATION)
    query = QUERY.replace(KEY, f'"{APPLICATION}"')
    known = {"world": world, "applications": {APPLICATION: PUBLIC}, "query": query}
    good = await answer(bearer(), UNIFIED, **known)
    assert good.json() == {"data": {"project": {"projectData": {"totalCount": 1}}}}
    for headers, code in (
        (bearer(pair()[0]), 1020),
        (bearer(exp=NOW), 1011),
        (bearer(application_id=APPLICATION.replace("2", "3")), 1000),
    ):
        assert (await answer(headers, UNIFIED, **known)).json()["error"]["errorCode"] == code
    assert (await answer(bearer(), "/graphql", **known)).json()["error"]["errorCode"] == 1001


async def test_token_is_valid_for_its_own_project_only():
    two = OpenTokWorld.generate(since=NOW - 9 * DAY, until=NOW, project_id="45000002")
    projects = {KEY: SECRET, "45000002": "2" * 40}
    response = await answer({"X-OPENTOK-AUTH": token("45000002", "2" * 40)}, world=two, projects=projects)
    assert (response.status_code, response.json()["error"]["errorCode"]) == (401, 1019)


async def test_secrets_are_not_in_repr():
    async with connected() as client:
        assert SECRET not in repr(vars(client.sim))
