"""The rules of a ledger in a real PostgreSQL and a real Redis, exactly, on the clock of the server."""

import math
from itertools import pairwise

import pytest
from attrs import evolve

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.network.server import Fence, LeaseRequest, Unused
from agora_analytics.engine.pace import WindowPhase

A, B = Budget("account", "call/lists"), Budget("account", "call/sessions")
TODAY, TOMORROW = "2026-11-19", "2026-11-20"
REQUEST = LeaseRequest(
    budget=A,
    day=TODAY,
    per_day=1_000,
    requests=100,
    period=60.0,  # so long that the time that a round trip takes does not matter
    gap=5.0,
    burst=1,
    late=0.01,
    delay=0.0,
    ahead=600.0,
    most=1,
    phase=None,
    fence=None,
)
MICROSECOND = 3e-6


@pytest.fixture
async def server(served):
    server = served.kind(served.url)._server
    yield server
    await server.aclose()


async def lease(server, **changes):
    return await server.reserve(evolve(REQUEST, **changes))


async def slots(server, trips, most, **changes):
    leases = [await lease(server, most=most, **changes) for _ in range(trips)]
    return [slot for each in leases for slot in each.slots]


@pytest.mark.parametrize(("trips", "most"), [(6, 1), (2, 3), (1, 6)])
async def test_slots_are_a_gap_apart(server, trips, most):
    found = await slots(server, trips, most)
    assert [b - a for a, b in pairwise(found)] == pytest.approx([5.0] * 5, abs=MICROSECOND)


@pytest.mark.parametrize(("trips", "most"), [(9, 1), (3, 3), (1, 9)])
async def test_request_waits_until_the_one_n_places_before_has_left_the_window(server, trips, most):
    found = await slots(server, trips, most, requests=3, gap=0.001, late=0.2)
    waits = [b - a for a, b in zip(found, found[3:], strict=False)]
    assert waits == pytest.approx([60.2] * 6, abs=0.003)  # or a gap after the one before
    assert min(waits) >= 60.2 - MICROSECOND


@pytest.mark.parametrize("low", [0.1, 31.6, 1234.9])
async def test_request_waits_until_the_next_fixed_window(server, low):
    phase = WindowPhase(low, low + 0.02)
    found = await slots(server, 1, 8, requests=2, gap=0.001, phase=phase)
    for earlier, later in zip(found, found[2:], strict=False):
        arrived = earlier + REQUEST.late
        expected = min(arrived + 60.0, (math.floor((arrived + phase.high) / 60) + 1) * 60 - phase.low)
        assert later == pytest.approx(expected, abs=0.01)  # or a gap after the one before
        assert later >= expected - MICROSECOND


async def test_burst_takes_slots_early(server):
    found = await slots(server, 1, 7, burst=4)
    assert [b - a for a, b in pairwise(found)] == pytest.approx([0, 0, 0, 5, 5, 5], abs=MICROSECOND)


async def test_pause_gives_no_more_than_the_burst(server):
    """The queue was last used long ago: the next slots are not all due now."""
    await lease(server)
    granted = await lease(server, most=3, delay=500.0)
    assert granted.slots[0] == pytest.approx(granted.now + 500.0, abs=MICROSECOND)
    assert [b - a for a, b in pairwise(granted.slots)] == pytest.approx([5, 5], abs=MICROSECOND)


async def test_slot_too_far_ahead_charges_nothing(server):
    first = await lease(server, gap=300.0, ahead=0.5)
    refused = await lease(server, gap=300.0, ahead=0.5)
    assert not refused.slots
    assert refused.next_slot == pytest.approx(first.slots[0] + 300.0, abs=MICROSECOND)
    assert await server.spent(A, TODAY) == (1, False)


async def test_lease_ends_where_slots_are_too_far_ahead(server):
    assert len((await lease(server, most=50, ahead=47.0)).slots) == 10


async def test_lease_without_slots_reads_the_clock(server):
    answer = await lease(server, most=0)
    assert not answer.slots
    assert not answer.spent
    assert answer.now > 1.7e9
    assert await server.spent(A, TODAY) == (0, False)


@pytest.mark.parametrize("most", [1, 20])
async def test_daily_quota_is_exact(server, most):
    found = await slots(server, 9, most, per_day=7)
    assert len(found) == 7
    assert await server.spent(A, TODAY) == (7, False)
    assert (await lease(server, per_day=7)).spent
    assert (await lease(server, per_day=7, day=TOMORROW)).slots
    assert (await lease(server, per_day=7, budget=B)).slots


async def test_closed_day_grants_nothing(server):
    await lease(server)
    await server.close_day(A, TODAY)
    assert await server.spent(A, TODAY) == (1, True)
    assert (await lease(server)).spent
    assert (await lease(server, day=TOMORROW)).slots


def unused(granted, *numbers):
    return [Unused(granted.seq + i, granted.predecessors[i], granted.frees[i]) for i in numbers]


async def test_released_last_places_are_granted_again(server):
    granted = await lease(server, most=5)
    await server.release(A, TODAY, unused(granted, 3, 4))
    assert await server.spent(A, TODAY) == (3, False)
    again = await lease(server, most=2)
    assert again.slots == pytest.approx(granted.slots[3:], abs=MICROSECOND)
    assert again.seq == granted.seq + 3


async def test_released_place_in_between_passes_its_predecessor_on(server):
    """Two requests a second: when the second is not sent, the fourth need not wait for it."""
    granted = await lease(server, most=3, requests=2, gap=0.001)
    await server.release(A, TODAY, unused(granted, 1))
    (fourth,) = await slots(server, 1, 1, requests=2, gap=0.001)
    assert fourth == pytest.approx(granted.slots[2] + 0.001, abs=MICROSECOND)
    assert await server.spent(A, TODAY) == (3, False)


async def test_everything_released_leaves_an_empty_queue(server):
    granted = await lease(server, most=3, requests=2)
    await server.release(A, TODAY, unused(granted, 0, 1, 2))
    assert await server.spent(A, TODAY) == (0, False)
    again = await lease(server, most=3, requests=2)
    assert again.seq == granted.seq
    assert again.predecessors[:2] == [-math.inf, -math.inf]


async def test_late_request_delays_the_one_n_places_later(server):
    granted = await lease(server, most=2, requests=2, gap=0.001)
    await server.postpone(A, granted.seq, granted.slots[0] + 40.0)
    (third,) = await slots(server, 1, 1, requests=2, gap=0.001)
    assert third == pytest.approx(granted.slots[0] + 100.0, abs=MICROSECOND)


async def test_place_that_is_no_longer_known_is_not_postponed(server):
    granted = await lease(server)
    await server.postpone(A, granted.seq - 1, 9e9)
    await server.postpone(A, granted.seq + 1, 9e9)
    await server.postpone(B, 1, 9e9)
    assert (await lease(server)).slots[0] - granted.slots[0] == pytest.approx(5.0, abs=MICROSECOND)


async def test_places_of_a_plan_with_a_higher_rate_are_kept(server):
    """A client of a plan with two requests a second does not forget what one with five needs."""
    found = await slots(server, 6, 1, requests=2, gap=0.001)
    (later,) = await slots(server, 1, 1, requests=5, gap=0.001)
    assert later >= found[1] + 60.01 - MICROSECOND


async def test_hold_delays_all_slots_and_a_shorter_one_changes_nothing(server):
    await lease(server)
    before = await lease(server, most=0)
    await server.hold(A, 60.0)
    await server.hold(A, 1.0)
    assert (await lease(server)).slots[0] >= before.now + 60.0
    await server.hold(B, 60.0)  # of a budget without requests
    assert (await lease(server, budget=B)).slots[0] >= before.now + 60.0


async def test_newer_fencing_token_ends_the_older_holder(server):
    old, new = Fence("acme/harvest", 16), Fence("acme/harvest", 2**40)
    assert (await lease(server, fence=old)).slots
    assert (await lease(server, fence=new)).slots
    refused = await lease(server, fence=old)
    assert not refused.slots
    assert refused.newest_token == 2**40
    assert (await lease(server, fence=old, budget=B)).newest_token == 2**40
    assert (await lease(server, fence=new)).slots
    assert (await lease(server, fence=Fence("zeta/harvest", 1))).slots
    assert await server.spent(A, TODAY) == (4, False)


async def test_clock_that_was_set_back_costs_one_window(served, server):
    """The times of the queue are then in the future: nothing recorded counts, but a hold keeps what is left of it."""
    await lease(server, gap=0.001)
    await server.hold(A, 300.0)
    await _shift(served, 3600.0)
    refused = await lease(server, gap=0.001, ahead=0.5)
    assert 250.0 < refused.next_slot - refused.now < 310.0
    assert (await lease(server, gap=0.001, ahead=0.5)).next_slot == refused.next_slot
    again = await lease(server, gap=0.001, burst=4)
    assert again.slots == [refused.next_slot]
    assert again.predecessors == [-math.inf]


async def _shift(served, seconds):
    """Move the times of the queue into the future."""
    if "postgresql" in served.url:
        import psycopg

        with psycopg.connect(served.url, autocommit=True) as connection:
            connection.execute(
                f"UPDATE agora_ledger.queue SET free = free + {seconds}, held = held + {seconds}, "
                f"seen = seen + {seconds}, arrived = ARRAY[seen + {seconds}]"
            )
        return
    import redis

    with redis.Redis.from_url(served.url, decode_responses=True) as client:
        (queue,) = client.keys("*:queue")
        for name in ("free", "held", "seen"):
            client.hset(queue, name, float(client.hget(queue, name)) + seconds)
        client.lset(queue.replace("queue", "places"), 0, float(client.hget(queue, "seen")))
