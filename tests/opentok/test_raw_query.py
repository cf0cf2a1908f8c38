"""Raw queries: examples of the guide, pages at every level, variables, fragments, aliases; invalid queries."""

import pytest

from agora_analytics.engine.events import PartialResponse
from agora_analytics.errors import BadRequest, ConfigurationError, InvalidRequest
from agora_analytics.opentok import ProjectKey
from agora_analytics.opentok.raw_query import parse_query
from agora_analytics.opentok.spec import NODE_LIMIT
from agora_analytics.simulator import OpenTokWorld
from tests.opentok.harness import DAY, IDS, KEY, NOW, WORLD, make_harness, schema_errors
from tests.simulator.test_opentok_guide import EXAMPLES, LAST_PAGE, SECRETS, lists
from tests.simulator.test_opentok_guide import world as guide_world

HEAD = "{ project(projectId: 45000001) { sessionData { "


def answer_of(harness, query, variables=None, **settings):
    return harness.run(lambda client: client.query(query, variables), **settings)


# ---- the guide


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_guide_are_complete(name):
    now, query = EXAMPLES[name]
    harness = make_harness(guide_world(now), now=now, projects=SECRETS)
    result = answer_of(harness, query, credentials=ProjectKey("12345678", SECRETS["12345678"]))
    assert result.problems == []
    assert (result.meta.status, result.meta.host) == (200, "https://insights.opentok.com")
    found = list(lists(result.data))
    assert found
    assert all(found), "a list is empty"
    for one in collections(result.data):
        assert one["pageInfo"]["hasNextPage"] is False
        assert len(one["resources"]) == one.get("totalCount", len(one["resources"]))


def collections(answer):
    """Yield every list with its page information, at any depth."""
    if isinstance(answer, dict):
        if "resources" in answer:
            yield answer
        for value in answer.values():
            yield from collections(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from collections(value)


def test_last_page_of_the_guide():
    now, _ = EXAMPLES["first page"]
    harness = make_harness(guide_world(now), now=now, projects=SECRETS)
    result = answer_of(harness, LAST_PAGE % "DAILY", credentials=ProjectKey("12345678", SECRETS["12345678"]))
    rows = result.data["project"]["projectData"]["resources"]
    assert 0 < len(rows) <= 5  # after the cursor


# ---- pages


def test_lists_with_a_small_first_are_complete():
    made = OpenTokWorld.generate(
        seed=7, since=NOW - 2 * DAY, until=NOW - DAY, sessions=3, meetings=(12, 12), connections=(3, 3), samples=4,
        minutes=(1.0, 2.0), peers=1,
    )  # fmt: skip
    harness = make_harness(made)
    query = """query Everything($ids: [String]!, $n: Int = 2, $project: IntOrString!) {
      them: project(projectId: $project) { ...Deep } }
    fragment Deep on Project { sessionData { sessions(sessionIds: $ids, first: $n) { resources { id: sessionId
      meetings(first: 3) { totalCount resources { when: createdAt ... on Meeting { connections(first: 1) { resources {
        connectionId mine: publishers(first: 1) { resources { stream { streamId }
          streamStatsCollection(first: 3) { resources { createdAt } } } } } } } } } } } } }"""
    assert schema_errors(query) == []
    ids = [session.session_id for session in made.sessions]
    result = answer_of(harness, query, {"ids": ids, "n": 1, "project": 45000001})
    assert result.problems == []
    sessions = result.data["them"]["sessionData"]["sessions"]["resources"]
    assert [one["id"] for one in sessions] == ids
    for session, true in zip(sessions, made.sessions, strict=True):
        meetings = session["meetings"]["resources"]
        assert len(meetings) == session["meetings"]["totalCount"] == 12
        for meeting, true_meeting in zip(meetings, true.meetings, strict=True):
            people = meeting["connections"]["resources"]
            assert [one["connectionId"] for one in people] == [
                one.connection_id for one in true_meeting.connections
            ]
            for person in people:
                streams = [
                    one.stream.stream_id
                    for one in true_meeting.publishers
                    if one.connection_id == person["connectionId"]
                ]
                assert [one["stream"]["streamId"] for one in person["mine"]["resources"]] == streams
                for one in person["mine"]["resources"]:
                    assert len(one["streamStatsCollection"]["resources"]) == 4
    assert (
        result.meta.attempts == harness.requests.total() == 6
    )  # the first page of a list has the requested size, the next one is larger


def test_query_above_the_node_limit_is_paginated():
    inner = "subscribers { resources { streamStatsCollection { resources { createdAt } } } }"
    query = f"{HEAD} sessionSummaries(start: 1793800000) {{ resources {{ sessionId }} }} "
    query += f"sessions(sessionIds: $ids) {{ resources {{ meetings {{ resources {{ publishers {{ resources {{ {inner} }} }} }} }} }} }} }} }} }}"
    harness = make_harness()
    result = answer_of(harness, f"query($ids: [String]!) {query}", {"ids": IDS})
    assert result.problems == []
    assert len(result.data["project"]["sessionData"]["sessionSummaries"]["resources"]) == len(IDS)
    found = sum(
        len(sub["streamStatsCollection"]["resources"])
        for session in result.data["project"]["sessionData"]["sessions"]["resources"]
        for meeting in session["meetings"]["resources"]
        for publisher in meeting["publishers"]["resources"]
        for sub in publisher["subscribers"]["resources"]
    )
    assert found == WORLD.totals("subscribers", NOW - 300).samples
    assert 1 < harness.simulator.nodes < NODE_LIMIT


def test_aliased_lists_with_different_arguments():
    query = (
        f'{HEAD} a: sessions(sessionIds: ["{IDS[0]}"]) {{ resources {{ sessionId }} }} '
        f'b: sessions(sessionIds: ["{IDS[1]}"]) {{ resources {{ sessionId }} }} }} }} }}'
    )
    data = answer_of(make_harness(), query).data["project"]["sessionData"]
    assert [data[name]["resources"][0]["sessionId"] for name in "ab"] == IDS[:2]


def test_next_pages_send_only_the_variables_they_use():
    query = f"""query($start: Date!, $names: Boolean = true, $ids: [String]!) {HEAD}
      sessionSummaries(start: $start, first: 2) {{ resources {{ sessionId @include(if: $names) }} }}
      sessions(sessionIds: $ids, first: 1) @skip(if: $names) {{ resources {{ sessionId }} }} }} }} }}"""
    harness = make_harness()
    result = answer_of(harness, query, {"start": 1793800000, "ids": IDS})
    found = result.data["project"]["sessionData"]
    assert [one["sessionId"] for one in found["sessionSummaries"]["resources"]] == IDS
    assert "sessions" not in found
    assert [sorted(body["variables"]) for body in harness.transport.bodies] == [["ids", "start"], ["start"]]


def test_variables_are_sent_unchanged():
    harness = make_harness()
    with pytest.raises(Exception, match="1017"):
        answer_of(
            harness,
            f"query($ids: [String]!) {HEAD} sessions(sessionIds: $ids) {{ totalCount }} }} }} }}",
            {"ids": ['"}']},
        )
    assert harness.transport.bodies[0]["variables"] == {"ids": ['"}']}


def test_errors_with_data_are_reported():
    harness = make_harness()
    harness.simulator.fail_with(1016, at="meetings")
    result = answer_of(
        harness,
        f"{HEAD} sessionSummaries(start: 1793800000) {{ resources {{ sessionId meetings {{ resources {{ createdAt }} }} }} }} }} }} }}",
    )
    assert [one.code for one in result.problems] == [1016]
    assert result.data["project"]["sessionData"]["sessionSummaries"]["resources"][0]["meetings"] is None
    assert [event.code for event in harness.events_of(PartialResponse)] == [1016]
    assert KEY not in repr(result.problems)


# ---- what is no query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "not GraphQL"),
        ("{ a", "not GraphQL"),
        ("{ ...Missing }", "fragment Missing"),
        ("{ ...A } fragment A on B { ...A }", "fragment A"),
        ("{ a } { b }", "pass one query"),
        ("mutation { a }", "pass one query"),
        ("subscription { a }", "pass one query"),
        ("fragment A on B { c }", "pass one query"),
    ],
)
def test_invalid_query_is_refused_before_a_request(query, words):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=words):
        answer_of(harness, query)
    assert harness.requests.total() == 0


def test_undefined_variable_is_refused():
    with pytest.raises(InvalidRequest, match=r"no variable \$nobody"):
        parse_query("query($a: Int) { b(c: $a) }", {"a": 1, "nobody": 2})


def test_missing_graphql_core_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "graphql", None)
    with pytest.raises(ConfigurationError, match=r"agora-analytics\[opentok\]"):
        parse_query("{ a }", {})


def test_unknown_field_is_refused_by_the_server():
    from agora_analytics.engine.transports.asgi import AsgiTransport

    harness = make_harness()
    with pytest.raises(BadRequest, match="1004"):
        harness.run(
            lambda client: client.query("{ project(projectId: 45000001) { nothing } }"),
            transport=AsgiTransport(harness.simulator.app),
        )
