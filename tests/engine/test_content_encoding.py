"""Compressed bodies: every transport reads the same ones, within a limit on memory."""

import asyncio
import gc
import gzip
import random
import sys
import tracemalloc
import zlib
from functools import cache

import httpx
import pytest

from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.engine.transports.content_encoding import BodyReader
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.messages import FailureKind, TransportFailure
from tests.engine.test_transports import LIBRARIES, listening, makers, plays, request

TEXT = b'{"code":200,"call_lists":[]}' * 50
MIB = 2**20


def raw_deflate(data):
    packed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packed.compress(data) + packed.flush()


TWO_MEMBERS = gzip.compress(TEXT[:70], mtime=0) + gzip.compress(TEXT[70:], mtime=0)
READABLE = {
    "gzip": (["gzip"], gzip.compress(TEXT, mtime=0)),
    "gzip in capitals": (["GZIP"], gzip.compress(TEXT, mtime=0)),
    "x-gzip": (["x-gzip"], gzip.compress(TEXT, mtime=0)),
    "two gzip members": (["gzip"], TWO_MEMBERS),
    "an empty gzip member": (
        ["gzip"],
        gzip.compress(b"", mtime=0) + TWO_MEMBERS + gzip.compress(b"", mtime=0),
    ),
    "gzip with padding": (["gzip"], TWO_MEMBERS + bytes(512)),
    "zlib as deflate": (["deflate"], zlib.compress(TEXT)),
    "raw deflate": (["deflate"], raw_deflate(TEXT)),
    "gzip as deflate": (["deflate"], gzip.compress(TEXT, mtime=0)),
    "zlib as gzip": (["gzip"], zlib.compress(TEXT)),
    "gzip twice": (["gzip, gzip"], gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0)),
    "deflate, then gzip": (["deflate", "gzip"], gzip.compress(raw_deflate(TEXT), mtime=0)),
    "identity": (["identity"], TEXT),
    "identity and gzip": (["identity, x-gzip, "], gzip.compress(TEXT, mtime=0)),
}
UNREADABLE = {
    "cut off": (["gzip"], READABLE["gzip"][1][:-4], FailureKind.ENCODING),
    "cut off in the second member": (["gzip"], TWO_MEMBERS[:-9], FailureKind.ENCODING),
    "one byte": (["gzip"], b"\x1f", FailureKind.ENCODING),
    "raw deflate, cut off": (["deflate"], raw_deflate(TEXT)[:-1], FailureKind.ENCODING),
    "not gzip": (["gzip"], b"{}{}", FailureKind.ENCODING),
    "a wrong checksum": (["gzip"], READABLE["gzip"][1][:-8] + bytes(8), FailureKind.ENCODING),
    "brotli": (["br"], b"{}", FailureKind.ENCODING),
    "zstd in gzip": (["zstd, gzip"], gzip.compress(b"{}", mtime=0), FailureKind.ENCODING),
    "six codings": (["gzip, " * 6], b"{}", FailureKind.ENCODING),
}


@cache
def bomb(size, codings):
    data = bytes(size)
    for _ in range(codings):
        data = gzip.compress(data, 6, mtime=0)
    return data


@pytest.fixture(params=[*LIBRARIES, "asgi"])
async def fetch(request):
    """Return a function that fetches a body through each transport."""
    return lambda body, encodings, **more: through(request.param, body, encodings, **more)


async def through(library, body, encodings, **more):
    if library == "asgi":
        return (await AsgiTransport(application(body, encodings), **more).send(request("http://x"))).body
    lines = "".join(f"Content-Encoding: {each}\r\n" for each in encodings)
    head = f"HTTP/1.1 200 OK\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
    async with listening(plays(head + body)) as url, makers(library) as make:
        return (await make(**more).send(request(url))).body


def application(body, encodings):
    async def app(scope, receive, send):
        headers = [(b"Content-Encoding", each.encode()) for each in encodings]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:99], "more_body": True})
        await send({"type": "http.response.body", "body": body[99:]})

    return app


@pytest.mark.parametrize("case", READABLE)
async def test_every_supported_encoding_is_read_by_every_transport(fetch, case):
    encodings, body = READABLE[case]
    assert await fetch(body, encodings) == TEXT


@pytest.mark.parametrize("case", UNREADABLE)
async def test_body_that_cannot_be_decompressed_has_the_same_failure_in_every_transport(fetch, case):
    encodings, body, kind = UNREADABLE[case]
    with pytest.raises(TransportFailure) as caught:
        await fetch(body, encodings)
    assert caught.value.kind is kind


async def test_empty_body_with_an_encoding_is_empty(fetch):
    assert await fetch(b"", ["gzip"]) == b""


@pytest.mark.parametrize("codings", [1, 2, 3])
async def test_decompression_bomb_is_refused_within_the_limit(fetch, codings):
    body = bomb(64 * MIB, codings)
    await fetch(b"", ["gzip"])  # imports the library, which needs memory too
    encodings = [", ".join(["gzip"] * codings)]
    peaks = [await peak_of_refusal(fetch, body, encodings) for _ in range(3)]
    assert min(peaks) < 14 * MIB  # other threads of the process may use memory at the same time


async def peak_of_refusal(fetch, body, encodings):
    """Return the most bytes that were in use while a body is refused because it is too large."""
    tracemalloc.start()
    try:
        with pytest.raises(TransportFailure) as caught:
            await fetch(body, encodings, largest_body=8 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.kind is FailureKind.TOO_LARGE
    return peak


@pytest.mark.parametrize("codings", [1, 2, 3])
async def test_event_loop_runs_while_a_bomb_is_decompressed(codings):
    turns = 0

    def count():
        nonlocal turns, handle
        turns += 1
        handle = loop.call_soon(count)

    loop = asyncio.get_running_loop()
    handle = loop.call_soon(count)
    with pytest.raises(TransportFailure, match="more than"):
        await through("asgi", bomb(64 * MIB, codings), [", ".join(["gzip"] * codings)], largest_body=32 * MIB)
    handle.cancel()
    assert turns >= 32


@pytest.mark.parametrize("library", LIBRARIES)
async def test_no_generator_of_the_library_is_open_after_a_body_was_refused(library):
    """The event loop would close each of them later, in a task of its own. The body continues here."""

    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999\r\n\r\nnot gzip")
        await writer.drain()
        await reader.read()

    left_open = []
    async with listening(handler) as url, makers(library) as make:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=left_open.append)
        with pytest.raises(TransportFailure, match="not gzip"):
            await make().send(request(url))
        gc.collect()
        sys.set_asyncgen_hooks(*hooks)
    assert left_open == []


async def test_body_at_the_limit_is_not_copied(fetch):
    body = gzip.compress(bytes(16 * MIB), mtime=0)
    tracemalloc.start()
    try:
        assert len(await fetch(body, ["gzip"], largest_body=16 * MIB)) == 16 * MIB
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB


async def test_endless_empty_members_are_refused(fetch):
    with pytest.raises(TransportFailure) as caught:
        await fetch(gzip.compress(b"", mtime=0) * 500, ["gzip"], largest_body=5_000)
    assert caught.value.kind is FailureKind.TOO_LARGE


@pytest.mark.parametrize("case", READABLE)
async def test_result_does_not_depend_on_the_chunks(case):
    encodings, body = READABLE[case]
    for most in (1, 2, 20, 500):
        reader = BodyReader(",".join(encodings), len(TEXT) + len(body))
        rest = body
        while rest:
            length = random.randint(1, most)
            await reader.feed(rest[:length])
            rest = rest[length:]
        assert reader.finish() == TEXT


@pytest.mark.parametrize("library", LIBRARIES)
async def test_only_encodings_that_can_be_bounded_are_requested(library):
    seen = []

    async def handler(reader, writer):
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()

    async with listening(handler) as url, makers(library) as make:
        await make().send(request(url))
    assert "accept-encoding: gzip, deflate\r\n" in seen[0]


async def test_body_that_a_hook_has_read_is_used():
    async def read(response):
        await response.aread()

    body = gzip.compress(TEXT)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with (
        listening(plays(head + body)) as url,
        httpx.AsyncClient(event_hooks={"response": [read]}, trust_env=False) as client,
    ):
        assert (await HttpxTransport(client).send(request(url))).body == TEXT
        with pytest.raises(TransportFailure, match="more than 9 bytes"):
            await HttpxTransport(client, largest_body=9).send(request(url))


async def test_failure_that_an_application_wraps_is_reported():
    async def wraps(scope, receive, send):
        try:
            await application(bytes(10), [])(scope, receive, send)
        except TransportFailure as failure:
            raise ExceptionGroup("of a task group", [failure]) from failure

    with pytest.raises(TransportFailure, match="more than 9 bytes"):
        await AsgiTransport(wraps, largest_body=9).send(request("http://x"))


# ---- cookies


class CookieServer:
    """Sets a cookie with each response and records the cookies of each request."""

    def __init__(self):
        self.received = []

    async def __call__(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().lower().split("\r\n")
            self.received.append([line for line in lines if line.startswith("cookie:")])
            writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: route=b; Path=/\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_no_transport_keeps_cookies(library):
    server = CookieServer()
    async with listening(server) as url, makers(library) as make:
        transport = make()
        for _ in range(3):
            await transport.send(request(url))
    assert server.received == [[], [], []]


@pytest.mark.parametrize("own", [{"session": "mine"}, {"route": "a"}])
async def test_cookies_of_the_callers_client_are_kept(own):
    server = CookieServer()
    async with listening(server) as url, httpx.AsyncClient(trust_env=False) as client:
        for name, value in own.items():
            client.cookies.set(name, value, domain="127.0.0.1", path="/")
        transport = HttpxTransport(client)
        for _ in range(2):
            await transport.send(request(url))
    expected = {"session": ["cookie: session=mine"] * 2, "route": ["cookie: route=a", "cookie: route=b"]}
    assert server.received == [[line] for line in expected[next(iter(own))]]
