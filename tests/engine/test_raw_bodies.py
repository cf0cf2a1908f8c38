"""The body of a response is freed as soon as it is decoded, unless the client keeps it."""

import tracemalloc

import pytest
from attrs import evolve

from agora_analytics.engine.pages import Page
from tests.conftest import harness_of, ok, response

SIZE = 4_000_000
CALL = {"call_id": "c", "cname": "r", "created_ts": 1, "destroyed_ts": 2, "finished": True}
SERIES = {"mid": 20001, "peer_uid": 0, "kvs": [[1, 2]]}
LISTINGS = {
    "agora": (ok(call_lists=[CALL], total_size=1), lambda client: client.calls("1h")),
    "agora metrics": (
        ok(metrics=[{"sid": "s", "data": [SERIES]}]),
        lambda client: client.metrics("c", "2h", "119m", sids=["s"]),
    ),
    "beta": (ok(call_lists=[CALL], total_size=1), lambda client: client.calls("1h")),
    "signaling": (ok(result="success", messages=[]), lambda client: client.history("u", "c")),
    "apsaravideo": (
        response({"RequestId": "r", "Nodes": [], "Summary": "1"}),
        lambda client: client.interaction_metrics("m", "1h"),
    ),
}


def listed(case, **settings):
    """Return the pages of a listing whose response has 4 MB, and the bytes that they keep in memory."""
    answer, listing = LISTINGS[case]

    async def job(client):
        return [page async for page in listing(client).pages()]

    def run():
        large = lambda _: evolve(answer, body=answer.body + b" " * SIZE)  # noqa: E731
        return harness_of(case.split()[0]).scripted(large).run(job, **settings)

    run()  # imports what the client imports at the first use
    tracemalloc.start()
    try:
        pages = run()
        return pages, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", LISTINGS)
def test_body_is_freed_unless_it_is_kept(case):
    if case == "agora metrics":
        pytest.importorskip("numpy")
    pages, kept = listed(case)
    assert [page.raw for page in pages] == [None]
    assert kept < SIZE / 4
    pages, kept = listed(case, keep_raw=True)
    assert len(pages[0].raw) > SIZE
    assert kept > SIZE


def test_page_without_a_body_can_be_created():
    assert Page(records=[], meta=None).raw is None
