"""Transports: one suite for all of them, over real sockets; each classifies every failure in the same way."""

import asyncio
import gzip
import json
import socket
import ssl
import struct
from contextlib import asynccontextmanager

import httpx
import pytest
import respx

from agora_analytics.engine.transports.aiohttp import AiohttpTransport
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import FailureKind, Request, TransportFailure

SECRET = "Basic c2VjcmV0"


def request(base_url, path="/echo", **more):
    return Request(**({"method": "GET", "base_url": base_url, "path": path, "timeout": 5.0} | more))


# ---- one suite over all of them


async def echo_app(scope, receive, send):
    """Say what arrived; `/redirect`, `/cut`, `/hang` and `/teapot` do what they are called."""
    message = await receive()
    path = scope["path"]
    if path == "/hang":
        await asyncio.sleep(60)
    status = {"/redirect": 302, "/teapot": 418}.get(path, 200)
    headers = [(b"Content-Type", b"application/json"), (b"X-Request-Id", b"r-1")]
    if path == "/redirect":
        headers.append((b"location", b"/echo"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    said = {
        "method": scope["method"],
        "path": path,
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "body": message.get("body", b"").decode(),
    }
    if path == "/empty":
        await send({"type": "http.response.body"})
        return
    body = json.dumps(said).encode()
    await send({"type": "http.response.body", "body": body[:10], "more_body": True})
    if path != "/cut":
        await send({"type": "http.response.body", "body": body[10:]})


class EchoServer:
    """The same application behind a socket, in HTTP/1.1 as simple as can be."""

    def __init__(self):
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await self.head(reader):
                await self.exchange(*head, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def head(self, reader):
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return lines[0].split(" "), headers

    async def exchange(self, start, headers, reader, writer):
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = start[1].partition("?")
        scope = {
            "method": start[0],
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            if message["type"] == "http.response.start":
                lines = [b"HTTP/1.1 %d X" % message["status"], b"transfer-encoding: chunked"]
                lines += [b"%b: %b" % header for header in message["headers"]]
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
                return
            if chunk := message.get("body"):
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if not message.get("more_body"):
                writer.write(b"0\r\n\r\n")
            await writer.drain()

        await echo_app(scope, receive, send)
        if path == "/cut":
            raise ConnectionError


@asynccontextmanager
async def listening(handler, *, host="127.0.0.1", **options):
    """Serve raw connections on loopback; yields the base URL."""
    tasks = set()

    async def handle(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except asyncio.CancelledError:  # the test is over; nobody asks for this task
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, host, 0, **options)
    scheme = "https" if options else "http"
    try:
        yield f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


LIBRARIES = ["httpx", "httpx, the user's client", "httpx2", "aiohttp"]


@asynccontextmanager
async def makers(library):
    """Yield a function that makes transports over a library, and close them all at the end."""
    opened = []

    def make(*, trust=None, **more):
        if library == "aiohttp":
            pytest.importorskip("aiohttp")
            opened.append(AiohttpTransport(ssl_context=trust, **more))
        elif library == "httpx":
            opened.append(HttpxTransport(ssl_context=trust, **more))
        else:
            module = pytest.importorskip("httpx2") if library == "httpx2" else httpx
            opened.append(module.AsyncClient(verify=trust or True, trust_env=False))
            return HttpxTransport(opened[-1], **more)
        return opened[-1]

    try:
        yield make
    finally:
        for thing in opened:
            await thing.aclose()


@pytest.fixture(params=LIBRARIES)
async def make(request):
    """Return a function that makes a transport over each library."""
    async with makers(request.param) as make:
        yield make


@pytest.fixture(params=[*LIBRARIES, "asgi"])
async def echo(request):
    """Return a transport and the base URL of an echo."""
    if request.param == "asgi":
        transport = AsgiTransport(echo_app)
        yield transport, "http://in.process"
        await transport.aclose()
        return
    async with listening(EchoServer().serve) as url, makers(request.param) as make:
        yield make(), url


async def test_a_request_arrives_as_it_was_meant(echo):
    transport, url = echo
    query = (("uids", "1,2"), ("cname", "ä &=?#"))
    answer = await transport.send(request(url, query=query, headers={"Authorization": SECRET}))
    said = json.loads(answer.body)
    assert (answer.status, said["method"], said["path"]) == (200, "GET", "/echo")
    assert said["query"] == "uids=1%2C2&cname=%C3%A4+%26%3D%3F%23"
    assert said["headers"]["authorization"].lower() == SECRET.lower()


async def test_a_body_is_sent(echo):
    transport, url = echo
    answer = await transport.send(request(url, method="POST", body=b'{"metric":"x"}'))
    assert json.loads(answer.body)["body"] == '{"metric":"x"}'


async def test_header_names_are_lower_case_and_durations_are_reported(echo):
    transport, url = echo
    answer = await transport.send(request(url))
    assert (answer.headers["x-request-id"], answer.headers["content-type"]) == ("r-1", "application/json")
    assert 0 <= answer.first_byte <= answer.elapsed < 5


async def test_any_status_is_an_answer(echo):
    transport, url = echo
    assert (await transport.send(request(url, "/teapot"))).status == 418


async def test_an_empty_body_is_an_answer(echo):
    transport, url = echo
    assert (await transport.send(request(url, "/empty"))).body == b""


async def test_a_redirect_is_an_answer_and_not_followed(echo):
    transport, url = echo
    answer = await transport.send(request(url, "/redirect"))
    assert (answer.status, answer.headers["location"]) == (302, "/echo")


async def test_truncated_response_is_cut_off(echo):
    transport, url = echo
    with pytest.raises(TransportFailure) as caught:
        await transport.send(request(url, "/cut"))
    assert caught.value.kind is FailureKind.CUT_OFF


async def test_missing_response_is_a_read_timeout(echo):
    transport, url = echo
    start = asyncio.get_running_loop().time()
    with pytest.raises(TransportFailure) as caught:
        await transport.send(request(url, "/hang", timeout=0.4))
    assert caught.value.kind is FailureKind.READ_TIMEOUT
    assert asyncio.get_running_loop().time() - start < 5


async def test_many_requests_at_once_do_not_mix(echo):
    transport, url = echo
    answers = await asyncio.gather(*(transport.send(request(url, query=(("n", str(n)),))) for n in range(20)))
    assert [json.loads(answer.body)["query"] for answer in answers] == [f"n={n}" for n in range(20)]


async def test_a_cancelled_request_leaves_the_transport_usable(echo):
    transport, url = echo
    sending = asyncio.create_task(transport.send(request(url, "/hang")))
    await asyncio.sleep(0.05)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await transport.send(request(url))).status == 200


# ---- failures of real sockets


async def kind_of(transport, url, path="/", **more):
    with pytest.raises(TransportFailure) as caught:
        await transport.send(request(url, path, headers={"authorization": SECRET}, **more))
    shown, error = "", caught.value
    while error:
        shown, error = f"{shown} {error} {error!r}", error.__cause__ or error.__context__
    assert SECRET not in shown
    return caught.value.kind


async def test_unknown_host_name_is_a_dns_failure(make):
    assert await kind_of(make(), "https://nonexistent.invalid") is FailureKind.DNS


@pytest.mark.parametrize("name", ["xn--.invalid", "ex\u00e4mple..invalid"])
async def test_invalid_host_name_is_a_dns_failure(make, name):
    assert await kind_of(make(), f"https://{name}") is FailureKind.DNS


async def test_closed_port_is_refused(make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await kind_of(make(), f"http://127.0.0.1:{unused.getsockname()[1]}") is FailureKind.REFUSED


async def test_host_that_accepts_no_connection_is_a_connect_timeout(make):
    # A listener whose queue is full: the kernel drops further handshakes.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        callers = [socket.socket() for _ in range(4)]
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(full.getsockname())
            await asyncio.sleep(0.05)
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            transport = make()
            with pytest.MonkeyPatch.context() as patch:
                for library in ("httpx", "aiohttp"):
                    patch.setattr(f"agora_analytics.engine.transports.{library}.CONNECT_TIMEOUT", 0.2)
                assert await kind_of(transport, url) is FailureKind.CONNECT_TIMEOUT
        finally:
            for caller in callers:
                caller.close()


def plays(reply, *, linger=None):
    """Return a handler that reads a request and sends `reply`, then closes, or resets where `linger` is 0."""

    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if linger is not None:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, linger)
            )
            writer.transport.abort()

    return handler


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (plays(b"", linger=0), FailureKind.RESET),
        (plays(OK + b"\r\n{", linger=0), FailureKind.RESET),
        (plays(b""), FailureKind.RESET),
        (plays(OK), FailureKind.RESET),
        (plays(OK + b'\r\n{"code":200'), FailureKind.CUT_OFF),
        (plays(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"), FailureKind.CUT_OFF),
        (plays(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), FailureKind.PROTOCOL),
        (plays(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhel"), FailureKind.PROTOCOL),
        (plays(b"\x00\x01\x02 garbage \xff\r\n\r\n" * 20), FailureKind.PROTOCOL),
        (plays(b"HTTP/1.1 200 OK\r\ncontent-length: 4, 5\r\n\r\nabcd"), FailureKind.PROTOCOL),
        (
            plays(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"),
            FailureKind.ENCODING,
        ),
    ],
)
async def test_broken_responses_are_classified(make, handler, kind):
    async with listening(handler) as url:
        assert await kind_of(make(), url) is kind


async def test_slow_body_is_bounded_by_the_timeout(make):
    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with listening(trickle) as url:
        assert await kind_of(make(), url, timeout=0.6) is FailureKind.READ_TIMEOUT


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(make):
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with listening(flood) as url:
        transport = make(largest_body=1_000_000)
        with pytest.raises(TransportFailure, match="more than 1000000 bytes") as caught:
            await transport.send(request(url))
    assert caught.value.kind is FailureKind.TOO_LARGE
    assert sent < 50_000_000


async def test_decompression_bomb_is_refused(make):
    bomb = gzip.compress(bytes(50_000_000), 9)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    async with listening(plays(head + bomb)) as url:
        transport = make(largest_body=1_000_000)
        with pytest.raises(TransportFailure) as caught:
            await transport.send(request(url))
    assert caught.value.kind is FailureKind.TOO_LARGE


async def test_compressed_response_is_decompressed(make):
    body = gzip.compress(b'{"code":200}')
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with listening(plays(head + body)) as url:
        transport = make()
        assert (await transport.send(request(url))).body == b'{"code":200}'


# ---- TLS


@pytest.fixture
def authority():
    return pytest.importorskip("trustme").CA()


def server_side(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_side(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_untrusted_certificate_is_a_tls_failure(make, authority):
    async with listening(plays(OK), ssl=server_side(authority, "127.0.0.1")) as url:
        assert await kind_of(make(), url) is FailureKind.TLS


async def test_certificate_of_another_name_is_a_tls_failure(make, authority):
    async with listening(plays(OK), ssl=server_side(authority, "other.example")) as url:
        assert await kind_of(make(trust=client_side(authority)), url) is FailureKind.TLS


async def test_server_without_tls_is_a_tls_failure(make):
    async def plain(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(plain) as url:
        assert await kind_of(make(), url.replace("http", "https")) is FailureKind.TLS


@pytest.mark.parametrize("reply", [b"", OK + b"\r\n{"])
async def test_tls_failure_after_the_request_is_not_a_failed_handshake(make, authority, reply):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        raw = writer.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(raw.fileno())) as behind_tls:
            behind_tls.send(b"this is no TLS record at all")
        writer.transport.abort()

    async with listening(handler, ssl=server_side(authority, "127.0.0.1")) as url:
        kind = await kind_of(make(trust=client_side(authority)), url)
    assert not kind.never_left
    assert kind in {FailureKind.RESET, FailureKind.CUT_OFF}


# ---- aiohttp: only where it has more to say


@pytest.fixture
async def proxy():
    """A proxy that records the requested hosts, and its URL."""

    async def handle(reader, writer):
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(line), line))
        await writer.drain()

    async with listening(handle) as url:
        yield url


async def test_aiohttp_goes_through_a_proxy_that_it_was_given_but_not_to_this_machine(proxy):
    pytest.importorskip("aiohttp")
    async with AiohttpTransport(proxy=proxy) as transport, listening(EchoServer().serve) as url:
        assert (
            await transport.send(request("http://api.example"))
        ).body == b"GET http://api.example/echo HTTP/1.1"
        assert json.loads((await transport.send(request(url))).body)["path"] == "/echo"


async def test_aiohttp_ignores_the_proxy_of_the_environment(proxy, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    async with AiohttpTransport() as transport:
        assert await kind_of(transport, "http://nonexistent.invalid") is FailureKind.DNS


async def test_aiohttp_reports_waiting_for_a_connection():
    pytest.importorskip("aiohttp")

    async def nobody_answers(reader, writer):
        await reader.read()

    async with listening(nobody_answers) as url, AiohttpTransport() as transport:
        transport._free = asyncio.Semaphore(1)
        first = asyncio.create_task(kind_of(transport, url, timeout=1.0))
        while not transport._free.locked():  # noqa: ASYNC110 - a semaphore has no event
            await asyncio.sleep(0)
        assert await kind_of(transport, url, timeout=0.2) is FailureKind.NO_ROOM
        assert await first is FailureKind.READ_TIMEOUT


@pytest.mark.parametrize(
    ("coding", "body", "kind"),
    [
        ("gzip", gzip.compress(b"{}" * 99, mtime=0)[:-4], FailureKind.ENCODING),
        ("br", b"{}", FailureKind.ENCODING),
    ],
)
async def test_aiohttp_classifies_a_body_that_cannot_be_decompressed(coding, body, kind):
    pytest.importorskip("aiohttp")
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with listening(plays(head + body)) as url, AiohttpTransport() as transport:
        assert await kind_of(transport, url) is kind


async def test_aiohttp_reconnects_after_close():
    pytest.importorskip("aiohttp")
    async with listening(EchoServer().serve) as url:
        transport = AiohttpTransport()
        for _ in range(2):
            assert (await transport.send(request(url))).status == 200
            await transport.aclose()
            await transport.aclose()


def test_missing_aiohttp_names_the_extra(monkeypatch):
    monkeypatch.setattr("agora_analytics.engine.transports.aiohttp.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"agora-analytics\[aiohttp\]"):
        AiohttpTransport()


# ---- httpx: whose client, which proxy


async def test_client_of_the_caller_stays_open():
    async with httpx.AsyncClient() as mine:
        transport = HttpxTransport(mine)
        await transport.aclose()
        assert not mine.is_closed
    async with listening(EchoServer().serve) as url:
        transport = HttpxTransport()
        assert transport._client is None  # nothing is opened before it is needed
        await transport.send(request(url))
        ours = transport._client
        await transport.aclose()
        await transport.aclose()
        assert ours.is_closed


async def test_connections_are_reused(make):
    server = EchoServer()
    async with listening(server.serve) as url:
        transport = make()
        for _ in range(5):
            await transport.send(request(url))
    assert server.connections == 1


async def test_stale_connection_is_not_reused(make):
    asked = 0

    async def once(reader, writer):
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if asked == 1:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
            asked += 1

    async with listening(once) as url:
        transport = make()
        assert (await transport.send(request(url))).body == b"{}"
        assert await kind_of(transport, url) is FailureKind.RESET
        assert asked == 2


@pytest.mark.parametrize("kind", [HttpxTransport, AiohttpTransport])
async def test_hanging_resolver_is_a_dns_failure(kind):
    async def hangs(host, port):
        await asyncio.sleep(60)

    if kind is AiohttpTransport:
        pytest.importorskip("aiohttp")
    transport = kind(resolve=hangs)
    assert await kind_of(transport, "http://api.example", timeout=0.5) is FailureKind.DNS
    await transport.aclose()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_this_machine_is_reached_without_the_proxy_of_the_environment(variable, monkeypatch):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")  # nobody listens there
    async with listening(EchoServer().serve) as url:
        transport = HttpxTransport()
        assert (await transport.send(request(url))).status == 200
        await transport.aclose()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("x"), FailureKind.REFUSED),
        (httpx.ConnectTimeout("x"), FailureKind.CONNECT_TIMEOUT),
        (httpx.PoolTimeout("x"), FailureKind.NO_ROOM),
        (httpx.ReadTimeout("x"), FailureKind.READ_TIMEOUT),
        (httpx.WriteTimeout("x"), FailureKind.READ_TIMEOUT),
        (httpx.ReadError(""), FailureKind.RESET),
        (httpx.WriteError("x"), FailureKind.RESET),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), FailureKind.RESET),
        (httpx.RemoteProtocolError("peer closed connection (incomplete chunked read)"), FailureKind.CUT_OFF),
        (httpx.RemoteProtocolError("illegal status line"), FailureKind.PROTOCOL),
        (httpx.LocalProtocolError("x"), FailureKind.PROTOCOL),
        (httpx.DecodingError("x"), FailureKind.PROTOCOL),
        (httpx.UnsupportedProtocol("x"), FailureKind.PROTOCOL),
    ],
)
@respx.mock
async def test_every_error_of_httpx_is_translated(error, kind):
    respx.get("https://api.example/").mock(side_effect=error)
    async with httpx.AsyncClient() as client:
        assert await kind_of(HttpxTransport(client), "https://api.example") is kind


@respx.mock
async def test_httpx_sends_the_request_unchanged():
    route = respx.get("https://api.example/lists", params={"appid": "a"}).respond(200, json={"code": 200})
    transport = HttpxTransport()
    answer = await transport.send(
        request("https://api.example", "/lists", query=(("appid", "a"),), headers={"authorization": SECRET})
    )
    await transport.aclose()
    sent = route.calls.last.request
    assert (sent.headers["authorization"], sent.content) == (SECRET, b"")
    assert json.loads(answer.body) == {"code": 200}
    timeouts = sent.extensions["timeout"]
    assert (timeouts["connect"], timeouts["read"]) == (2.5, 5.0)


# ---- asgi


async def test_an_application_that_sends_nothing_is_a_reset():
    async def silent(scope, receive, send):
        await receive()

    with pytest.raises(TransportFailure) as caught:
        await AsgiTransport(silent).send(request("http://x"))
    assert caught.value.kind is FailureKind.RESET


@pytest.mark.parametrize("begun", [True, False])
async def test_an_application_that_aborts_breaks_the_connection(begun):
    async def aborting(scope, receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
        scope["state"]["abort"]()

    with pytest.raises(TransportFailure) as caught:
        await AsgiTransport(aborting).send(request("http://x"))
    assert caught.value.kind is (FailureKind.CUT_OFF if begun else FailureKind.RESET)


def test_repr_of_a_request_has_no_secret():
    shown = repr(request("https://x", headers={"Authorization": SECRET, "x": "y"}, body=b"private"))
    assert SECRET not in shown
    assert "private" not in shown
    assert "***" in shown


@pytest.mark.parametrize("kind", [HttpxTransport, AsgiTransport])
async def test_transport_is_a_context_manager_that_closes(kind, monkeypatch):
    closed = []
    monkeypatch.setattr(kind, "aclose", lambda self: asyncio.sleep(0, closed.append(self)))
    async with kind(None) if kind is AsgiTransport else kind() as transport:
        assert closed == []
    assert closed == [transport]
