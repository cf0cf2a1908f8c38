"""Connects for httpcore: resolves the name, then tries its addresses in parallel (RFC 8305, happy eyeballs)."""

import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import anyio
import httpcore

from agora_analytics.engine.transports.dns import Address, Resolve, resolve_within

HEAD_START = 0.25
"""Seconds after which the next address is tried in parallel (RFC 8305)."""


class Dialer(httpcore.AnyIOBackend):
    """Resolves names with the transport's resolver, and connects to the first address that answers."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect within `timeout` seconds, DNS included."""
        connect = super().connect_tcp

        async def dial(address: Address) -> httpcore.AsyncNetworkStream:
            return await connect(*address, None, local_address, socket_options)

        try:
            with anyio.fail_after(timeout):
                addresses = await resolve_within(self._resolve, host, port, timeout)
                return _Closing(await _first_to_connect(dial, addresses))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection in {timeout:g} s") from error
        except socket.gaierror as error:  # raised here, because httpcore drops causes and keeps contexts
            raise httpcore.ConnectError(str(error)) from error


async def _first_to_connect(dial: Any, addresses: Sequence[Address]) -> httpcore.AsyncNetworkStream:
    if len(addresses) == 1:
        return await dial(addresses[0])  # type: ignore[no-any-return]
    connected: list[httpcore.AsyncNetworkStream] = []
    failures: list[Exception] = []

    async def attempt(address: Address, over: anyio.Event) -> None:
        try:
            connected.append(await dial(address))
            group.cancel_scope.cancel()
        except httpcore.ConnectError as failure:
            failures.append(failure)
        finally:
            over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(attempt, address, over)
                with anyio.move_on_after(HEAD_START):
                    await over.wait()
    except BaseException:  # cancelled from outside after one attempt succeeded
        await _close(connected)
        raise
    if not connected:
        raise failures[-1] if failures else httpcore.ConnectError("the host name has no address")
    await _close(connected[1:])
    return connected[0]


async def _close(streams: Sequence[httpcore.AsyncNetworkStream | httpcore.AsyncConnectionInterface]) -> None:
    with anyio.CancelScope(shield=True):
        for stream in streams:
            await stream.aclose()


class Pool(httpcore.AsyncConnectionPool):
    """A pool that drops a connection whose request was cancelled before it began.

    The pool of httpcore 1.0.9 keeps such a connection forever: it is neither idle nor closed, and has no request.
    """

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """See `httpcore.AsyncConnectionPool`."""
        try:
            return await super().handle_async_request(request)
        except BaseException:
            await self._drop_abandoned()
            raise

    async def _drop_abandoned(self) -> None:
        in_use = [pooled.connection for pooled in self._requests]
        for connection in self.connections:
            if not (connection in in_use or connection.is_idle() or connection.is_closed()):
                self._connections.remove(connection)
                await _close([connection])


class _Closing(httpcore.AsyncNetworkStream):
    """A stream that is closed when its TLS handshake is cancelled; httpcore leaks it."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await _close([self._stream])
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
