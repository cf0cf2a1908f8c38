"""Every form of a query that GraphQL allows: each list is complete, and no member is repeated."""

import pytest

from agora_analytics.errors import InvalidRequest
from tests.opentok.harness import IDS, WORLD, make_harness, schema_errors

HEAD = "project(projectId: 45000001) { sessionData { sessionSummaries(start: 1793800000, first: 2)"
ITS_OWN = "sessionSummaries(start: 1793800000, first: 2)"
WHOLE = {
    "selected twice": f"{{ {HEAD} {{ resources {{ sessionId }} }} {ITS_OWN} {{ resources {{ mediaMode }} }} }} }} }}",
    "selected in a fragment too": f"{{ {HEAD} {{ resources {{ sessionId }} }} ...F }} }} }}"
    f" fragment F on SessionData {{ {ITS_OWN} {{ resources {{ mediaMode }} }} }}",
    "members selected twice": f"{{ {HEAD} {{ resources {{ sessionId }} resources {{ mediaMode }} }} }} }} }}",
    "page information under another name": f"{{ {HEAD} {{ info: pageInfo {{ hasNextPage }} resources {{ sessionId mediaMode }} }} }} }} }}",
    "only the cursor": f"{{ {HEAD} {{ pageInfo {{ endCursor }} resources {{ sessionId mediaMode }} }} }} }} }}",
    "only whether there is more": f"{{ {HEAD} {{ pageInfo {{ hasNextPage }} resources {{ sessionId mediaMode }} }} }} }} }}",
    "page information under other names": f"{{ {HEAD} {{ pageInfo {{ more: hasNextPage at: endCursor }} resources {{ sessionId mediaMode }} }} }} }} }}",
    "in an inline fragment": f"{{ {HEAD} {{ ... {{ resources {{ ... on SessionSummary {{ sessionId mediaMode }} }} }} }} }} }} }}",
    "the type's name": f"{{ {HEAD} {{ __typename resources {{ __typename sessionId mediaMode }} }} }} }} }}",
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_form_of_a_list_is_complete(name):
    query = WHOLE[name]
    assert schema_errors(query) == []
    harness = make_harness()
    result = harness.run(lambda client: client.query(query))
    found = result.data["project"]["sessionData"]["sessionSummaries"]["resources"]
    assert [(one["sessionId"], one["mediaMode"]) for one in found] == [
        (one.session_id, one.media_mode) for one in WORLD.sessions
    ]
    assert result.problems == []
    assert harness.requests.total() == 2


@pytest.mark.parametrize("skipped", [True, False])
@pytest.mark.parametrize(
    "fragment",
    [
        "... @skip(if: $skipped) { mediaMode }",
        "...Mode @skip(if: $skipped)",
        "... @skip(if: $skipped) { ...Mode }",
        "... @include(if: true) { mediaMode @skip(if: $skipped) }",
    ],
)
def test_directives_of_a_fragment_apply_to_its_fields(fragment, skipped):
    mode = " fragment Mode on SessionSummary { mediaMode }" if "...Mode" in fragment else ""
    query = f"query($skipped: Boolean!) {{ {HEAD} {{ resources {{ sessionId {fragment} }} }} }} }} }}{mode}"
    assert schema_errors(query) == []
    result = make_harness().run(lambda client: client.query(query, {"skipped": skipped}))
    found = result.data["project"]["sessionData"]["sessionSummaries"]["resources"]
    assert [one["sessionId"] for one in found] == IDS
    assert {"mediaMode" in one for one in found} == {not skipped}


REFUSED = {
    "resources cannot have an alias": f"{{ {HEAD} {{ items: resources {{ sessionId }} }} }} }} }}",
    "sessionSummaries is selected in two ways": f"{{ {HEAD} {{ resources {{ sessionId }} }}"
    " sessionSummaries(start: 1793800000, first: 3) { resources { mediaMode } } } } }",
    "pageInfo is selected in two ways": f"{{ {HEAD} {{ pageInfo @include(if: false) {{ endCursor }} resources {{ sessionId }} }} }} }} }}",
    "have the same directive": f"{{ {HEAD} {{ resources {{ ... @skip(if: true) {{ sessionId @skip(if: false) }} }} }} }} }} }}",
}


@pytest.mark.parametrize("message", REFUSED)
def test_conflicting_selections_are_refused(message):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=message):
        harness.run(lambda client: client.query(REFUSED[message]))
    assert harness.requests.total() == 0
