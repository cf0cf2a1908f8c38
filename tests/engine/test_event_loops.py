"""A client that is used from several event loops: an error of ours, before anything is charged or sent."""

import asyncio
import gc
import threading
import warnings

import pytest

from agora_analytics import ConfigurationError, MemoryLedger
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.testing import run_virtual
from tests.agora.harness import scripted
from tests.conftest import ok

MESSAGE = "used in another event loop; create one client for each event loop"


def new_client(ledger, **settings):
    harness = scripted(ok(call_lists=[], total_size=0, has_more=False, data=[]))
    return harness, harness.client(ledger=ledger, **settings)


async def charged(client):
    return sum(quota.spent for quota in await client.quota())


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.calls("2h", "1h").collect(),
        lambda client: client.statistics("c1", "video_freeze_rate", "net", since="2h", until="1h"),
    ],
    ids=["listing", "request"],
)
def test_client_of_an_earlier_loop_is_refused_before_anything_is_charged(ask):
    async def work():
        await ask(client)
        return await charged(client)

    async def again():
        with pytest.raises(ConfigurationError, match=MESSAGE):
            await ask(client)
        return await charged(client)

    harness, client = new_client(MemoryLedger())
    assert run_virtual(work(), harness.clock) == run_virtual(again(), harness.clock) == 1
    assert len(harness.transport.requests) == 1
    run_virtual(client.aclose(), harness.clock)


def test_client_is_refused_while_another_thread_uses_it():
    async def work():
        first = asyncio.create_task(client.calls("2h", "1h").collect())
        await asyncio.sleep(0.1)
        in_thread.start()
        in_thread.join()
        await first
        return await charged(client)

    async def from_a_thread():
        with pytest.raises(ConfigurationError, match=MESSAGE):
            await client.calls("2h", "1h").collect()
        refused.append(True)

    harness, client = new_client(MemoryLedger())
    harness.transport._seconds, refused = 1.0, []
    in_thread = threading.Thread(target=lambda: asyncio.run(from_a_thread()))
    assert run_virtual(work(), harness.clock) == 1
    assert refused == [True]


def test_ledger_may_be_used_from_several_loops():
    async def work(client):
        async with client:
            await client.calls("2h", "1h").collect()
            return await charged(client)

    ledger = MemoryLedger()
    counts = []
    for _ in range(2):
        harness, client = new_client(ledger)
        counts.append(run_virtual(work(client), harness.clock))
    assert counts == [1, 2]


def test_client_can_be_closed_after_its_loop_has_ended():
    """Its connections are lost with the loop, so there is nothing to wait for."""

    async def answer(reader, writer):
        body = ok(call_lists=[], total_size=0, has_more=False).body
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        await writer.drain()

    async def work():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, client = new_client(
            MemoryLedger(), transport=None, base_url=f"http://127.0.0.1:{port}", clock=None
        )
        await client.calls("2h", "1h").collect()
        server.close()  # Python 3.12 would wait for the connection that stays open
        return client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # asyncio warns of both ends of the connection
        client = asyncio.run(work())
        assert isinstance(client._engine._own_transport, HttpxTransport)
        asyncio.run(client.aclose())
        del client
        gc.collect()
