"""Transports report when a request was sent: once, after the connection is set up and before the response."""

import asyncio
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from agora_analytics.engine.transports.aiohttp import AiohttpTransport
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.messages import FailureKind, TransportFailure
from tests.engine.test_transports import (
    LIBRARIES,
    EchoServer,
    authority,
    client_side,
    echo,
    listening,
    makers,
    plays,
    request,
    server_side,
)

__all__ = ["authority", "echo"]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
METHODS = [{}, {"method": "POST", "body": b"{}"}]


@pytest.fixture(params=LIBRARIES)
async def make(request):
    """Return a function that makes a transport over each library."""
    async with makers(request.param) as make:
        yield make


class Reports:
    """Counts the reports of a request."""

    def __init__(self):
        self.count, self.first = 0, asyncio.Event()

    def __call__(self):
        self.count += 1
        self.first.set()


@pytest.mark.parametrize("more", METHODS)
async def test_every_request_is_reported_once(echo, more):
    transport, url = echo
    assert transport.reports_sent
    for _ in range(3):
        reports = Reports()
        await transport.send(request(url, on_sent=reports, **more))
        assert reports.count == 1


@pytest.mark.parametrize("more", METHODS)
async def test_request_is_reported_before_its_response(make, more):
    """The server responds only after the report."""
    reports = Reports()

    async def answering(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reports.first.wait()
        writer.write(OK)
        await writer.drain()

    async with listening(answering) as url:
        await make().send(request(url, on_sent=reports, **more))
    assert reports.count == 1


class Replying(asyncio.Protocol):
    """Replies to each request."""

    def __init__(self):
        self.transport, self.closed = None, asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, _data):
        self.transport.write(OK)

    def connection_lost(self, _error):
        self.closed.set()


@asynccontextmanager
async def held_handshake(context):
    """Listen for one connection; yields its URL and two coroutine functions.

    The first waits for the beginning of the TLS handshake, and returns the socket. The second completes the handshake and
    replies to requests.
    """
    protocol, loop = Replying(), asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def begun():
            accepted, _ = await asyncio.to_thread(listener.accept)
            assert await asyncio.to_thread(accepted.recv, 1, socket.MSG_PEEK)
            return accepted

        async def complete(accepted):
            await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=context)

        yield f"https://127.0.0.1:{listener.getsockname()[1]}", begun, complete
    if protocol.transport is not None:
        protocol.transport.abort()
        await protocol.closed.wait()


@pytest.mark.parametrize("more", METHODS)
async def test_request_on_a_new_connection_is_reported_after_the_tls_handshake(make, authority, more):
    reports = Reports()
    async with held_handshake(server_side(authority, "127.0.0.1")) as (url, begun, complete):
        transport = make(trust=client_side(authority))
        sending = asyncio.create_task(transport.send(request(url, on_sent=reports, **more)))
        accepted = await begun()
        assert reports.count == 0
        await complete(accepted)
        assert (await sending).status == 200
    assert reports.count == 1


async def fails(transport, url, **more):
    reports = Reports()
    with pytest.raises(TransportFailure) as caught:
        await transport.send(request(url, on_sent=reports, **more))
    return caught.value.kind, reports.count


async def test_refused_connection_is_not_reported(make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert await fails(make(), url) == (FailureKind.REFUSED, 0)


async def test_unknown_host_is_not_reported(make):
    assert await fails(make(), "https://nonexistent.invalid") == (FailureKind.DNS, 0)


async def test_untrusted_certificate_is_not_reported(make, authority):
    async with listening(plays(OK), ssl=server_side(authority, "127.0.0.1")) as url:
        assert await fails(make(), url) == (FailureKind.TLS, 0)


async def test_connection_that_is_closed_during_the_tls_handshake_is_not_reported(make, authority):
    async with held_handshake(server_side(authority, "127.0.0.1")) as (url, begun, _):
        failing = asyncio.create_task(fails(make(trust=client_side(authority)), url))
        (await begun()).close()
        _, reports = await failing
    assert reports == 0


async def test_broken_response_does_not_cancel_the_report(make):
    async with listening(plays(b"", linger=0)) as url:
        assert await fails(make(), url) == (FailureKind.RESET, 1)


async def test_request_after_an_unreported_one_does_not_report_it(make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{unused.getsockname()[1]}"
        transport, reports = make(), Reports()
        with pytest.raises(TransportFailure):
            await transport.send(request(refusing, on_sent=reports))
        async with listening(EchoServer().serve) as url:
            assert (await transport.send(request(url))).status == 200
    assert reports.count == 0


# ---- proxies


@pytest.fixture
async def refusing_proxy():
    """A proxy that opens no tunnel, and its URL."""
    async with listening(plays(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")) as url:
        yield url


async def test_tunnel_of_a_proxy_is_not_reported_by_httpx(refusing_proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", refusing_proxy)
    transport = HttpxTransport()
    kind, reports = await fails(transport, "https://api.example")
    await transport.aclose()
    assert (kind, reports) == (FailureKind.PROTOCOL, 0)


async def test_tunnel_of_a_proxy_is_not_reported_by_aiohttp(refusing_proxy):
    pytest.importorskip("aiohttp")
    async with AiohttpTransport(proxy=refusing_proxy) as transport:
        _, reports = await fails(transport, "https://api.example")
    assert reports == 0


# ---- a client of the caller whose transport ignores the trace


async def test_response_of_a_transport_without_trace_reports_the_request():
    reports = Reports()
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        await HttpxTransport(client).send(request("http://x", on_sent=reports))
    assert reports.count == 1


async def test_failure_of_a_transport_without_trace_reports_the_request():
    def broken(sent):
        raise httpx.ReadError("reset", request=sent)

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as client:
        assert await fails(HttpxTransport(client), "http://x") == (FailureKind.RESET, 1)


async def test_cancelled_request_of_a_transport_without_trace_is_reported():
    arrived, reports = asyncio.Event(), Reports()

    async def hangs(_):
        arrived.set()
        await asyncio.Event().wait()

    async with httpx.AsyncClient(transport=httpx.MockTransport(hangs)) as client:
        sending = asyncio.create_task(HttpxTransport(client).send(request("http://x", on_sent=reports)))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert reports.count == 1


async def test_asgi_request_is_reported_before_the_application_runs():
    reports, seen = Reports(), []

    async def app(scope, receive, send):
        seen.append(reports.count)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    await AsgiTransport(app).send(request("http://x", on_sent=reports))
    assert (seen, reports.count) == ([1], 1)
