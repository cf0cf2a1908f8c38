"""A small internet on loopback: the shipped names lead to real sockets with TLS, and each host may be broken in its way."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache

import trustme
from attrs import field, frozen

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def trusting() -> ssl.SSLContext:
    """What a client checks certificates with that trusts the throw-away CA only."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = True, ssl.CERT_REQUIRED
    authority().configure_trust(context)
    return context


@cache
def certified(how: str) -> ssl.SSLContext:
    """What a server shows: a certificate that is "good", of an "other name", "expired" or of an "other CA"."""
    issuer = trustme.CA() if how == "other CA" else authority()
    names = ("other.example",) if how == "other name" else ("*.agora.io", "*.sd-rtn.com")
    until = datetime(2020, 1, 1, tzinfo=UTC) if how == "expired" else None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer.issue_cert(
        *names, not_after=until, **({"not_before": datetime(2019, 1, 1, tzinfo=UTC)} if until else {})
    ).configure_cert(context)
    return context


async def request_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def whole(body: bytes, status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *more)
    return "\r\n".join((*lines, "", "")).encode() + body


def answers(answer: bytes) -> Serve:
    """Answer every request of a connection with the same bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            writer.write(answer)
            await writer.drain()

    return serve


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def speaks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(whole(b"this port speaks no TLS", "400 Bad Request", "text/plain"))
    await writer.drain()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_head(reader)
    for byte in whole(b" " * 10_000):
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.02)


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_head(reader)
    reset(writer)


async def resets_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_head(reader)


async def cuts_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_head(reader)
    writer.write(whole(b'{"code":200,"call_lists":[]}')[:-9])
    await writer.drain()


@frozen(kw_only=True)
class Host:
    """How a host behaves: does its name resolve ("yes", "no", "silent"), does it listen ("yes", "no", "black hole"),
    what does it show (a certificate, or None: no TLS), and what does it do with a connection."""

    name: str = "yes"
    listens: str = "yes"
    shows: str | None = "good"
    serve: Serve = field(
        default=answers(whole(b'{"code":200,"message":"success","call_lists":[],"total_size":0}'))
    )


WELL = Host()


class Network:
    """Where the names lead to. `resolve` is the hook for a transport."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}
        self._hosts: dict[str, Host] = {}
        self.connections = 0

    async def resolve(self, host: str, _port: int) -> list[tuple[str, int]]:
        how = self._hosts.get(host, WELL).name
        if how == "silent":
            await asyncio.sleep(60)
        if how == "no":
            raise socket.gaierror(socket.EAI_NONAME, f"there is no {host}")
        return [("127.0.0.1", self._ports.get(host) or self._ports[""])]

    async def listen(self, name: str, host: Host, stack: AsyncExitStack) -> None:
        self._hosts[name] = host
        if host.listens == "yes":
            self._ports[name] = await stack.enter_async_context(self._serving(host))
            return
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        self._ports[name] = listener.getsockname()[1]
        if host.listens == "black hole":
            listener.listen(0)
            for _ in range(3):  # the queue of those who wait to be let in is full from now on
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with suppress(BlockingIOError):
                    waiting.connect(listener.getsockname())

    @asynccontextmanager
    async def _serving(self, host: Host) -> AsyncIterator[int]:
        open_tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            open_tasks.add(task)
            self.connections += 1
            try:
                with suppress(OSError, EOFError, asyncio.CancelledError):
                    await host.serve(reader, writer)
            finally:
                self.connections -= 1
                open_tasks.discard(task)
                writer.close()
                with suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

        context = certified(host.shows) if host.shows else None
        server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=0.2 if context else None
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in list(open_tasks):
                task.cancel()
            await asyncio.gather(*open_tasks, return_exceptions=True)


@asynccontextmanager
async def network(**hosts: Host) -> AsyncIterator[Network]:
    """Let the named hosts behave as given ("api_agora_io" for api.agora.io) and all others be healthy."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes that fail, as they shall
    async with AsyncExitStack() as stack:
        there = Network()
        await there.listen("", WELL, stack)
        for name, host in hosts.items():
            await there.listen(name, host, stack)
        yield there
