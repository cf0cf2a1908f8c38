"""Input that JSON or GraphQL cannot represent is refused before a request; repeated input counts once."""

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.graphql_query import string
from tests.opentok.harness import IDS, make_harness
from tests.opentok.test_listings import expected_samples, sample_rows

HALF = "a\ud800"
QUERY = (
    "query($ids: [String]!) { project(projectId: 45000001) { sessionData { sessions(sessionIds: $ids) { "
    "resources { sessionId } } } } }"
)
ENDLESS = []
ENDLESS.append(ENDLESS)
DEEP = []
for _ in range(100_000):  # how deep is too deep depends on the Python: about 1,000 in 3.11, 10,000 in 3.13
    DEEP = [DEEP]

REFUSED = {
    "half a character": lambda c: c.sessions(HALF),
    "half a character in a list": lambda c: c.stream_stats(["a", HALF]),
    "half a character in a meeting": lambda c: c.meetings("a", meeting_id=HALF),
    "half a character in a filter": lambda c: c.project_data("3d", region=["CA", HALF]),
    "an id that is a number": lambda c: c.sessions([1]),
    "half a character in a variable": lambda c: c.query(QUERY, {"ids": [HALF]}),
    "half a character in a query": lambda c: c.query(QUERY + HALF),
    "an object": lambda c: c.query(QUERY, {"ids": [object()]}),
    "a list without end": lambda c: c.query(QUERY, {"ids": ENDLESS}),
    "a list that is too deep": lambda c: c.query(QUERY, {"ids": DEEP}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_without_a_json_form_are_refused_locally(name):
    harness = make_harness()

    async def job(client):
        asked = REFUSED[name](client)
        await (asked.collect() if hasattr(asked, "collect") else asked)

    with pytest.raises(InvalidRequest, match=r"not a string|half of a surrogate|as JSON|not GraphQL"):
        harness.run(job)
    assert harness.requests.total() == 0


MISSPELT = {
    "no field 'usage.hlsMinuts'; did you mean 'usage.hlsMinutes'": lambda c: c.project_data(
        "3d", fields=["usage.hlsMinuts"]
    ),
    "no interval 'DAYLY'; did you mean 'DAILY'": lambda c: c.project_data("3d", interval="DAYLY"),
    "no group_by 'COUNTRI'; did you mean 'COUNTRY'": lambda c: c.project_data("3d", group_by="COUNTRI"),
    "no sdk_type 'ANDROIT'; did you mean 'ANDROID'": lambda c: c.project_data(
        "3d", sdk_type=["JS", "ANDROIT"]
    ),
    "no browser 'CROME'; did you mean 'CHROME'": lambda c: c.project_data("3d", browser="CROME"),
    "no field 'totalStrems'": lambda c: c.session_summaries("3d", fields=["totalStrems"]),
    "no field 'contry'": lambda c: c.connections("s", fields=["contry"]),
    "no field 'stream.videotype'": lambda c: c.publishers("s", fields=["stream.videotype"]),
    "no field 'audioBitrate'": lambda c: c.stream_stats("s", fields=["audioBitrate"]),
    "pass publisher, subscriber, or both; did you mean 'publisher'": lambda c: c.stream_stats(
        "s", roles="publishr"
    ),
}


@pytest.mark.parametrize("said", MISSPELT)
def test_misspelt_name_takes_no_request(said):
    harness = make_harness()

    async def job(client):
        await MISSPELT[said](client).collect()

    with pytest.raises(InvalidRequest, match=said):
        harness.run(job)
    assert harness.requests.total() == 0


def test_character_outside_the_basic_plane_is_accepted():
    assert string("\U0001f600") == '"\\ud83d\\ude00"'


@pytest.mark.parametrize("roles", ["publisher", ["publisher", "publisher"]])
def test_repeated_role_counts_once(roles):
    found = make_harness().run(lambda client: client.stream_stats(IDS[0], roles=roles).collect())
    wanted = expected_samples(roles=("publisher",), keep=lambda session, _: session.session_id == IDS[0])
    assert sample_rows(found) == wanted


def test_repeated_field_is_one_column():
    pytest.importorskip("pyarrow")
    name = "usage.hlsMinutes"
    table = make_harness().run(lambda client: client.project_data("9d", fields=[name, name]).to_arrow())
    assert table.column_names.count(name) == 1
