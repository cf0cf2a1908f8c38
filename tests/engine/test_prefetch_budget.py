"""The prefetch budget: many listings stay within it, and none waits forever."""

import asyncio
import random
from contextlib import aclosing

import pytest

from agora_analytics.engine.pages import Fetched, Meta, Page, Pages
from agora_analytics.engine.prefetch_budget import PrefetchBudget
from agora_analytics.testing import run_virtual

META = Meta(status=200, request_id=None, host="https://x", attempts=1, elapsed=0.1)


class Listings:
    """Listings that share a prefetch budget; their pages have sizes, and what is in memory is counted."""

    def __init__(self, most, *, size=10, prefetch=4, count=5):
        self.prefetch_budget = PrefetchBudget(most)
        self.size, self.prefetch, self.steps = size, prefetch, list(range(count))
        self.chance = random.Random(3)
        self.in_memory, self.most, self.tasks = 0, 0, set()

    def listing(self):
        async def walk():
            return self

        return Pages(
            walk, spawn=self.spawn, prefetch=self.prefetch, table=len, prefetch_budget=self.prefetch_budget
        )

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        return task

    async def fetch(self, step):
        self.in_memory += self.size
        self.most = max(self.most, self.in_memory)
        try:
            await asyncio.sleep(self.chance.uniform(0.1, 2))
        except BaseException:
            self.in_memory -= self.size
            raise
        return Fetched(page=Page(records=[step], meta=META, raw=bytes(self.size)))

    def finalize(self, page, left):  # noqa: ARG002
        self.in_memory -= self.size
        return page

    async def read(self, pause=0.0):
        found = []
        async with aclosing(self.listing().pages()) as pages:
            async for page in pages:
                found.extend(page.records)
                await asyncio.sleep(pause)
        return found

    def is_empty(self):
        return (
            self.prefetch_budget._in_progress,
            self.prefetch_budget._held,
            self.prefetch_budget._queue.locked(),
        ) == (0, 0, False)


@pytest.mark.parametrize("most", [10, 35, 100, 1000])
@pytest.mark.parametrize("pause", [0.0, 3.0])
def test_many_listings_share_one_budget_and_all_end(most, pause):
    async def work():
        return await asyncio.gather(*(listings.read(pause) for _ in range(60)))

    listings = Listings(most)
    assert run_virtual(work()) == [listings.steps] * 60
    assert most // 2 <= listings.most <= 2 * most
    assert listings.is_empty()


def test_page_larger_than_the_budget_is_fetched_alone():
    async def work():
        return await asyncio.gather(*(listings.read() for _ in range(5)))

    listings = Listings(10, size=100, count=3)
    listings.prefetch_budget._sizes.append(100)
    assert run_virtual(work()) == [[0, 1, 2]] * 5
    assert listings.most == 100


def test_held_pages_do_not_block_another_listing():
    """The reader of one listing waits for the other, whose pages would not fit beside."""

    async def work():
        first, second = listings.listing().pages(), listings.listing().pages()
        async with aclosing(first), aclosing(second):
            await anext(first)
            await asyncio.sleep(100)  # as many as fit are kept for the next turn of `first`
            assert listings.prefetch_budget._held == 10
            behind = [page.records[0] async for page in second]
            return behind, [page.records[0] async for page in first]

    listings = Listings(10)
    assert run_virtual(work()) == ([0, 1, 2, 3, 4], [1, 2, 3, 4])
    assert listings.is_empty()


def test_cancelled_listing_releases_its_budget():
    async def work():
        for moment in range(80):
            readers = [asyncio.create_task(listings.read(pause=0.5)) for _ in range(8)]
            await asyncio.sleep(moment / 10)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await asyncio.gather(*listings.tasks, return_exceptions=True)
            assert listings.is_empty()
        return await listings.read()

    listings = Listings(30)
    assert run_virtual(work()) == listings.steps


def test_listing_that_fails_to_start_releases_its_budget():
    def refuse(work):
        work.close()
        raise RuntimeError("the client is closed")

    listings = Listings(10)
    listings.spawn = refuse
    for _ in range(3):
        with pytest.raises(RuntimeError, match="closed"):
            run_virtual(listings.read())
    assert listings.is_empty()
