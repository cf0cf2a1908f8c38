"""Harvests of calls: everything is stored exactly once, at the plan's rate limits."""

import random
from functools import partial

import anyio
import pytest

from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.harvest import harvest
from agora_analytics.simulator import DEMO_APP_ID, Faults, SampleTiming, World
from agora_analytics.testing import run_virtual
from tests.harvest.stage import (
    SINCE,
    UNTIL,
    Stage,
    broken_limits,
    contents,
    fewest_requests,
    make_call,
    simple_world,
    truth,
)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_two_thousand_calls_with_the_fewest_requests_near_the_rate_limit(store):
    world = simple_world(2_000, interval=300)
    stage = Stage.of(world, store)

    report = stage.harvest()

    assert contents(stage.tables) == truth(world, UNTIL)
    assert not broken_limits(stage.simulator)
    fewest = fewest_requests(world)
    for name, requests in report.requests.items():
        assert requests <= fewest[name] * 1.03
    assert report.seconds <= max(fewest.values()) / 10 * 1.15
    assert report.complete


def test_calls_with_every_quirk_are_complete(store):
    world = World.generate(
        seed=3,
        since=SINCE,
        until=UNTIL,
        calls=120,
        interval=60,
        long_share=0.05,
        big_share=0.02,
        ongoing_share=0.0,
    )
    stage = Stage.of(world, store, at=UNTIL + 2 * 86_400)

    report = stage.harvest()

    assert contents(stage.tables) == truth(world, UNTIL + 86_400)
    assert not broken_limits(stage.simulator)
    assert report.complete
    assert report.calls == len(world.calls)


def test_faults_do_not_change_the_tables(store):
    world = simple_world(300)
    stage = Stage.of(world, store, faults=Faults(share=0.05, seed=5))

    report = stage.harvest()

    assert contents(stage.tables) == truth(world, UNTIL)
    assert not broken_limits(stage.simulator)
    assert stage.simulator.seen.faults.total() > 15
    assert report.complete


def test_stored_calls_are_not_fetched_again(store):
    stage = Stage.of(simple_world(30), store)
    stage.harvest()
    sent = stage.simulator.seen.requests.total()

    report = stage.harvest()

    assert stage.simulator.seen.requests.total() == sent
    assert (report.calls, report.known_before) == (0, 30)


@pytest.mark.parametrize("held", ["call/sessions", "call/metrics"])
def test_overtaken_harvest_stores_nothing_twice(store, held):
    """A second harvest stores and compacts everything while a response of the first one is held back."""
    world = simple_world(40)
    stage = Stage.of(world, store)
    overtaken = anyio.Event()

    class Slow(AsgiTransport):
        async def send(self, request):
            if held in request.url:
                await overtaken.wait()
            return await super().send(request)

    async def job():
        ledger = MemoryLedger()
        slow = stage.client(ledger=ledger, transport=Slow(stage.simulator.app))
        async with slow, stage.client(ledger=ledger) as quick, anyio.create_task_group() as group:
            group.start_soon(partial(harvest, slow, since=SINCE, until=UNTIL, store=store))
            await anyio.sleep(2)
            await harvest(quick, since=SINCE, until=UNTIL, store=store)
            assert len(stage.tables.files("metrics")) == 1  # compacted
            overtaken.set()

    run_virtual(job(), stage.clock)
    assert contents(stage.tables) == truth(world, UNTIL)
    assert not any(stage.tables.units(DEMO_APP_ID).pending.values())


def test_wider_range_fetches_only_new_calls(store):
    world = simple_world(100)
    stage = Stage.of(world, store)
    noon = SINCE + 43_200
    stage.harvest(until=noon)

    report = stage.harvest()

    assert contents(stage.tables) == truth(world, UNTIL)
    fewest = fewest_requests(world)
    assert stage.simulator.seen.requests["call/sessions"] == fewest["call/sessions"]
    assert stage.simulator.seen.requests["call/metrics"] == fewest["call/metrics"]
    assert report.known_before + report.calls == 100


def test_listing_is_bisected_until_all_calls_are_shown(store):
    world = simple_world(250)
    stage = Stage.of(world, store, hidden_after=60)

    report = stage.harvest()

    assert contents(stage.tables) == truth(world, UNTIL)
    assert report.calls == 250


@pytest.mark.parametrize("ahead", [30, 600, 3_600, 2 * 86_400])
def test_local_clock_ahead_does_not_mark_the_future_as_listed(store, ahead):
    """A window is recorded as listed only up to the server's time, so the next run lists the rest."""
    world = simple_world(300, interval=300)
    stage = Stage.of(world, store, at=SINCE + 43_200)

    class Ahead:
        def now(self):
            return stage.clock.now() + ahead

    async def until_now(client):
        return await harvest(client, since=SINCE, store=store)

    first = stage.run(until_now, clock=Ahead())
    listed_until = stage.tables.listings(DEMO_APP_ID)[-1].end
    stage.clock.step(86_400)
    stage.run(until_now)

    assert 0 < first.calls < 300
    assert first.window.end == listed_until < SINCE + 43_200 < first.window.end + 60
    assert contents(stage.tables) == truth(world, UNTIL)


def test_too_recent_calls_are_counted_and_fetched_by_the_next_run(store):
    world = simple_world(40)
    last = max(call.destroyed_ts for call in world.calls)
    # after the delay of lists, before the delay of sessions and metrics
    stage = Stage.of(world, store, at=last + 60.5)

    first = stage.harvest()
    stage.clock.step(120)
    second = stage.harvest()

    assert first.too_recent > 0
    assert first.calls + second.calls == 40
    assert contents(stage.tables) == truth(world, UNTIL)


def test_calls_that_begin_during_a_run_do_not_make_it_incomplete(store):
    world = simple_world(2_000, interval=300)
    stage = Stage.of(world, store, at=SINCE + 43_200)

    reports = []
    for _ in range(3):
        now = stage.clock.now()
        reports.append(stage.harvest(since=now - 1_800, until=now))
        stage.clock.step(600)

    delay = stage.simulator.plan.limits["call/metrics"].delay
    begun = sum(now - delay <= call.created_ts <= now - 20 for call in world.calls)
    assert begun > 0
    assert reports[-1].too_recent >= begun
    assert [report.skipped for report in reports] == [(), (), ()]
    assert all(report.complete for report in reports)


def test_ongoing_calls_are_stored_as_snapshots_and_fetched_again(store):
    world = World.generate(
        seed=5,
        since=SINCE,
        until=UNTIL,
        calls=60,
        interval=60,
        long_share=0.04,
        ongoing_share=0.2,
        quirks=False,
    )
    stage = Stage.of(world, store, at=UNTIL + 200)

    first = stage.harvest()
    snapshot = contents(stage.tables)
    stage.clock.step(4 * 3600)
    second = stage.harvest()

    assert first.ongoing == second.calls - second.ongoing > 5
    assert second.ongoing == 0
    assert 0 < snapshot["points"] < contents(stage.tables)["points"]
    assert contents(stage.tables) == truth(world, UNTIL + 4 * 3600)
    assert stage.tables.sql("select count(*) from calls where not finished").rows() == [(0,)]


def test_just_stored_snapshot_is_not_fetched_again_at_once(store):
    world = World.generate(
        seed=5, since=SINCE, until=UNTIL, calls=20, interval=60, ongoing_share=0.2, quirks=False
    )
    stage = Stage.of(world, store, at=UNTIL + 200)
    stage.harvest()
    sent = stage.simulator.seen.requests.total()

    stage.harvest()

    assert stage.simulator.seen.requests.total() == sent


def test_calls_longer_than_the_retention_survive_faults(store):
    world = World([make_call("long", UNTIL - 72_000, UNTIL + 200_000)], timing=SampleTiming(interval=600))
    stage = Stage.of(world, store, plan="standard", at=UNTIL, faults=Faults(share=0.3, seed=5))

    for _ in range(60):
        now = stage.clock.now()
        stage.harvest(since=now - 86_000, until=now)
        stage.clock.step(1_800)

    assert stage.simulator.seen.faults.total() > 50
    assert stage.tables.calls(DEMO_APP_ID)["destroyed_ts"][0].as_py().timestamp() > UNTIL + 100_000


def test_call_that_ended_outside_the_retention_costs_no_requests(store):
    world = World([make_call("short", UNTIL - 7_200, UNTIL + 600)], timing=SampleTiming(interval=60))
    stage = Stage.of(world, store, plan="standard", at=UNTIL)
    stage.harvest(since=UNTIL - 72_000, until=UNTIL)
    stage.clock.step(2 * 86_400)

    now = stage.clock.now()
    report = stage.harvest(since=now - 3_600, until=now)

    assert report.requests == {"call/lists": 1}


def test_interrupted_listing_resumes_within_the_retention(store):
    calls = [make_call(f"c{i:03d}", UNTIL - 28_800 + 60 * i, UNTIL - 28_770 + 60 * i) for i in range(400)]
    stage = Stage.of(
        World(calls, timing=SampleTiming(interval=60)), store, plan="standard", at=UNTIL, hidden_after=60
    )

    async def stopped(client):
        with anyio.move_on_after(9):
            await harvest(client, since=UNTIL - 28_800, until=UNTIL - 100, store=store)

    stage.run(stopped)
    (begun,) = stage.tables.listings(DEMO_APP_ID)
    out_of_reach_from = UNTIL - 17_000
    stage.clock.step(out_of_reach_from + 86_400 - stage.clock.now())
    stage.harvest(since=out_of_reach_from + 600, until=stage.clock.now())

    assert begun.resume
    in_reach = {call.call_id for call in calls if call.created_ts > out_of_reach_from + 600}
    assert in_reach < set(stage.tables.calls(DEMO_APP_ID)["call_id"].to_pylist())


@pytest.mark.parametrize("seed", range(3))
def test_runs_cancelled_at_random_end_with_the_truth(store, seed):
    """Twenty runs are cancelled at random times while calls are ongoing; the last one completes every call."""
    world = World.generate(
        seed=seed,
        since=SINCE,
        until=UNTIL,
        calls=60,
        interval=60,
        long_share=0.05,
        big_share=0.02,
        ongoing_share=0.2,
    )
    stage = Stage.of(world, store, at=UNTIL - 3600)
    rng = random.Random(seed)

    async def stopped(client):
        with anyio.move_on_after(rng.uniform(0.2, 4)):
            await harvest(client, since=SINCE, until=stage.clock.now(), store=store)

    for _ in range(20):
        stage.run(stopped)
        stage.clock.step(rng.uniform(0, 900))
    stage.clock.step(86_400)
    report = stage.harvest()

    assert report.complete
    assert contents(stage.tables) == truth(world, UNTIL + 86_400)
    assert not broken_limits(stage.simulator)
