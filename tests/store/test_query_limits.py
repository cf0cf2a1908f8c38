"""Limits of the queries of a block: time and memory."""

import threading

import duckdb
import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.store import open_store, query_limits
from agora_analytics.store.query_limits import QueryLimits, limited_queries
from agora_analytics.store.stream import fetch, reader

ENDLESS = "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range < 0"


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True)


def setting(store, name):
    return fetch(store, f"select current_setting('{name}')", lambda relation: relation.fetchall(), [])[0][0]


@pytest.mark.parametrize("read", ["fetchall", "to_arrow_table"])
def test_query_is_stopped_when_the_time_is_up(store, read):
    with (
        pytest.raises(InvalidRequest, match=r"stopped after 0.1 s; select fewer days") as caught,
        limited_queries(QueryLimits(seconds=0.1)),
    ):
        fetch(store, ENDLESS, lambda relation: getattr(relation, read)(), [])
    assert isinstance(caught.value.__cause__.__cause__, duckdb.InterruptException)


def test_interrupt_between_two_queries_stops_the_next(store):
    """DuckDB forgets an interrupt that arrives while no query runs."""

    def begin_late():
        while not query_limits._watched.get().is_late:
            threading.Event().wait(0.01)
        reader(store)(ENDLESS)

    with pytest.raises(InvalidRequest, match="stopped"), limited_queries(QueryLimits(seconds=0.05)):
        begin_late()


def test_other_errors_within_the_time_are_unchanged(store):
    with pytest.raises(InvalidRequest, match="the query is wrong"), limited_queries(QueryLimits(seconds=60)):
        reader(store)("select no_such_column from calls")


def test_limits_of_memory_and_of_temporary_files_end_with_the_block(store):
    before = setting(store, "memory_limit")
    with limited_queries(QueryLimits(seconds=60, memory="300MB", temporary_files="500MB")):
        assert setting(store, "memory_limit") == "286.1 MiB"
        assert setting(store, "max_temp_directory_size") == "476.8 MiB"
    assert setting(store, "memory_limit") == before


def test_threads_have_limits_of_their_own(store):
    found = []
    with limited_queries(QueryLimits(seconds=60, memory="300MB")):
        other = threading.Thread(target=lambda: found.append(setting(store, "memory_limit")))
        other.start()
        other.join()
        assert [setting(store, "memory_limit")] != found


def test_query_that_needs_more_memory_is_refused(store):
    query = (
        "select count(*) from (select range, random() r from range(5000000) order by r, range limit 4000000)"
    )
    limits = QueryLimits(seconds=60, memory="5MB", temporary_files="1MB")
    with pytest.raises(Exception, match=r"[Oo]ut of [Mm]emory"), limited_queries(limits):
        fetch(store, query, lambda relation: relation.fetchall(), [])
