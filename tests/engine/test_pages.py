"""Listings: lazy, ahead but in order, and nothing left running however they are left."""

import asyncio
import random
from contextlib import aclosing

import pytest
from attrs import evolve

from agora_analytics.engine.pages import Fetched, Meta, Page, Pages
from agora_analytics.errors import ServerError
from agora_analytics.testing import run_virtual
from tests.conftest import nothing_runs

META = Meta(status=200, request_id=None, host="https://x", attempts=1, elapsed=0.1)


class Paginator:
    """Steps are numbers; page n has the records 10n and 10n + 1. Steps in `broken` fail, `more` adds steps behind."""

    def __init__(self, harness):
        self.harness = harness
        self.steps = list(range(harness.count))

    async def fetch(self, step):
        harness = self.harness
        harness.asked.append(step)
        harness.under_way += 1
        harness.most = max(harness.most, harness.under_way)
        try:
            await asyncio.sleep(harness.rng.uniform(0.1, 2))
        finally:
            harness.under_way -= 1
        if step in harness.broken:
            raise ServerError(f"page {step}", status=500)
        page = Page(records=[10 * step, 10 * step + 1], meta=META, raw=b"")
        return Fetched(page=page, next_steps=harness.more.get(step, []))

    def finalize(self, page, left):
        return evolve(page, resume_token=",".join(map(str, left)))


class ListingHarness:
    def __init__(self, count=10, prefetch=4, broken=(), more=None, seed=1):
        self.count, self.broken, self.more, self.rng = count, broken, more or {}, random.Random(seed)
        self.asked, self.under_way, self.most, self.tasks = [], 0, 0, set()

        async def walk():
            return Paginator(self)

        self.pages = Pages(walk, spawn=self.spawn, prefetch=prefetch, table=len)

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        return task


def records(*steps):
    return [10 * step + i for step in steps for i in (0, 1)]


@pytest.mark.parametrize("prefetch", [1, 2, 4, 50])
@pytest.mark.parametrize("seed", range(5))
def test_pages_come_in_order_however_late_each_is(prefetch, seed):
    harness = ListingHarness(prefetch=prefetch, seed=seed)
    assert run_virtual(harness.pages.collect()) == records(*range(10))
    assert harness.asked == list(range(10))
    assert harness.most == min(prefetch, 10)


def test_nothing_is_asked_before_the_iteration_begins():
    async def work():
        pages = harness.pages
        iteration = aiter(pages)
        await asyncio.sleep(5)
        assert harness.asked == []
        await anext(iteration)
        await iteration.aclose()

    harness = ListingHarness()
    run_virtual(work())


def test_no_more_than_prefetch_pages_are_fetched_or_kept_ahead_of_the_reader():
    async def work():
        async with aclosing(harness.pages.pages()) as pages:
            async for _ in pages:
                read.append(1)
                await asyncio.sleep(20)  # a slow reader
                assert len(harness.asked) <= len(read) + 3

    read, harness = [], ListingHarness(prefetch=3)
    run_virtual(work())
    assert len(read) == 10


def test_each_iteration_starts_anew():
    async def work():
        return [await harness.pages.collect(), await harness.pages.collect()]

    harness = ListingHarness(count=2)
    assert run_virtual(work()) == [records(0, 1)] * 2


def test_an_empty_walk_is_an_empty_listing():
    assert run_virtual(ListingHarness(count=0).pages.collect()) == []


def test_steps_that_an_answer_adds_come_behind_it():
    harness = ListingHarness(count=3, more={0: [7, 8], 8: [9]})
    assert run_virtual(harness.pages.collect()) == records(0, 7, 8, 9, 1, 2)


def test_each_page_tells_what_is_left_behind_it():
    async def work():
        return [page.resume_token async for page in harness.pages.pages()]

    harness = ListingHarness(count=4, prefetch=2)
    assert run_virtual(work()) == ["1,2,3", "2,3", "3", ""]


def test_an_error_is_raised_in_its_place_and_what_came_before_is_given():
    async def work():
        read = []
        with pytest.raises(ServerError, match="page 5"):  # noqa: PT012
            async for record in harness.pages:
                read.append(record)  # noqa: PERF401
        assert await nothing_runs()
        return read

    harness = ListingHarness(broken={5, 6})
    assert run_virtual(work()) == records(*range(5))


async def by_break(harness):
    async for _ in harness.pages:
        break


async def by_an_error_of_the_reader(harness):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async for record in harness.pages:
            record / 0


async def by_closing_the_pages(harness):
    async with aclosing(harness.pages.pages()) as pages:
        await anext(pages)


async def by_cancellation(harness):
    task = asyncio.create_task(harness.pages.collect())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_a_timeout(harness):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await harness.pages.collect()


@pytest.mark.parametrize(
    "leave", [by_break, by_an_error_of_the_reader, by_closing_the_pages, by_cancellation, by_a_timeout]
)
@pytest.mark.parametrize("seed", range(3))
def test_leaving_early_leaves_no_task_running(leave, seed):
    async def work():
        await leave(harness)
        assert harness.tasks
        assert await nothing_runs()
        assert harness.under_way == 0
        asked = len(harness.asked)
        await asyncio.sleep(60)
        assert len(harness.asked) == asked < 10

    harness = ListingHarness(seed=seed)
    run_virtual(work())


def test_a_client_that_is_closed_in_mid_iteration_is_said_and_leaves_nothing():
    async def work():
        read = []
        with pytest.raises(RuntimeError, match="the client was closed"):  # noqa: PT012
            async for record in harness.pages:
                read.append(record)
                for task in harness.tasks:
                    task.cancel()
        assert await nothing_runs()
        return read

    harness = ListingHarness()
    read = run_virtual(work())
    assert read == records(*range(len(read) // 2))


def test_two_iterations_at_once_do_not_disturb_each_other():
    async def work():
        return await asyncio.gather(harness.pages.collect(), harness.pages.collect())

    harness = ListingHarness()
    assert run_virtual(work()) == [records(*range(10))] * 2


def test_resume_token_of_a_slow_reader_names_each_step_once():
    """Page 1 was prefetched and has added page 2: a listing that resumes at page 1 learns page 2 from it."""

    async def slowly():
        tokens = []
        async with aclosing(harness.pages.pages()) as pages:
            async for page in pages:
                tokens.append(page.resume_token)
                await asyncio.sleep(60)
        return tokens

    harness = ListingHarness(count=1, prefetch=3, more={0: [1], 1: [2], 2: [3]})
    assert run_virtual(slowly()) == ["1", "2", "3", ""]
