"""Every error code of the vendor, and the shape that it comes in."""

import pytest

from agora_analytics.opentok import spec as facts
from agora_analytics.simulator.opentok import Rules
from agora_analytics.simulator.opentok.graph import schema
from agora_analytics.simulator.opentok.refusals import MESSAGES
from tests.simulator.opentok_stage import DAY, NOW, SESSIONS, WORLD, asking

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
async def test_a_query_that_is_wrong(code, query):
    async with asking() as asker:
        assert await asker.codes(query) == [code]
        assert asker.sim.errors == {code: 1}


async def test_a_mandatory_variable_that_is_missing_or_of_another_type():
    query = "query($start: Date!) {project(projectId: 45000001) {projectData(start: $start) {totalCount}}}"
    async with asking() as asker:
        assert await asker.codes(query) == [1013]
        assert await asker.codes(query, start=[1]) == [1010]
        assert await asker.codes(query, start={"day": 1}) == [1022]
        assert (await asker.project(query, start=0))["projectData"]["totalCount"] == 1


async def test_an_error_has_its_code_beside_its_message_and_its_place():
    async with asking() as asker:
        response = await asker.ask("{\n  project(projectId: 0.5) {sessionData {__typename}}}")
        assert response.status_code == 400  # not valid: nothing is executed
        response = await asker.ask('{\n  project(projectId: "") {sessionData {__typename}}}')
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
async def test_a_body_that_is_no_query(body):
    async with asking() as asker:
        headers = {"X-OPENTOK-AUTH": "", "content-type": "application/json"}
        assert (await asker.http.post("/graphql", content=body, headers=headers)).status_code == 401
        headers = asker.headers()
        response = await asker.http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["errorCode"] == 1004


async def test_only_json_is_taken_and_only_by_post():
    async with asking() as asker:
        form = await asker.http.post(
            "/graphql", data={"query": "{}"}, headers=asker.headers(content_type=None)
        )
        assert (form.status_code, form.json()["errors"][0]["errorCode"]) == (400, 1004)
        assert (await asker.http.get("/graphql", headers=asker.headers())).status_code == 404


async def test_without_the_add_on_there_are_project_data_only():
    async with asking(rules=Rules(add_on=False)) as asker:
        assert await asker.codes(MEETINGS % "") == [1014]
        assert (await asker.project(PROJECT % "start: 0"))["projectData"]["totalCount"] == 1


@pytest.mark.parametrize("code", MESSAGES)
async def test_every_code_comes_on_demand_in_both_shapes(code):
    async with asking() as asker:
        asker.sim.fail_with(code)
        asker.sim.fail_with(code, at="sessionData")
        first, second, third = [await asker.ask(MEETINGS % "") for _ in range(3)]
    assert first.status_code == 401
    assert first.json() == {"error": {"errorCode": code, "message": MESSAGES[code]}}
    assert second.status_code == 200
    assert second.json()["data"] == {"project": {"sessionData": None}}
    assert [(error["errorCode"], error["path"]) for error in second.json()["errors"]] == [
        (code, ["project", "sessionData"])
    ]
    assert "errors" not in third.json()


async def test_what_can_be_answered_comes_beside_the_error():
    fields = "{resources {sessionId meetings {totalCount resources {publishers {totalCount}}}}}"
    async with asking() as asker:
        asker.sim.fail_with(1012, at="meetings")
        answer = (await asker.ask(SESSIONS % fields, ids=[s.session_id for s in WORLD.sessions[-2:]])).json()
    first, second = answer["data"]["project"]["sessionData"]["sessions"]["resources"]
    assert first == {"sessionId": WORLD.sessions[-2].session_id, "meetings": None}
    assert second["meetings"]["totalCount"] > 0
    assert [error["errorCode"] for error in answer["errors"]] == [1012]


async def test_sessions_that_are_not_there_can_leave_the_others_alone():
    ids = ["1_gone", WORLD.sessions[-1].session_id]
    async with asking(rules=Rules(missing="partial")) as asker:
        answer = (await asker.ask(SESSIONS % "{totalCount resources {sessionId}}", ids=ids)).json()
    assert answer["data"]["project"]["sessionData"]["sessions"] == {
        "totalCount": 2,
        "resources": [None, {"sessionId": ids[1]}],
    }
    (error,) = answer["errors"]
    assert (error["errorCode"], error["path"][-1]) == (1017, 0)


async def test_the_schema_is_not_shown_unless_it_may_be():
    query = "{__schema {queryType {name}}}"
    async with asking() as asker:
        assert (await asker.ask(query)).status_code == 400
    async with asking(rules=Rules(introspection=True)) as asker:
        assert (await asker.ask(query)).json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}


def test_the_facts_that_the_client_has_are_those_of_the_schema():
    assert facts.ERRORS.keys() == MESSAGES.keys()
    for enum in (facts.Interval, facts.GroupBy, facts.SdkType, facts.Browser):
        assert set(enum) == set(schema().type_map[enum.__name__].values)


async def test_a_code_that_is_none_is_refused_at_once():
    async with asking() as asker:
        with pytest.raises(ValueError, match="1000 to 1022"):
            asker.sim.fail_with(999)
