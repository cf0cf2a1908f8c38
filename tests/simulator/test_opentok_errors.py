"""Simulated OpenTok: every error code of the vendor and its format."""

import pytest

from agora_analytics.opentok import spec as facts
from agora_analytics.simulator.opentok import Rules
from agora_analytics.simulator.opentok.execution import schema
from agora_analytics.simulator.opentok.rules import MESSAGES
from tests.simulator.insights_client import DAY, NOW, SESSIONS, WORLD, connected

PROJECT = "{project(projectId: 45000001) {projectData(%s) {totalCount}}}"
SUMMARIES = "{project(projectId: 45000001) {sessionData {sessionSummaries(%s) {totalCount}}}}"
ID = WORLD.sessions[-1].session_id
MEETINGS = (
    "{project(projectId: 45000001) {"
    f'sessionData {{sessions(sessionIds: ["{ID}"]) {{resources {{meetings%s {{totalCount}}}}}}}}'
    "}}"
)


@pytest.mark.parametrize(
    ("code", "query"),
    [
        (1002, PROJECT % "start: 1795000000, end: 1795000000"),
        (1002, PROJECT % 'start: "yesterday"'),
        (1002, SUMMARIES % f"start: {NOW - 21 * DAY - 1}"),
        (1002, SUMMARIES % f"start: {NOW - DAY}, end: {NOW - 2 * DAY}"),
        (1002, MEETINGS % f"(start: {NOW - 22 * DAY})"),
        (1003, PROJECT % "start: 0, interval: [DAILY, WEEKLY]"),
        (1004, "{project(projectId: 45000001) {nothing}}"),
        (1004, "{project(projectId: 45000001) {"),
        (1005, PROJECT % "start: 0, sessions: 1"),
        (1005, PROJECT % "start: 0, first: 0"),
        (1006, PROJECT % 'start: 0, first: "10"'),
        (1007, PROJECT % 'start: 0, sdkVersion: "2.27"'),
        (1008, '{project(projectId: "mine") {sessionData {__typename}}}'),
        (1009, PROJECT % 'start: 0, endCursor: "10"'),
        (1009, PROJECT % 'start: 0, endCursor: "aW5zaWdodHM6MTA="'),  # insights:10
        (1010, PROJECT % 'start: 0, endCursor: ["a"]'),
        (1013, PROJECT % "end: 0"),
        (1013, "{project {sessionData {__typename}}}"),
        (1015, "{project(projectId: 45000009) {sessionData {__typename}}}"),
        (1017, MEETINGS.replace(ID, ID[:-1]) % ""),
        (1018, MEETINGS.replace(f'"{ID}"', "") % ""),
        (1022, PROJECT % "start: true"),
        (1022, PROJECT % "start: 0, interval: HOURLY"),
    ],
)
async def test_invalid_query_has_its_error_code(code, query):
    async with connected() as client:
        assert await client.codes(query) == [code]
        assert client.sim.errors == {code: 1}


async def test_missing_or_mistyped_variable_has_its_error_code():
    query = "query($start: Date!) {project(projectId: 45000001) {projectData(start: $start) {totalCount}}}"
    async with connected() as client:
        assert await client.codes(query) == [1013]
        assert await client.codes(query, start=[1]) == [1010]
        assert await client.codes(query, start={"day": 1}) == [1022]
        assert (await client.project(query, start=0))["projectData"]["totalCount"] == 1


async def test_error_has_code_message_and_location():
    async with connected() as client:
        response = await client.ask("{\n  project(projectId: 0.5) {sessionData {__typename}}}")
        assert response.status_code == 400  # not valid: nothing is executed
        response = await client.ask('{\n  project(projectId: "") {sessionData {__typename}}}')
    assert response.status_code == 200
    assert response.json() == {  # the guide's own example
        "data": {"project": None},
        "errors": [
            {
                "message": "You must provide a valid project ID.",
                "locations": [{"line": 2, "column": 3}],
                "path": ["project"],
                "errorCode": 1008,
            }
        ],
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'"{project}"', b"{", b'{"query": 1}', b'{"query": ""}', b"{}"])
async def test_body_without_a_query_is_refused(body):
    async with connected() as client:
        headers = {"X-OPENTOK-AUTH": "", "content-type": "application/json"}
        assert (await client.http.post("/graphql", content=body, headers=headers)).status_code == 401
        headers = client.headers()
        response = await client.http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["errorCode"] == 1004


async def test_only_json_by_post_is_accepted():
    async with connected() as client:
        form = await client.http.post(
            "/graphql", data={"query": "{}"}, headers=client.headers(content_type=None)
        )
        assert (form.status_code, form.json()["errors"][0]["errorCode"]) == (400, 1004)
        assert (await client.http.get("/graphql", headers=client.headers())).status_code == 404


async def test_session_data_needs_the_add_on():
    async with connected(rules=Rules(add_on=False)) as client:
        assert await client.codes(MEETINGS % "") == [1014]
        assert (await client.project(PROJECT % "start: 0"))["projectData"]["totalCount"] == 1


@pytest.mark.parametrize("code", MESSAGES)
async def test_every_code_can_be_injected_in_both_formats(code):
    async with connected() as client:
        client.sim.fail_with(code)
        client.sim.fail_with(code, at="sessionData")
        first, second, third = [await client.ask(MEETINGS % "") for _ in range(3)]
    assert first.status_code == 401
    assert first.json() == {"error": {"errorCode": code, "message": MESSAGES[code]}}
    assert second.status_code == 200
    assert second.json()["data"] == {"project": {"sessionData": None}}
    assert [(error["errorCode"], error["path"]) for error in second.json()["errors"]] == [
        (code, ["project", "sessionData"])
    ]
    assert "errors" not in third.json()


async def test_field_error_keeps_the_other_fields():
    fields = "{resources {sessionId meetings {totalCount resources {publishers {totalCount}}}}}"
    async with connected() as client:
        client.sim.fail_with(1012, at="meetings")
        answer = (await client.ask(SESSIONS % fields, ids=[s.session_id for s in WORLD.sessions[-2:]])).json()
    first, second = answer["data"]["project"]["sessionData"]["sessions"]["resources"]
    assert first == {"sessionId": WORLD.sessions[-2].session_id, "meetings": None}
    assert second["meetings"]["totalCount"] > 0
    assert [error["errorCode"] for error in answer["errors"]] == [1012]


async def test_unknown_sessions_can_give_a_partial_list():
    ids = ["1_gone", WORLD.sessions[-1].session_id]
    async with connected(rules=Rules(missing="partial")) as client:
        answer = (await client.ask(SESSIONS % "{totalCount resources {sessionId}}", ids=ids)).json()
    assert answer["data"]["project"]["sessionData"]["sessions"] == {
        "totalCount": 2,
        "resources": [None, {"sessionId": ids[1]}],
    }
    (error,) = answer["errors"]
    assert (error["errorCode"], error["path"][-1]) == (1017, 0)


async def test_introspection_needs_the_rule():
    query = "{__schema {queryType {name}}}"
    async with connected() as client:
        assert (await client.ask(query)).status_code == 400
    async with connected(rules=Rules(introspection=True)) as client:
        assert (await client.ask(query)).json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}


def test_facts_of_the_client_match_the_schema():
    assert facts.ERRORS.keys() == MESSAGES.keys()
    for enum in (facts.Interval, facts.GroupBy, facts.SdkType, facts.Browser):
        assert set(enum) == set(schema().type_map[enum.__name__].values)


async def test_unknown_code_cannot_be_injected():
    async with connected() as client:
        with pytest.raises(ValueError, match="1000 to 1022"):
            client.sim.fail_with(999)
