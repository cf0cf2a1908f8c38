"""The views of scores: when they exist, and which conditions reach the files."""

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.store import duckdb_connection
from agora_analytics.store.layout import Layout
from agora_analytics.store.views import create_views, queries
from tests.insight.scored_calls import BEGIN, agora_samples, put_call


@pytest.fixture
def scored(store):
    for name in ("c0", "c1", "c2"):  # DuckDB drops a condition that the statistics of all files satisfy
        put_call(store, name, "room", BEGIN, list(agora_samples(1, [0] * 10)))
    return store


@pytest.mark.parametrize(
    "text",
    [
        "select count(*) from Interval_Scores",
        'select count(*) from "STREAM_SCORES"',
        "with s as (from stream_scores) select count(*) from s",
        "select count(*) from stream_scores join calls using (call_id)",
    ],
)
@pytest.mark.parametrize("allow", [None, []])
def test_query_can_use_the_views(scored, text, allow):
    ((count,),) = scored.sql(text, allow=allow).fetchall()
    assert count > 0


@pytest.mark.parametrize("text", ["show tables", "from duckdb_views()", "from information_schema.tables"])
def test_query_of_the_catalog_finds_the_views(scored, text):
    with duckdb_connection.connect() as connection:
        create_views(connection, queries(Layout(scored.path)), text)
        found = connection.sql(
            "select view_name from duckdb_views() where view_name like '%_scores'"
        ).fetchall()
    assert sorted(found) == [("interval_scores",), ("stream_scores",)]


def test_other_queries_do_not_pay_for_the_views(scored):
    relation = scored.sql("select count(*) from calls")
    with pytest.raises(InvalidRequest, match="interval_score"):
        scored.sql("from interval_score")
    assert relation.fetchall() == [(3,)]


@pytest.mark.parametrize("view", ["interval_scores", "stream_scores"])
def test_conditions_on_the_call_reach_the_files(scored, view):
    ((_, plan),) = scored.sql(f"explain from {view} where call_id = 'c1' and media = 'audio'").fetchall()
    assert plan.count("call_id = 'c1'") >= 2  # of the scans of metrics and of sessions
    assert "20011" not in plan
