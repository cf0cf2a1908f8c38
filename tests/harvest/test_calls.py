"""Harvests of calls: everything is stored exactly once, at the plan's rate limits."""

import random
from functools import partial

import anyio
import pytest
from attrs import evolve

from agora_analytics.agora.arrow import calls_table
from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.harvest import harvest
from agora_analytics.simulator import DEMO_APP_ID, Faults, SampleTiming, World
from agora_analytics.store import open_store
from agora_analytics.testing import run_virtual
from tests.conftest import slow
from tests.harvest.harness import (
    SINCE,
    UNTIL,
    broken_limits,
    contents,
    fewest_requests,
    make_call,
    make_harness,
    simple_world,
    truth,
)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.mark.slow
def test_five_hundred_calls_with_the_fewest_requests_near_the_rate_limit(store):
    world = simple_world(500, interval=300)
    harness = make_harness(world, store)

    report = harness.harvest()

    assert contents(harness.tables) == truth(world, UNTIL)
    assert not broken_limits(harness.simulator)
    fewest = fewest_requests(world)
    for name, requests in report.requests.items():
        assert requests <= fewest[name] * 1.03
    assert report.seconds <= max(fewest.values()) / 10 * 1.15
    assert report.complete


@pytest.mark.slow
def test_calls_with_every_quirk_are_complete(store):
    world = World.generate(
        seed=3,
        since=SINCE,
        until=UNTIL,
        calls=50,
        interval=60,
        long_share=0.05,
        big_share=0.02,
        ongoing_share=0.0,
    )
    harness = make_harness(world, store, now=UNTIL + 2 * 86_400)

    report = harness.harvest()

    assert contents(harness.tables) == truth(world, UNTIL + 86_400)
    assert not broken_limits(harness.simulator)
    assert report.complete
    assert report.calls == len(world.calls)


@pytest.mark.slow
def test_faults_do_not_change_the_tables(store):
    world = simple_world(150)
    harness = make_harness(world, store, faults=Faults(share=0.05, seed=5))

    report = harness.harvest()

    assert contents(harness.tables) == truth(world, UNTIL)
    assert not broken_limits(harness.simulator)
    assert harness.simulator.seen.faults.total() > 15
    assert report.complete


def test_stored_calls_are_not_fetched_again(store):
    harness = make_harness(simple_world(30), store)
    harness.harvest()
    sent = harness.requests.total()

    report = harness.harvest()

    assert harness.requests.total() == sent
    assert (report.calls, report.known_before) == (0, 30)


@pytest.mark.parametrize("held", ["call/metrics", slow("call/sessions")])
@pytest.mark.slow
def test_overtaken_harvest_stores_nothing_twice(store, held):
    """A second harvest stores and compacts everything while a response of the first one is held back."""
    world = simple_world(40)
    harness = make_harness(world, store)
    overtaken = anyio.Event()

    class Slow(AsgiTransport):
        async def send(self, request):
            if held in request.url:
                request.on_sent()
                await overtaken.wait()
            return await super().send(request)

    async def job():
        ledger = MemoryLedger()
        slow = harness.client(ledger=ledger, transport=Slow(harness.simulator.app))
        async with slow, harness.client(ledger=ledger) as quick, anyio.create_task_group() as group:
            group.start_soon(partial(harvest, slow, since=SINCE, until=UNTIL, store=store))
            await anyio.sleep(2)
            await harvest(quick, since=SINCE, until=UNTIL, store=store)
            assert len(harness.tables.files("metrics")) == 1  # compacted
            overtaken.set()

    run_virtual(job(), harness.clock)
    assert contents(harness.tables) == truth(world, UNTIL)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())


@pytest.mark.slow
def test_wider_range_fetches_only_new_calls(store):
    world = simple_world(100)
    harness = make_harness(world, store)
    noon, ledger = SINCE + 43_200, MemoryLedger()
    harness.harvest(until=noon, ledger=ledger)

    report = harness.harvest(ledger=ledger)

    assert contents(harness.tables) == truth(world, UNTIL)
    fewest = fewest_requests(world)
    assert harness.requests["call/sessions"] == fewest["call/sessions"]
    assert harness.requests["call/metrics"] == fewest["call/metrics"]
    assert report.known_before + report.calls == 100


@pytest.mark.slow
def test_listing_is_bisected_until_all_calls_are_shown(store):
    world = simple_world(250)
    harness = make_harness(world, store, hidden_after=60)

    report = harness.harvest()

    assert contents(harness.tables) == truth(world, UNTIL)
    assert report.calls == 250


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [30, 600, 3_600, 2 * 86_400])
def test_local_clock_ahead_does_not_mark_the_future_as_listed(store, ahead):
    """A window is recorded as listed only up to the server's time, so the next run lists the rest."""
    world = simple_world(60, interval=300)
    harness = make_harness(world, store, now=SINCE + 43_200)

    class Ahead:
        def now(self):
            return harness.clock.now() + ahead

    async def until_now(client):
        return await harvest(client, since=SINCE, store=store)

    first = harness.run(until_now, clock=Ahead())
    listed_until = harness.tables.writer.listings(DEMO_APP_ID)[-1].end
    harness.clock.step(86_400)
    harness.run(until_now)

    assert 0 < first.calls < 60
    assert first.window.end == listed_until < SINCE + 43_200 < first.window.end + 60
    assert contents(harness.tables) == truth(world, UNTIL)


def test_too_recent_calls_are_counted_and_fetched_by_the_next_run(store):
    world = simple_world(40)
    last = max(call.destroyed_ts for call in world.calls)
    # after the delay of lists, before the delay of sessions and metrics
    harness = make_harness(world, store, now=last + 60.5)

    first = harness.harvest()
    harness.clock.step(120)
    second = harness.harvest()

    assert first.too_recent > 0
    assert first.calls + second.calls == 40
    assert contents(harness.tables) == truth(world, UNTIL)


@pytest.mark.slow
def test_calls_that_begin_during_a_run_do_not_make_it_incomplete(store):
    world = simple_world(2_000, interval=300)
    harness = make_harness(world, store, now=SINCE + 43_200)

    reports = []
    for _ in range(3):
        now = harness.clock.now()
        reports.append(harness.harvest(since=now - 1_800, until=now))
        harness.clock.step(600)

    delay = harness.simulator.plan.limits["call/metrics"].delay
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
    harness = make_harness(world, store, now=UNTIL + 200)

    first = harness.harvest()
    snapshot = contents(harness.tables)
    harness.clock.step(4 * 3600)
    second = harness.harvest()

    assert first.ongoing == second.calls - second.ongoing > 5
    assert second.ongoing == 0
    assert 0 < snapshot["points"] < contents(harness.tables)["points"]
    assert contents(harness.tables) == truth(world, UNTIL + 4 * 3600)
    assert harness.tables.sql("select count(*) from calls where not finished").fetchall() == [(0,)]


def test_just_stored_snapshot_is_not_fetched_again_at_once(store):
    world = World.generate(
        seed=5, since=SINCE, until=UNTIL, calls=20, interval=60, ongoing_share=0.2, quirks=False
    )
    harness = make_harness(world, store, now=UNTIL + 200)
    harness.harvest()
    sent = harness.requests.total()

    harness.harvest()

    assert harness.requests.total() == sent


@pytest.mark.slow
def test_calls_longer_than_the_retention_survive_faults(store):
    world = World([make_call("long", UNTIL - 72_000, UNTIL + 200_000)], timing=SampleTiming(interval=600))
    harness = make_harness(world, store, plan="standard", now=UNTIL, faults=Faults(share=0.3, seed=5))

    for _ in range(60):
        now = harness.clock.now()
        harness.harvest(since=now - 86_000, until=now)
        harness.clock.step(1_800)

    assert harness.simulator.seen.faults.total() > 50
    assert harness.tables.writer.calls(DEMO_APP_ID)["destroyed_ts"][0].as_py().timestamp() > UNTIL + 100_000


def test_call_that_ended_outside_the_retention_costs_no_requests(store):
    world = World([make_call("short", UNTIL - 7_200, UNTIL + 600)], timing=SampleTiming(interval=60))
    harness = make_harness(world, store, plan="standard", now=UNTIL)
    harness.harvest(since=UNTIL - 72_000, until=UNTIL)
    harness.clock.step(2 * 86_400)

    now = harness.clock.now()
    report = harness.harvest(since=now - 3_600, until=now)

    assert report.requests == {"call/lists": 1}


@pytest.mark.slow
def test_interrupted_listing_resumes_within_the_retention(store):
    calls = [make_call(f"c{i:03d}", UNTIL - 28_800 + 60 * i, UNTIL - 28_770 + 60 * i) for i in range(400)]
    harness = make_harness(
        World(calls, timing=SampleTiming(interval=60)), store, plan="standard", now=UNTIL, hidden_after=60
    )

    async def stopped(client):
        with anyio.move_on_after(9):
            await harvest(client, since=UNTIL - 28_800, until=UNTIL - 100, store=store)

    harness.run(stopped)
    (begun,) = harness.tables.writer.listings(DEMO_APP_ID)
    out_of_reach_from = UNTIL - 17_000
    harness.clock.step(out_of_reach_from + 86_400 - harness.clock.now())
    harness.harvest(since=out_of_reach_from + 600, until=harness.clock.now())

    assert begun.resume
    in_reach = {call.call_id for call in calls if call.created_ts > out_of_reach_from + 600}
    assert in_reach < set(harness.tables.writer.calls(DEMO_APP_ID)["call_id"].to_pylist())


@pytest.mark.slow
def test_listing_with_a_resume_token_of_another_version_is_listed_again(store):
    """The store has the first page of a listing, whose token this version cannot read."""
    calls = [make_call(f"c{i:03d}", UNTIL - 7_200 + 10 * i, UNTIL - 7_190 + 10 * i) for i in range(250)]
    harness = make_harness(World(calls, timing=SampleTiming(interval=60)), store, now=UNTIL + 600)
    opened, window = open_store(harness.store, create=True), (UNTIL - 7_200, UNTIL - 1)
    newest = harness.run(lambda c: c.calls(*window).collect())[:100]
    opened.writer.put_listing(DEMO_APP_ID, *window, 0, calls_table([newest]), "a token of another version")

    report = harness.harvest(since=window[0], until=UNTIL)

    assert report.complete
    assert len(harness.tables.writer.calls(DEMO_APP_ID)) == 250


@pytest.mark.parametrize(("seed", "runs"), [(0, 6), *(slow(seed, 20) for seed in (0, 1, 2))])
@pytest.mark.slow
def test_runs_cancelled_at_random_end_with_the_truth(store, seed, runs):
    """Runs are cancelled at random times while calls are ongoing; the last one completes every call."""
    world = World.generate(
        seed=seed,
        since=SINCE,
        until=UNTIL,
        calls=3 * runs,
        interval=60,
        long_share=0.05,
        big_share=0.02,
        ongoing_share=0.2,
    )
    harness = make_harness(world, store, now=UNTIL - 3600)
    rng = random.Random(seed)

    async def stopped(client):
        with anyio.move_on_after(rng.uniform(0.2, 4)):
            await harvest(client, since=SINCE, until=harness.clock.now(), store=store)

    for _ in range(runs):
        harness.run(stopped)
        harness.clock.step(rng.uniform(0, 900))
    harness.clock.step(86_400)
    report = harness.harvest()

    assert report.complete
    assert contents(harness.tables) == truth(world, UNTIL + 86_400)
    assert not broken_limits(harness.simulator)


@pytest.mark.parametrize("letter", "cü")
@pytest.mark.parametrize("length", [151, *map(slow, (149, 200, 201, 500))])
def test_long_call_id_is_harvested_like_any_other(store, letter, length):
    """The second run continues an interrupted one, the third finds everything in a compacted day."""
    ids = [letter * length + end for end in "12"]
    calls = [make_call(call_id, SINCE + 3600, SINCE + 7200, users=41) for call_id in ids]
    world = World(calls, timing=SampleTiming(interval=600))
    few = evolve(ENTERPRISE.limits["call/metrics"], per_day=4)
    first = make_harness(
        world, store, plan=evolve(ENTERPRISE, limits={**ENTERPRISE.limits, "call/metrics": few})
    )
    assert first.harvest().left == 1
    second = make_harness(world, store)
    report = second.harvest()
    assert (list(report.requests), report.complete) == (["call/metrics"], True)
    assert contents(second.tables) == truth(world, UNTIL + 3600)
    assert all(path.name.startswith("compacted~") for path in second.tables.files("metrics"))
    assert make_harness(world, store).harvest().requests == {}
    assert contents(second.tables) == truth(world, UNTIL + 3600)
    assert sorted(second.tables.writer.calls(DEMO_APP_ID)["call_id"].to_pylist()) == sorted(ids)
