"""What the clients of an event loop share: connections, bytes of pages, and the turn to decode."""

import asyncio

import pytest

from agora_analytics import AiohttpTransport, AsyncAgora, HttpxTransport, SharedResources
from agora_analytics.engine.prefetch_budget import PagePool
from tests.harness import Scripted

MEGABYTE = 2**20
PAGE = 4 * MEGABYTE  # the first estimate of a page


async def in_progress(budget, most=1_000):
    """Start as many pages as the budget allows now, each with a reader; return their number."""
    for started in range(most):
        page = asyncio.ensure_future(budget.acquire())
        for _ in range(5):  # turns of the loop
            await asyncio.sleep(0)
        if not page.done():
            page.cancel()
            await asyncio.wait([page])
            return started
    return most


async def test_client_alone_uses_the_whole_pool():
    pool = PagePool(10 * PAGE)
    assert await in_progress(pool.budget()) == 10


async def test_client_whose_pages_do_not_end_leaves_the_others_their_part():
    pool = PagePool(10 * PAGE)
    hanging, other = pool.budget(), pool.budget()
    assert await in_progress(hanging) == 10
    assert await in_progress(other) == 5


async def test_clients_together_use_at_most_twice_the_pool():
    pool = PagePool(12 * PAGE)
    budgets = [pool.budget() for _ in range(6)]
    assert sum([await in_progress(budget) for budget in budgets]) <= 24


async def test_large_pages_of_several_clients_are_fetched_one_at_a_time():
    pool = PagePool(10 * PAGE)
    budgets = [pool.budget() for _ in range(4)]
    for budget in budgets:
        budget._sizes.append(9 * PAGE)
    assert [await in_progress(budget) for budget in budgets] == [
        1,
        1,
        0,
        0,
    ]  # within the total, and beyond it
    waiting = [asyncio.create_task(budget.acquire()) for budget in budgets[2:]]
    for budget in budgets[:2]:
        budget.release()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_closed_client_leaves_its_part_to_the_others():
    pool = PagePool(10 * PAGE)
    first, second = pool.budget(), pool.budget()
    assert await in_progress(first) == 10
    waiting = asyncio.create_task(first.acquire())
    second.close()
    for _ in range(10):
        first.release()
    await asyncio.wait_for(waiting, 5)
    assert await in_progress(first) == 9


async def test_prefetched_pages_count_in_the_pool():
    pool = PagePool(4 * PAGE)
    reader, other = pool.budget(), pool.budget()
    reader.hold(4 * PAGE)
    reader._sizes.append(PAGE)
    assert not reader.try_acquire()
    assert other.try_acquire()
    assert other.try_acquire()
    assert not other.try_acquire()


def settings(**options):
    return {"app_id": "app", "customer_id": "id", "customer_secret": "secret", **options}


async def test_clients_send_through_one_transport_and_do_not_close_it():
    transport = Scripted(b'{"code": 200, "message": "success", "call_lists": [], "has_more": false}')
    shared = SharedResources(transport=transport)
    for app in ("one", "two"):
        async with AsyncAgora(**settings(app_id=app, resources=shared)) as client:
            await client.calls("1h").collect()
    assert len(transport.requests) == 2
    assert not transport.closed
    await shared.aclose()
    assert transport.closed


async def test_transport_of_a_client_precedes_the_shared_one():
    shared, own = (
        Scripted(),
        Scripted(b'{"code": 200, "message": "success", "call_lists": [], "has_more": false}'),
    )
    async with AsyncAgora(**settings(resources=SharedResources(transport=shared), transport=own)) as client:
        await client.calls("1h").collect()
    assert (len(shared.requests), len(own.requests)) == (0, 1)


async def test_clients_decode_large_bodies_one_at_a_time():
    shared = SharedResources(transport=Scripted())
    clients = [AsyncAgora(**settings(resources=shared)) for _ in range(3)]
    running, most = 0, 0

    def decode():
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1

    await asyncio.gather(*(client._engine.in_thread(decode) for client in clients * 5))
    assert most == 1
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize(("variable", "kind"), [("", AiohttpTransport), ("https_proxy", HttpxTransport)])
async def test_default_transport_uses_the_proxies_of_the_environment(variable, kind, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if variable:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with SharedResources.open() as shared:
        assert type(shared.transport) is kind
