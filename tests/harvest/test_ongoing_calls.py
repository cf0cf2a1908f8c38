"""An ongoing call over several runs, with interruptions, another plan, and data that leaves the retention."""

import asyncio
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attrs import define, evolve

from agora_analytics.agora.plans import ENTERPRISE, STANDARD
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.errors import StoreError
from agora_analytics.harvest import estimate, harvest
from agora_analytics.harvest.call_fetcher import CallFetcher
from agora_analytics.simulator import DEMO_APP_ID, World
from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.store.parquet_writer import StoreWriter
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import slow
from tests.harvest.harness import UNTIL as NOW
from tests.harvest.harness import contents, make_harness, truth

HOUR, DAY = 3600, 86_400


def world(created, destroyed, *sessions):
    """Return a world with one call; each session is (join, leave)."""
    members = tuple(
        SessionTruth(sid=f"s{i:04d}", uid=str(1000 + i), join_ts=int(join), leave_ts=int(leave), key=i + 1)
        for i, (join, leave) in enumerate(sessions or [(created, destroyed)] * 3)
    )
    call = CallTruth(
        call_id="call",
        cname="room",
        created_ts=int(created),
        destroyed_ts=int(destroyed),
        sessions=members,
        extra={"call_acu": len(members)},
    )
    return World((call,), timing=SampleTiming(interval=60, gap_share=0, null_share=0, max_series=4))


def at(project, store, now, plan=ENTERPRISE, *, metrics_a_day=None, **more):
    if metrics_a_day is not None:
        few = evolve(plan.limits["call/metrics"], per_day=metrics_a_day)
        plan = evolve(plan, limits={**plan.limits, "call/metrics": few})
    return make_harness(project, store, plan=plan, now=now, **more)


def run(harness, ago):
    now = harness.clock.now()
    return harness.harvest(since=now - ago, until=now)


def by_hour(harness, since):
    hour = f"(epoch(ts)::bigint - {since:.0f}) // 3600"
    return dict(harness.tables.sql(f"select {hour}, count(*) from metrics group by all").fetchall())


def samples(files):
    """Return the keys of all samples in files of metrics."""
    rows = pa.concat_tables(pq.ParquetFile(path).read(["sid", "mid", "peer_uid", "ts"]) for path in files)
    return set(zip(*(column.to_pylist() for column in rows.columns), strict=True))


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.mark.parametrize("hours", [1, 5])
def test_full_disk_while_publishing_a_snapshot_loses_no_sample(store, monkeypatch, hours):
    """The metrics are published, the call's row is not: the next run must replace them."""
    project = world(
        NOW - 2 * HOUR, NOW + 600, *[(NOW - 2 * HOUR, NOW + 600)] * 3, *[(NOW + 300, NOW + 600)] * 2
    )
    harness = at(project, store, NOW)
    original = StoreWriter._write

    def full(self, app_id, target, table, rows, notes=None):
        if "/calls/" in str(target) and "_pending" not in str(target):
            raise StoreError("cannot write: no space left")
        return original(self, app_id, target, table, rows, notes)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "_write", full)
        with pytest.raises(StoreError, match="no space"):
            run(harness, 3 * HOUR)
    assert harness.tables.counts()["metrics"] > 0
    harness.clock.step(hours * HOUR)
    assert run(harness, 8 * HOUR).complete
    assert contents(harness.tables) == truth(project, NOW + DAY)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())


@pytest.mark.parametrize("plans", [(STANDARD, ENTERPRISE), (ENTERPRISE, STANDARD), (STANDARD, STANDARD)])
@pytest.mark.parametrize("metrics_a_day", [1, *map(slow, (2, 4))])
def test_call_interrupted_by_the_quota_is_completed_under_another_plan(store, plans, metrics_a_day):
    project = world(NOW - 14 * HOUR, NOW - 600, *[(NOW - 14 * HOUR, NOW - 600)] * 5)
    first = run(at(project, store, NOW, plans[0], metrics_a_day=metrics_a_day), 15 * HOUR)
    harness = at(project, store, NOW + 1000, plans[1])
    assert run(harness, 15 * HOUR).complete
    assert contents(harness.tables) == truth(project, NOW)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())
    assert first.calls + first.left == 1


@pytest.mark.parametrize("plans", [(STANDARD, ENTERPRISE), (ENTERPRISE, STANDARD)])
@pytest.mark.parametrize("ended", [True, False])
def test_snapshot_is_extended_under_another_plan(store, plans, ended):
    project = world(NOW - 8 * HOUR, NOW + (2 if ended else 9) * HOUR)
    assert run(at(project, store, NOW, plans[0]), 9 * HOUR).ongoing == 1
    harness = at(project, store, NOW + 6 * HOUR, plans[1])
    assert run(harness, 10 * HOUR).ongoing == (not ended)
    if not ended:
        harness = at(project, store, NOW + 10 * HOUR, plans[0])
        run(harness, 3 * HOUR)
    assert contents(harness.tables) == truth(project, NOW + DAY)


def test_published_rows_outside_the_retention_are_kept(store):
    began = NOW - 40 * 60
    early, late = [(began, NOW - 300)] * 15, [(began, NOW + 20 * HOUR)] * 12
    project = world(began, NOW + 20 * HOUR, *early, *late)
    harness = at(project, store, NOW + 10, STANDARD)
    run(harness, DAY - 100)
    before = by_hour(harness, began)
    harness.clock.step(DAY)
    assert run(harness, DAY - 100).complete
    after = by_hour(harness, began)
    assert all(after[hour] >= count for hour, count in before.items())
    counts = harness.tables.counts()
    assert (counts["calls"], counts["sessions"]) == (1, 27)
    # samples of 5 minutes and 10 seconds, between the end of the first run's reach and the start of the second's
    unreachable = 12 * 4 * 6
    assert truth(project, NOW + DAY)["points"] - counts["metrics"] <= unreachable


def test_pending_samples_outside_the_retention_are_kept(store):
    project = world(NOW - 26 * HOUR, NOW - 4 * HOUR)
    first = run(at(project, store, NOW - 3.5 * HOUR, STANDARD, metrics_a_day=12), DAY - 100)
    assert (first.calls, first.left) == (0, 1)
    stored = samples(store.glob("_pending/metrics/*/*/*"))
    harness = at(project, store, NOW + 900, STANDARD)
    second = run(harness, DAY - 100)
    assert second.complete
    assert stored <= samples(harness.tables.files("metrics"))
    assert harness.tables.counts()["metrics"] <= first.points + second.points
    contents(harness.tables)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())


@pytest.mark.slow
def test_ongoing_call_is_fetched_incrementally(store):
    began = NOW - 10 * DAY
    project = world(began, NOW + DAY, *[(began, NOW + DAY)] * 100)
    harness = at(project, store, NOW)
    assert run(harness, DAY).requests == {"call/lists": 1, "call/sessions": 40, "call/metrics": 200}
    for _ in range(3):
        harness.clock.step(1800)
        requests = run(harness, DAY).requests
        assert (requests["call/sessions"], requests["call/metrics"]) == (1, 5)
    harness.clock.step(2 * DAY)
    run(harness, 2 * DAY)
    assert contents(harness.tables) == truth(project, NOW + 3 * DAY)


def test_recently_seen_ongoing_call_is_not_fetched_again(store):
    project = world(NOW - HOUR, NOW + HOUR)
    harness = at(project, store, NOW)
    run(harness, DAY)
    harness.clock.step(60)
    report = run(harness, DAY)
    assert (report.calls, report.requests) == (0, {"call/lists": 1})
    assert report.complete
    harness.clock.step(600)
    assert run(harness, DAY).ongoing == 1
    harness.clock.step(2 * HOUR)
    run(harness, DAY)
    assert contents(harness.tables) == truth(project, NOW + DAY)


def test_estimate_of_an_ongoing_call_counts_only_new_data(store):
    began = NOW - 3 * DAY
    harness = at(world(began, NOW + DAY, *[(began, NOW + DAY)] * 40), store, NOW)
    run(harness, DAY)
    harness.clock.step(1800)
    now = harness.clock.now()
    cost = harness.run(partial(estimate, since=now - DAY, until=now, store=store))
    spent = run(harness, DAY).requests
    assert {name: cost.requests[name] for name in spent} == spent


@define
class Ahead:
    """A local clock that is ahead of the server."""

    clock: VirtualClock
    seconds: float

    def now(self):
        return self.clock.now() + self.seconds


@pytest.mark.parametrize("ahead", [slow(60), 120, slow(3600)])
@pytest.mark.parametrize("ongoing", [True, False])
def test_local_clock_ahead_loses_no_sample_of_an_ongoing_call(store, ahead, ongoing):
    project = world(NOW - 2 * HOUR, NOW + (10 * HOUR if ongoing else -30))
    harness = at(project, store, NOW)
    harness.run(partial(harvest, since=NOW - 3 * HOUR, until=NOW, store=store))
    harness.clock.step(10)
    wrong = partial(harvest, since=NOW - 3 * HOUR, until="now", store=store)
    harness.run(wrong, clock=Ahead(harness.clock, ahead))
    harness.clock.step(12 * HOUR)
    assert run(harness, DAY).complete
    assert contents(harness.tables) == truth(project, NOW + DAY)


@pytest.mark.parametrize("ongoing", [True, False])
def test_delayed_fetch_does_not_replace_newer_rows(store, monkeypatch, ongoing):
    begin = NOW - DAY + 900
    end = NOW + 4 * HOUR if ongoing else NOW - 600
    project = world(begin, end, *[(begin, begin + 1200)] * 3, *[(begin, end)] * 3)
    harness = at(project, store, NOW, STANDARD)
    original = CallFetcher.fetch

    async def job():
        async with harness.client() as slow, harness.client() as quick:

            async def late(self, call):
                if self.client is slow:
                    await asyncio.sleep(HOUR)
                return await original(self, call)

            monkeypatch.setattr(CallFetcher, "fetch", late)
            running = asyncio.ensure_future(harvest(slow, since=NOW - DAY + 600, store=store, compact=False))
            await asyncio.sleep(5)
            await harvest(quick, since=NOW - DAY + 600, store=store, compact=False)
            counts = harness.tables.counts()
            await running
            return counts

    before = run_virtual(job(), harness.clock)
    after = harness.tables.counts()
    assert before["sessions"] == after["sessions"] == 6
    assert after["metrics"] >= before["metrics"]
    contents(harness.tables)


@pytest.mark.parametrize("delay", [120, *map(slow, (60, 170, 250))])
@pytest.mark.slow
def test_overlapping_runs_store_an_ongoing_call_once(store, delay):
    project = world(NOW - 40 * HOUR, NOW + 30, *[(NOW - 40 * HOUR, NOW + 30)] * 90)
    harness = at(project, store, NOW, latency=(20, 25))  # so that fetching a call takes minutes

    async def run_harvest(client):
        now = harness.clock.now()
        return await harvest(client, since=now - DAY, until=now, store=store)

    async def job():
        ledger = MemoryLedger()
        async with harness.client(ledger=ledger) as first, harness.client(ledger=ledger) as second:
            running = asyncio.ensure_future(run_harvest(first))
            await asyncio.sleep(delay)
            return [await run_harvest(second), await running]

    for report in run_virtual(job(), harness.clock):
        assert all("another harvest" in skipped.reason for skipped in report.skipped)
    harness.clock.step(HOUR)
    assert run(harness, 2 * DAY).complete
    assert contents(harness.tables) == truth(project, NOW + DAY)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())
