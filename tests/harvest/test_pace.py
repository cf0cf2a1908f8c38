"""A harvest keeps its slowest endpoint as busy as the rate limiter allows, on virtual time."""

import asyncio

import pytest

from agora_analytics.simulator import SampleTiming, World
from tests.conftest import slow
from tests.harvest.harness import LATENCY, SINCE, UNTIL, broken_limits, make_call, make_harness, simple_world
from tests.harvest.test_quota import small_day

RATE = 10  # requests a second of each endpoint
LARGE = [make_call(f"large-{i}", SINCE + 100 * i, SINCE + 100 * i + 1_800, users=800) for i in range(4)]
SMALL = [make_call(f"small-{i}", SINCE + 100 * i, SINCE + 100 * i + 900, users=2) for i in range(200)]
LATE_SMALL = [make_call(f"s{i}", UNTIL - 30_000 + 100 * i, UNTIL - 29_000 + 100 * i) for i in range(200)]
TIMING = SampleTiming(interval=600)


def saturated_span(requests: int, folder) -> float:
    """Return the seconds between the first and the last of so many requests that wait for their slots all the time."""
    harness = make_harness(World(SMALL[:1], timing=TIMING), folder)

    async def job(client):
        call = SMALL[0]
        async with asyncio.TaskGroup() as group:
            for second in range(requests):  # different requests, because identical ones are sent once
                listing = client.sessions(call.call_id, call.created_ts, call.destroyed_ts - second)
                group.create_task(listing.collect())

    harness.run(job, cache_bytes=0)
    return span(harness, "call/sessions")


def span(harness, endpoint: str) -> float:
    arrivals = harness.simulator.seen.arrivals[endpoint]
    return max(arrivals) - min(arrivals)


def harvested(world, folder, **simulator):
    harness = make_harness(world, folder / "store", **simulator)
    report = harness.harvest()
    assert (report.calls, report.complete, broken_limits(harness.simulator)) == (len(world.calls), True, {})
    return harness, report


@pytest.mark.parametrize("calls", [60, slow(300)])
def test_busiest_endpoint_is_as_busy_as_the_limiter_allows(tmp_path, calls):
    harness, report = harvested(simple_world(calls, interval=600), tmp_path)
    requests = harness.simulator.seen.requests["call/metrics"]
    most = saturated_span(requests, tmp_path)
    assert most / span(harness, "call/metrics") >= 0.97
    assert most / span(harness, "call/sessions") >= 0.97
    round_trips = 4 * LATENCY[1]  # to list the first calls and their sessions, and the last response
    assert report.seconds <= 1.01 * most + round_trips


@pytest.mark.parametrize("seconds", [slow(0.5), slow(2.0)])
def test_slow_responses_do_not_leave_slots_unused(tmp_path, seconds):
    """The first and the last responses take their time; in between, every slot is used."""
    harness, _ = harvested(World(SMALL[:150], timing=TIMING), tmp_path, latency=(seconds, seconds))
    for endpoint in ("call/sessions", "call/metrics"):
        assert 149 / RATE / span(harness, endpoint) >= 0.94


@pytest.mark.slow
@pytest.mark.parametrize(
    "small", [SMALL, LATE_SMALL], ids=["large calls in between", "large calls listed last"]
)
def test_calls_with_many_metrics_requests_do_not_form_a_tail(tmp_path, small):
    """While their sessions are listed, the metrics of others are fetched; at most one of them waits alone."""
    harness, report = harvested(World([*small, *LARGE], timing=TIMING), tmp_path, latency=(0.05, 0.05))
    bound = harness.simulator.seen.requests["call/metrics"] / RATE
    assert report.seconds <= bound + 1.6  # two listings of eight pages


def test_known_calls_are_fetched_while_ongoing_ones_are_listed_again(tmp_path):
    finished = [make_call(f"c{i}", UNTIL - 4_000, UNTIL - 2_000) for i in range(20)]
    ongoing = [make_call(f"o{i}", UNTIL - 40_000 + 2_000 * i, UNTIL + 9_000) for i in range(5)]
    world = World([*finished, *ongoing], timing=TIMING)
    make_harness(world, tmp_path / "store", now=UNTIL, plan=small_day(2, "call/sessions")).harvest()
    harness = make_harness(world, tmp_path / "store", now=UNTIL + 1_000)
    harness.harvest()
    arrivals = harness.simulator.seen.arrivals
    assert len(arrivals["call/lists"]) == 6
    assert arrivals["call/sessions"][0] < arrivals["call/lists"][1]
