"""Stores that are empty, lack a table, are compacted meanwhile, are in a bucket, or disappear."""

import shutil

import pytest

from agora_analytics.store import open_store

from .stored_world import SUPPORT_APP, put, support_calls

CALLS = ("list_calls", {"app_id": SUPPORT_APP, "channel": "standup"})
ROUND_TRIPS = ("sql", {"query": "select count(*), sum(value) from quality where metric = 'round_trip_time'"})


def results(*calls):
    """Return a coroutine function that makes tool calls and returns their contents, or the texts of errors."""

    async def make(client):
        made = [await client.call_tool(tool, arguments) for tool, arguments in calls]
        return [each.content[0].text if each.is_error else each.structured_content for each in made]

    return make


@pytest.fixture
def finished(tmp_path):
    """A store of calls that have all ended, so that their day can be compacted."""
    store, support = open_store(tmp_path / "store", create=True, durable=False), support_calls()
    for call in support.calls:
        put(store, support, call | {"finished": True})
    return store


def test_empty_store_has_no_data_and_says_so(tmp_path, with_server):
    store = open_store(tmp_path / "empty", create=True)
    tools = ("coverage", "list_calls", "score", "schema")
    calls = (*((tool, {}) for tool in tools), ("report", {"since": "2026-11-01"}))
    coverage, calls, scores, schema, report = with_server(store, results(*calls))
    assert (coverage["sources"], coverage["days"]) == ([], [])
    assert (calls["calls"], calls["total"], scores["rows"]) == ([], 0, [])
    assert len(schema["tables"]) == len(store.tables)
    assert "the store is empty" in report


def test_store_without_samples_still_has_calls(finished, with_server):
    shutil.rmtree(finished.path / "metrics")
    calls, samples, why = with_server(
        finished, results(CALLS, ROUND_TRIPS, ("why", {"call_id": "sup-1", "user": "7"}))
    )
    assert [call["call_id"] for call in calls["calls"]] == ["sup-7", "sup-2", "sup-1"]
    assert samples["rows"] == [[0, None]]
    assert why["cause"] == "unknown"


def test_compaction_and_new_calls_are_seen_by_a_running_server(finished, with_server):
    async def use(client):
        before = await results(CALLS, ROUND_TRIPS)(client)
        report = finished.writer.compact(closed_before="2026-11-22")
        after = await results(CALLS, ROUND_TRIPS)(client)
        more = support_calls()
        more.add("sup-9", "standup", 1_795_255_200, [("7", "Ann", "WiFi")])
        put(finished, more, more.calls[-1])
        return report.compacted, before, after, await results(CALLS)(client)

    compacted, before, after, (more,) = with_server(finished, use)
    assert len(compacted) == 1
    assert before == after
    assert [call["call_id"] for call in more["calls"]] == ["sup-9", "sup-7", "sup-2", "sup-1"]


def test_damaged_file_is_named_without_the_path_of_the_store(finished, with_server):
    (file, *_) = finished.files("metrics")
    file.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    (text,) = with_server(finished, results(ROUND_TRIPS))
    assert "damaged" in text
    assert "<store>/metrics/" in text
    assert str(finished.path.parent) not in text


def test_store_that_disappears_is_an_error_or_empty(finished, with_server):
    async def use(client):
        shutil.rmtree(finished.path)
        return await results(CALLS)(client)

    (found,) = with_server(finished, use)
    assert found == {"calls": [], "total": 0} or str(finished.path) not in found


def test_bucket_has_the_same_answers(s3, support, with_server):
    bucket, rows = open_store(f"{s3.url}/calls", create=True), support_calls()
    for call in rows.calls:
        put(bucket, rows, call)
    bucket.writer.commit()
    read_file = ("sql", {"query": "select * from read_text('/etc/passwd')"})
    calls = results(CALLS, ROUND_TRIPS, ("list_users", {"call_id": "sup-6", "limit": 2}), read_file)
    assert with_server(bucket, calls) == with_server(support, calls)
