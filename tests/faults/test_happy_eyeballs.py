"""From a name to a connection: the resolver's threads, the race of addresses, HTTP/2."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from attrs import evolve

from agora_analytics import ConfigurationError, FailureKind, HttpxTransport, Request, TransportFailure
from agora_analytics.engine.transports import dns, happy_eyeballs
from agora_analytics.engine.transports import httpx as transport_module
from agora_analytics.engine.transports.dns import SystemResolver
from tests.conftest import SECRET, ok
from tests.faults.network import Host, Network, authority, network, trusting

ASKED = Request(
    method="GET",
    base_url="https://api.agora.io",
    path="/",
    headers={"authorization": SECRET},
    timeout=20.0,
)


async def test_concurrent_lookups_of_a_name_share_one_thread(monkeypatch):
    asked, everyone_waits = [], threading.Event()

    def slow(host, port):
        asked.append(host)
        assert everyone_waits.wait(20)
        return [("192.0.2.1", port)]

    monkeypatch.setattr(dns, "_addresses", slow)
    resolve = SystemResolver()
    waiting = [asyncio.create_task(resolve("api.agora.io", 443)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    everyone_waits.set()
    assert waiting[0].cancelled()
    assert await asyncio.gather(*waiting[1:]) == [[("192.0.2.1", 443)]] * 49
    assert asked == ["api.agora.io"]
    await resolve("api.agora.io", 443)
    assert len(asked) == 2  # nothing is cached: the machine's resolver does that


async def test_an_address_needs_no_resolver(monkeypatch):
    monkeypatch.setattr(dns, "_addresses", None)
    assert await SystemResolver()("127.0.0.1", 80) == [("127.0.0.1", 80)]


@pytest.mark.parametrize("name", ["nonexistent.invalid", f"{'x' * 70}.example", "a..example"])
async def test_a_name_without_addresses_is_a_gaierror(name):
    with pytest.raises(socket.gaierror):
        await SystemResolver()(name, 443)


async def test_hanging_resolver_is_a_dns_failure_and_occupies_one_thread(monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(dns, "_addresses", lambda *_: end.wait(20))
    transport = HttpxTransport(ssl_context=trusting())
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(TransportFailure) as caught:
            await transport.send(
                Request(method="GET", base_url="https://api.agora.io", path="/", timeout=2.0)
            )
        assert caught.value.kind is FailureKind.DNS
    assert threading.active_count() <= before + 2  # one of them is the pool's, which opened the client
    end.set()
    await transport.aclose()


async def sent_to(addresses) -> float:
    async def resolve(_host, _port):
        return addresses

    transport = HttpxTransport(resolve=resolve, ssl_context=trusting())
    await transport._opened()
    start = time.monotonic()
    try:
        assert (await transport.send(ASKED)).status == 200
        return time.monotonic() - start
    finally:
        await transport.aclose()


async def test_black_holed_address_costs_one_connection_delay(monkeypatch):
    monkeypatch.setattr(happy_eyeballs, "HEAD_START", 1.0)  # longer than a handshake takes on a busy machine
    async with AsyncExitStack() as stack:
        net = Network()
        await net.listen("well", Host(), stack)
        await net.listen("hole", Host(listens="black hole"), stack)
        await net.listen("deaf", Host(listens="no"), stack)
        ports = [(await net.resolve(name, 443))[0] for name in ("hole", "deaf", "well")]
        assert happy_eyeballs.HEAD_START <= await sent_to(ports) < 2 * happy_eyeballs.HEAD_START
        assert (
            await sent_to(ports[1:]) < happy_eyeballs.HEAD_START
        )  # a refusal lets the next one start at once


async def test_error_names_the_failure_of_every_address():
    async with AsyncExitStack() as stack:
        net = Network()
        await net.listen("deaf", Host(listens="no"), stack)
        deaf = await net.resolve("deaf", 443)
        for addresses, kind in ((deaf * 2, FailureKind.REFUSED), ([], FailureKind.REFUSED)):
            with pytest.raises(TransportFailure) as caught:
                await sent_to(addresses)
            assert caught.value.kind is kind


async def test_all_connections_in_use_blame_no_host():
    asked = asyncio.Event()

    async def hang(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with network(**{"api.agora.io": Host(serve=hang)}) as net:
        transport = HttpxTransport(resolve=net.resolve, ssl_context=trusting(), connections=1)
        first = asyncio.create_task(transport.send(ASKED))
        await asyncio.wait_for(asked.wait(), 20)
        with pytest.raises(TransportFailure) as caught:
            await transport.send(
                Request(method="GET", base_url="https://api.agora.io", path="/", timeout=0.4)
            )
        assert (caught.value.kind, caught.value.kind.blames_host) == (FailureKind.NO_ROOM, False)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await transport.aclose()


def test_http2_without_its_extra_is_refused_immediately(monkeypatch):
    monkeypatch.setattr(transport_module, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"agora-analytics\[http2\]"):
        HttpxTransport(http2=True)


@asynccontextmanager
async def speaking_http2():
    """A host that speaks HTTP/2 only; yields its resolver and the count of its connections."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import RequestReceived

    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        protocol = H2Connection(H2Configuration(client_side=False))
        protocol.initiate_connection()
        writer.write(protocol.data_to_send())
        while data := await reader.read(65_536):
            for event in protocol.receive_data(data):
                if isinstance(event, RequestReceived):
                    protocol.send_headers(event.stream_id, [(":status", "200")])
                    protocol.send_data(event.stream_id, ok().body, end_stream=True)
            writer.write(protocol.data_to_send())
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2"])
    authority().issue_cert("api.agora.io").configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=0.2)

    async def resolve(_host, _port):
        return [server.sockets[0].getsockname()]

    try:
        yield resolve, connections
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def test_http2_carries_all_requests_over_one_connection_and_logs_no_header(caplog):
    pytest.importorskip("h2")
    caplog.set_level(logging.DEBUG)
    async with speaking_http2() as (resolve, connections):
        transport = HttpxTransport(resolve=resolve, ssl_context=trusting(), http2=True)
        await transport.send(ASKED)
        cancelled = [asyncio.create_task(transport.send(ASKED)) for _ in range(20)]
        await asyncio.sleep(0.001)
        for task in cancelled[::2]:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        answers = await asyncio.gather(*(transport.send(ASKED) for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert len(connections) <= 2
        await transport.aclose()
    assert SECRET not in caplog.text


async def test_http2_requests_are_reported_as_sent_once_each():
    pytest.importorskip("h2")
    reports = Counter()
    async with speaking_http2() as (resolve, _):
        transport = HttpxTransport(resolve=resolve, ssl_context=trusting(), http2=True)
        sends = (evolve(ASKED, on_sent=partial(reports.update, [number])) for number in range(20))
        await asyncio.gather(*map(transport.send, sends))
        await transport.aclose()
    assert reports == Counter(range(20))
