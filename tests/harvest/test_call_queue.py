"""The queue of calls: the order for the pace, when a choice is made, and the limit of session listings."""

import asyncio
from types import SimpleNamespace

import pytest

from agora_analytics.engine.engine import Quota
from agora_analytics.harvest.call_queue import CallQueue
from agora_analytics.harvest.job_order import Job, order_for_pace
from agora_analytics.harvest.listing_slots import ListingSlots
from agora_analytics.harvest.unit_runner import Unit
from agora_analytics.testing import run_virtual

SESSIONS, METRICS = "call/sessions", "call/metrics"
MIDNIGHT = 86_400.0


def job(sessions=1, metrics=1, *, value=1.0, expires_at=10 * MIDNIGHT):
    return Job(requests={SESSIONS: sessions, METRICS: metrics}, value=value, expires_at=expires_at)


def queue_of(per_day):
    """Return a queue of a client that has sent nothing today."""

    async def quota():
        fields = {"requests": 10, "period": 1.0, "spent": 0, "closed": False, "opens_at": MIDNIGHT}
        return [Quota(endpoint=name, per_day=per_day, **fields) for name in (SESSIONS, METRICS)]

    engine = SimpleNamespace(budget_name=lambda endpoint: endpoint.name)
    return CallQueue(SimpleNamespace(quota=quota, sent={}, _engine=engine))


def units(**jobs):
    return [Unit(name=name, run=None, job=job) for name, job in jobs.items()]


async def taken(queue):
    """Return the names of the calls that the queue returns at once."""
    names = []
    while True:
        try:
            async with asyncio.timeout(1):
                unit = await queue.get()
        except TimeoutError:
            return names
        if unit is None:
            return [*names, None]
        names.append(unit.name)


def test_calls_with_many_metrics_requests_start_early():
    jobs = [job(1, 1), job(8, 40), job(1, 5), job(3, 1), job(1, 9), job(2, 2)]
    assert order_for_pace(jobs, (SESSIONS, METRICS), urgent_before=0) == [4, 2, 1, 5, 0, 3]


def test_calls_that_expire_first_come_before_all_others():
    jobs = [job(1, 40), job(expires_at=50.0), job(expires_at=40.0)]
    assert order_for_pace(jobs, (SESSIONS, METRICS), urgent_before=60.0) == [2, 1, 0]


def test_choice_waits_until_all_calls_are_listed_if_the_quota_is_short():
    async def work():
        queue = queue_of(per_day=3)
        queue.listed = 0.5
        await queue.put(units(a=job(), b=job(), c=job()))
        assert await taken(queue) == []
        queue.listed = 1.0
        await queue.put(units(d=job(value=9.0), e=job(value=9.0, expires_at=MIDNIGHT / 2)))
        await queue.close()
        return await taken(queue)

    names = run_virtual(work())
    assert names[0] == "e"
    assert sorted(names[1:-1]) == ["a", "b", "c", "d"]


def test_calls_are_fetched_while_others_are_listed_if_the_quota_suffices():
    async def work():
        queue = queue_of(per_day=100)
        queue.listed = 0.5
        await queue.put(units(a=job(), b=job(1, 9)))
        first = await taken(queue)
        await queue.put(units(c=job(1, 30)))  # half of the range has 40 requests, so 100 may not suffice
        held = await taken(queue)
        await queue.close()
        return first, held, await taken(queue)

    assert run_virtual(work()) == (["b", "a"], [], ["c", None])


def test_small_share_of_a_short_quota_is_spent_before_all_calls_are_listed():
    async def work():
        queue = queue_of(per_day=1_000)
        queue.listed = 0.01
        await queue.put(units(**{f"c{i}": job() for i in range(20)}))
        return await taken(queue)

    assert len(run_virtual(work())) == 5


@pytest.mark.parametrize(("seconds", "limit"), [(0.05, 5), (2.0, 34)])
def test_session_listings_are_prepared_as_far_ahead_as_responses_take(seconds, limit):
    slots = ListingSlots(rate=10)
    slots.observe(seconds)
    assert slots.limit == limit


def test_large_calls_are_listed_one_after_the_other():
    async def work():
        slots, begun = ListingSlots(rate=10), []
        slots.observe(0.05)

        async def listing(name, pages):
            await slots.acquire(pages)
            begun.append(name)

        tasks = [asyncio.create_task(listing(name, 8)) for name in "abc"]
        await asyncio.sleep(1)
        assert begun == ["a"]
        slots.release(4)
        await asyncio.sleep(1)
        assert begun == ["a", "b"]
        slots.release(8)
        await asyncio.gather(*tasks)
        return begun

    assert run_virtual(work()) == ["a", "b", "c"]
