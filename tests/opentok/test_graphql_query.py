"""Queries as data: literals, node counts, page sizes; every query that can be built matches the schema."""

import json

import pytest
from graphql import parse, print_ast
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok import (
    CONNECTION,
    DISTRIBUTIONS,
    ERRORS,
    PARTICIPANTS,
    QUALITY,
    STATS,
    STREAM,
    USAGE,
    graphql_query,
    query_builders,
)
from agora_analytics.opentok.graphql_query import (
    PAGE_BUDGET,
    Field,
    collection,
    count_nodes,
    fit_pages,
    leaf_fields,
    next_page_query,
)
from agora_analytics.opentok.query_builders import MeetingFilter
from agora_analytics.opentok.spec import (
    MOST_MEETINGS,
    MOST_OTHERS,
    NODE_LIMIT,
    Browser,
    GroupBy,
    Interval,
    SdkType,
)
from agora_analytics.simulator.opentok.node_count import count_nodes as counted_by_the_simulator
from tests.opentok.harness import KEY, SCHEMA, schema_errors

APPLICATION = "5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1"
WINDOW = Window(1_795_000_000, 1_795_086_399)
PARTS = [
    MeetingFilter(),
    MeetingFilter(since=1_795_000_000.25),
    MeetingFilter(until=1_795_000_000.0),
    MeetingFilter(since=1.0, until=2.0, meeting_id='a"b\\{}'),
]
INNER = {
    "meetings": (),
    "connections": (query_builders.participant_fields("connection", CONNECTION),),
    "publishers": (query_builders.participant_fields("publisher", STREAM),),
    "subscribers": (query_builders.participant_fields("subscriber", STREAM),),
    "samples sent": (query_builders.sample_fields("publisher", STATS),),
    "samples": tuple(query_builders.sample_fields(role, STATS) for role in ("publisher", "subscriber")),
}
ALL_FIELDS = (*USAGE, *PARTICIPANTS, *QUALITY, *DISTRIBUTIONS, *ERRORS)


def text_of(query: Field) -> str:
    return query.text().removeprefix("query ")


def collections_of(field: Field, here=()):
    """Yield every collection of a query with its path, the outer ones first."""
    if field.members is not None:
        yield here, field
    for inner in field.inner:
        yield from collections_of(inner, (*here, inner.key))


def with_pages(query: Field):
    """Yield a query and the queries for further pages of each of its lists."""
    whole = fit_pages(query, PAGE_BUDGET)
    yield whole
    came = {path: 2 for path, _ in collections_of(whole)}
    for path, _ in collections_of(whole):
        above = [path[:i] for i in range(len(path)) if path[:i] in came]
        yield next_page_query(whole, path, {path: "c=1"}, came)
        yield next_page_query(whole, path, {one: f'c"{i}' for i, one in enumerate([*above, path])}, came)


# ---- every query that can be built is one of the schema's


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(("project_id", "minutes"), [(KEY, False), (APPLICATION, True)])
def test_session_queries_match_the_schema(project_id, minutes, inner):
    queries = [
        query_builders.sessions_query(project_id, ["a", 'b"}'], part, *INNER[inner], minutes=minutes)
        for part in PARTS
    ]
    for query in queries:
        whole, *further = with_pages(query)
        assert counted_by_the_simulator(parse(text_of(whole)), {}) == 1 + count_nodes(whole)
        for one in (whole, *further):
            assert schema_errors(text_of(one)) == []
            assert counted_by_the_simulator(parse(text_of(one)), {}) <= 1 + count_nodes(one) <= PAGE_BUDGET


@pytest.mark.parametrize("minutes", [False, True])
def test_summary_queries_match_the_schema(minutes):
    for one in with_pages(
        query_builders.summaries_query(KEY, start=WINDOW.start, end=WINDOW.end, minutes=minutes)
    ):
        assert schema_errors(text_of(one)) == []


@pytest.mark.slow
@given(
    interval=st.sampled_from([None, *Interval]),
    group_by=st.lists(st.sampled_from(GroupBy), unique=True),
    sdks=st.lists(st.sampled_from(SdkType)),
    browsers=st.lists(st.sampled_from(Browser)),
    countries=st.lists(st.sampled_from(["US", "GB"])),
    texts=st.lists(st.text()),
    fields=st.lists(st.sampled_from(ALL_FIELDS), min_size=1, unique=True),
    end=st.sampled_from([None, 1_795_086_400.0]),
)
def test_project_data_queries_match_the_schema(
    interval, group_by, sdks, browsers, countries, texts, fields, end
):
    query = query_builders.project_data_query(
        KEY,
        fields,
        start=0,
        end=end,
        interval=interval,
        group_by=group_by,
        enum_filters={"sdkType": sdks, "browser": browsers, "country": countries},
        text_filters={"sdkVersion": texts, "region": texts, "browserVersion": texts},
    )
    for one in with_pages(query):
        assert schema_errors(text_of(one)) == []


def test_field_constants_cover_the_schema():
    """Usage, quality and errors of a row, including the histograms."""

    def leaves(kind, path):
        fields = getattr(kind, "fields", None)
        return (
            [path]
            if fields is None
            else [leaf for name in fields for leaf in leaves(fields[name].type, f"{path}.{name}")]
        )

    metric = SCHEMA.type_map["Metric"].fields
    known = [leaf for name in ("usage", "quality", "errors") for leaf in leaves(metric[name].type, name)]
    assert sorted(known) == sorted(ALL_FIELDS)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [("Interval", Interval), ("GroupBy", GroupBy), ("SdkType", SdkType), ("Browser", Browser)],
)
def test_enumerations_match_the_schema(kind, ours):
    assert set(SCHEMA.type_map[kind].values) == set(ours)


# ---- no string of the caller's reaches a query unescaped


@given(st.text())
def test_string_literal_round_trip(value):
    (field,) = parse(f"{{f(a: {graphql_query.string(value)})}}").definitions[0].selection_set.selections
    (argument,) = field.arguments
    assert argument.value.value == value


@given(st.lists(st.text(), min_size=1, max_size=5, unique=True), st.text())
def test_ids_are_escaped(ids, meeting_id):
    query = query_builders.sessions_query(KEY, ids, MeetingFilter(meeting_id=meeting_id))
    document_ = parse(text_of(query))
    assert schema_errors(text_of(query)) == []
    printed = print_ast(document_)
    assert printed.count("sessions(") == 1
    sessions = (
        document_.definitions[0]
        .selection_set.selections[0]
        .selection_set.selections[0]
        .selection_set.selections[0]
    )
    asked = next(one for one in sessions.arguments if one.name.value == "sessionIds")
    assert [one.value for one in asked.value.values] == ids


@pytest.mark.parametrize("value", ["", "us", "US)", "A B", "1A", "_", "Ä", "US\n", 'U"S', "{"])
def test_invalid_enum_value_is_refused(value):
    with pytest.raises(InvalidRequest, match="enum value"):
        graphql_query.enum_value(value)


def test_undocumented_enum_values_are_accepted():
    assert graphql_query.enum_list(["CAPTIONS", SdkType.JS]) == "[CAPTIONS, JS]"


@pytest.mark.parametrize("value", ["", "a b", "1a", "a-b", "é", "a\n", "a(b: 1)", "usage.", ".usage", "a..b"])
def test_invalid_field_is_refused(value):
    with pytest.raises(InvalidRequest, match="is not a field name"):
        leaf_fields(value or "")


@pytest.mark.parametrize(
    ("project_id", "literal"),
    [
        ("45000001", "45000001"),
        (APPLICATION, f'"{APPLICATION}"'),
        (APPLICATION.upper(), f'"{APPLICATION.upper()}"'),
    ],
)
def test_project_id_is_a_number_or_a_string(project_id, literal):
    assert graphql_query.project(project_id) == literal


@pytest.mark.parametrize(
    "project_id", ["", "-1", "1.5", "٣", "45 1", "1) {x}", APPLICATION[:-1], APPLICATION + "\n"]
)
def test_invalid_project_id_is_refused(project_id):
    with pytest.raises(InvalidRequest, match="is not a project"):
        graphql_query.project(project_id)


def test_nested_leaf_fields_are_merged():
    (field,) = leaf_fields("stream.streamId", "stream.videoType")
    assert field.text() == "stream { streamId videoType }"


# ---- the node budget

TREES = st.recursive(
    st.builds(lambda first: collection("streamStatsCollection", Field("createdAt"), **first), st.just({})),
    lambda inner: st.builds(
        lambda kind, lists: collection(kind, Field("createdAt"), *lists),
        st.sampled_from(["sessions", "meetings", "publishers"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@given(tree=TREES, budget=st.integers(200, NODE_LIMIT))
def test_pages_are_as_large_as_the_node_budget_allows(tree, budget):
    root = Field("query", (tree,))
    if count_nodes(graphql_query._cap_pages(root, 1)) >= budget:
        with pytest.raises(InvalidRequest, match="fewer lists"):
            fit_pages(root, budget)
        return
    made = fit_pages(root, budget)
    assert count_nodes(made) < budget
    firsts = {field.name: field.first for _, field in collections_of(made)}
    assert all(
        1 <= first <= (MOST_MEETINGS if name == "meetings" else MOST_OTHERS) for name, first in firsts.items()
    )
    assert all("first" in field.arguments for _, field in collections_of(made))
    cap = max(firsts.values())
    if cap > MOST_MEETINGS and cap < MOST_OTHERS:  # the next larger page size would exceed the budget
        larger = graphql_query._cap_pages(root, cap * 2)
        assert count_nodes(larger) >= budget


def test_node_count_of_the_support_article():
    stats = collection("streamStatsCollection", first="50")
    publishers = collection("publishers", stats, first="50")
    assert (
        1 + count_nodes(collection("sessions", collection("meetings", publishers, first="10"), first="2"))
        == 51_023
    )


def test_default_page_sizes_exceed_the_node_limit():
    stats = collection("streamStatsCollection")
    query = Field("query", (collection("sessions", collection("meetings", collection("publishers", stats))),))
    assert count_nodes(query) > NODE_LIMIT
    assert count_nodes(fit_pages(query)) < NODE_LIMIT


def test_query_that_exceeds_the_budget_is_refused():
    field = collection("streamStatsCollection", Field("createdAt"))
    with pytest.raises(InvalidRequest, match="even with pages of one"):
        fit_pages(Field("query", (field,) * 10), 5)


def test_page_size_of_the_caller_is_kept_if_it_fits():
    made = fit_pages(
        Field("query", (collection("publishers", first="7"), collection("meetings", first="99")))
    )
    assert [field.first for _, field in collections_of(made)] == [7, 10]


def test_query_survives_json_encoding():
    query = query_builders.sessions_query(KEY, ["ä\u2028\ud83d\ude00"], MeetingFilter())
    assert json.loads(json.dumps({"query": text_of(query)}))["query"] == text_of(query)
