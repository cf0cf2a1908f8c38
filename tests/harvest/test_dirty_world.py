"""Harvests of a dirty world: every readable row is stored, and the report names the others."""

import pytest

from agora_analytics.simulator import DIRT_KINDS, Dirt
from tests.conftest import partly_slow
from tests.harvest.harness import make_harness, simple_world

WORLD = simple_world(20, interval=120)
KINDS = [kind for kind in DIRT_KINDS if kind != "gzip-bomb"]
ROWS = {
    "calls": "select call_id from calls",
    "sessions": "select call_id, sid from sessions",
    "metrics": "select call_id, sid, mid, peer_uid, epoch(ts)::bigint from metrics",
}


def rows(harness):
    return {table: sorted(harness.tables.sql(query).fetchall()) for table, query in ROWS.items()}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The rows of a clean harvest, and its requests."""
    harness = make_harness(WORLD, tmp_path_factory.mktemp("clean"))
    harness.harvest()
    return rows(harness), harness.requests


def readable(clean_rows, unreadable):
    """Return the rows of a clean harvest without those that the simulator made unreadable."""
    lost = {
        endpoint: {tuple(key.split("/")) for name, key in unreadable if name == endpoint}
        for endpoint in ("call/lists", "call/sessions", "call/metrics")
    }
    calls = {key[0].split()[0] for key in lost["call/lists"]}
    sessions = {key[0].split()[0] for key in lost["call/sessions"]}
    series = {tuple(key) for key in lost["call/metrics"]}
    kept_calls = [row for row in clean_rows["calls"] if row[0] not in calls]
    kept_sessions = [row for row in clean_rows["sessions"] if row[0] not in calls and row[1] not in sessions]
    points = [
        row
        for row in clean_rows["metrics"]
        if row[0] not in calls
        and row[1] not in sessions
        and (row[1],) not in series
        and (row[1], f"{row[2]} {row[3]}") not in series
    ]
    return {"calls": kept_calls, "sessions": kept_sessions, "metrics": points}


def outermost(unreadable):
    """Return the unreadable records without those inside another one, such as the series of a lost session."""
    return {
        (name, key)
        for name, key in unreadable
        if "/" not in key or (name, key.partition("/")[0]) not in unreadable
    }


def check(harness, clean):
    clean_rows, clean_requests = clean
    report = harness.harvest()
    seen = harness.simulator.seen
    assert rows(harness) == readable(clean_rows, seen.unreadable)
    assert len(report.unreadable) == len(outermost(seen.unreadable))
    assert harness.requests <= clean_requests  # Counter: at most as many to each endpoint
    assert report.left == 0
    # A page with records that could not be read is requested once more, in case the server is well again.
    later = harness.harvest()
    assert later.requests in ({}, {"call/lists": 1})
    assert (later.unreadable, later.unreadable_before) == ((), len(report.unreadable))
    return seen


@pytest.mark.parametrize("kind", partly_slow(KINDS, 5))
def test_one_kind_of_dirt(kind, clean, tmp_path):
    harness = make_harness(WORLD, tmp_path, dirt=Dirt(share=0.2, kinds=(kind,), seed=3))
    assert check(harness, clean).dirt[kind] > 0


@pytest.mark.parametrize("seed", partly_slow(range(4), 1))
def test_every_kind_of_dirt_at_once(seed, clean, tmp_path):
    harness = make_harness(WORLD, tmp_path, dirt=Dirt(share=0.1, seed=seed))
    assert len(check(harness, clean).dirt) > 10
