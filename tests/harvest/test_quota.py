"""An exhausted daily quota stops a harvest, and the next day completes it. Estimates for Agora."""

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE, STANDARD
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.harvest import estimate
from agora_analytics.simulator import SampleTiming, World
from tests.harvest.harness import (
    SINCE,
    UNTIL,
    broken_limits,
    contents,
    make_call,
    make_harness,
    simple_world,
    truth,
)


def small_day(per_day: int, *names: str):
    """Return the Enterprise plan with a small daily quota, for all endpoints or the named ones."""
    small = {
        name: evolve(ENTERPRISE.limits[name], per_day=per_day) for name in names or tuple(ENTERPRISE.limits)
    }
    return evolve(ENTERPRISE, limits={**ENTERPRISE.limits, **small})


@pytest.mark.slow
def test_exhausted_quota_stops_the_harvest_and_the_next_day_completes_it(tmp_path):
    world = simple_world(100)
    harness = make_harness(world, tmp_path / "store", plan=small_day(60))
    ledger = SqliteLedger(tmp_path / "ledger")

    first = harness.harvest(ledger=ledger)
    counts = harness.tables.counts()
    again = harness.harvest(ledger=ledger)
    harness.clock.step(first.retry_at - harness.clock.now() + 1)
    second = harness.harvest(ledger=ledger)

    assert not first.complete
    assert first.retry_at == UNTIL + 86_400
    assert (first.calls, first.left) == (counts["calls"], 100 - counts["calls"])
    assert counts["calls"] >= 55
    assert (again.calls, again.requests) == (0, {})
    assert second.complete
    assert contents(harness.tables) == truth(world, UNTIL)
    assert not broken_limits(harness.simulator)


def test_listed_calls_are_fetched_when_the_listing_quota_is_exhausted(tmp_path):
    finished = [make_call(f"c{i:02d}", UNTIL - 3_000, UNTIL - 1_500) for i in range(40)]
    world = World(
        [*finished, make_call("long", UNTIL - 5_000, UNTIL + 5_000)], timing=SampleTiming(interval=60)
    )
    ledger = MemoryLedger()
    few_sessions = make_harness(
        world, tmp_path / "store", now=UNTIL + 60, plan=small_day(10, "call/sessions", "call/metrics")
    )
    few_lists = make_harness(world, tmp_path / "store", now=UNTIL + 1_000, plan=small_day(1, "call/lists"))

    first = few_sessions.harvest(ledger=ledger)
    second = few_lists.harvest(ledger=ledger)

    assert (first.requests["call/lists"], first.calls + first.left) == (1, 41)
    assert (second.calls, second.left, second.listing_left) == (first.left, 0, True)
    assert second.retry_at == UNTIL + 86_400
    assert "call/lists" not in second.requests


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(ENTERPRISE, STANDARD), (STANDARD, ENTERPRISE)])
def test_interrupted_listing_resumes_under_another_plan(tmp_path, first, second):
    world = simple_world(450, interval=600)
    lists = evolve(first.limits["call/lists"], per_day=2)
    few = evolve(first, limits={**first.limits, "call/lists": lists})
    since = SINCE + 700
    begun = make_harness(world, tmp_path / "store", now=UNTIL + 400, plan=few).harvest(since=since)
    assert begun.listing_left
    harness = make_harness(world, tmp_path / "store", now=UNTIL + 450, plan=second)
    assert harness.harvest(since=since).complete
    reached = sum(call.destroyed_ts >= since for call in world.calls)
    assert harness.tables.counts()["calls"] == reached


def test_server_refusal_overrides_the_quota_of_the_ledger(tmp_path):
    world = simple_world(50)
    harness = make_harness(world, tmp_path / "store", plan=small_day(30))

    report = harness.harvest(plan="enterprise")  # the ledger allows 10,000

    assert report.retry_at == UNTIL + 86_400
    assert report.left == 50 - report.calls > 0
    # each request in flight is refused, and none is sent after them
    assert harness.refusals.total() <= 20


@pytest.mark.slow
def test_estimate_counts_only_what_is_not_stored(tmp_path):
    world = simple_world(110)  # more than one page
    harness = make_harness(world, tmp_path / "store")

    async def cost(client):
        return await estimate(client, since=SINCE, until=UNTIL, store=harness.store)

    before = harness.run(cost)
    harness.harvest()
    after = harness.run(cost)

    assert before.calls == 110
    assert before.requests == {"call/lists": 2, "call/sessions": 110, "call/metrics": 110}
    assert before.enough
    assert 11 <= before.seconds < 12
    assert (after.calls, after.known, after.seconds) == (0, 110, 0.0)


def cost_and_harvest(harness, *, since=SINCE, until=UNTIL):
    async def cost(client):
        return await estimate(client, since=since, until=until, store=harness.store)

    return harness.run(cost), harness.harvest(since=since, until=until)


@pytest.mark.slow
def test_estimate_counts_a_call_in_several_windows_once(tmp_path):
    begins = range(UNTIL - 3 * 86_400, UNTIL - 86_400, 1_440)
    calls = [make_call(f"c{begin}", begin, begin + 72_000) for begin in begins]
    harness = make_harness(World(calls, timing=SampleTiming(interval=3_000)), tmp_path / "store")

    cost, report = cost_and_harvest(harness, since=begins.start)

    assert cost.calls == report.calls == len(calls) == 120
    assert cost.requests == report.requests


@pytest.mark.slow
def test_estimate_leaves_out_stored_calls_of_a_partly_listed_window(tmp_path):
    calls = [make_call(f"c{i}", UNTIL - 12_000 + 60 * i, UNTIL - 9_000 + 60 * i) for i in range(200)]
    harness = make_harness(World(calls, timing=SampleTiming(interval=600)), tmp_path / "store", now=UNTIL)
    harness.harvest(since=UNTIL - 21_600)
    harness.clock.step(1_800)

    cost, report = cost_and_harvest(harness, since=UNTIL - 21_600, until=harness.clock.now())

    assert report.too_recent > 0
    assert (cost.calls, cost.known) == (report.calls, report.known_before)
    assert cost.requests == report.requests


def test_estimate_counts_ongoing_calls_again(tmp_path):
    calls = [make_call(f"c{i}", UNTIL - 7_200, UNTIL + 14_400, users=5) for i in range(10)]
    harness = make_harness(
        World(calls, timing=SampleTiming(interval=600)), tmp_path / "store", now=UNTIL + 60
    )
    harness.harvest()
    harness.clock.step(1_800)

    cost, report = cost_and_harvest(harness)

    assert cost.calls == report.calls == 10
    assert cost.requests == report.requests == {"call/lists": 1, "call/sessions": 10, "call/metrics": 10}


@pytest.mark.slow
def test_estimate_leaves_out_units_of_an_interrupted_run(tmp_path):
    calls = [make_call(f"c{i}", UNTIL - 72_000, UNTIL - 3_600, users=50) for i in range(10)]
    world = World(calls, timing=SampleTiming(interval=600))
    make_harness(world, tmp_path / "store", plan=small_day(50, "call/metrics")).harvest()

    cost, report = cost_and_harvest(make_harness(world, tmp_path / "store"))

    assert report.calls == cost.calls > 0
    assert {name: count for name, count in cost.requests.items() if count} == report.requests
    assert cost.requests["call/metrics"] == 120 - 50


def test_estimate_of_a_long_call_spreads_its_users_over_the_windows(tmp_path):
    call = make_call("long", UNTIL - 86_400, UNTIL - 600, users=1_000, stay=900)
    harness = make_harness(World([call], timing=SampleTiming(interval=600)), tmp_path / "store")

    cost, report = cost_and_harvest(harness)

    assert cost.requests["call/sessions"] == report.requests["call/sessions"] == 12
    assert cost.requests["call/metrics"] == pytest.approx(report.requests["call/metrics"], rel=0.1)
