"""A TCP proxy between a client and a server: adds latency, freezes the network, cuts connections."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from tests.services.server import HOST

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without seconds: closing sends a reset


class Proxy:
    """Listens on a port of loopback and forwards each connection to another port. A method returns when it is done.

    While it is frozen, the system still acknowledges what either side sends. So `tcp_user_timeout` does not end a
    request of a client; its own timeout does.
    """

    def __init__(self, target: int, latency: float = 0.0) -> None:
        self.target = target
        self.latency = latency
        """Seconds that data take each way. It may be set at any time, and counts for what is sent afterwards."""
        self.connections = 0
        """How many connections the proxy has accepted."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._links: dict[Any, list[asyncio.StreamWriter]] = {}
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = self._wait_for(asyncio.start_server(self._accept, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Hold back all data and closed connections, both ways, without a reset. A new connection opens and gets no answer."""
        self._do(self._flows.clear)

    def heal(self) -> None:
        """Deliver what was held back, as TCP does when it sends its packets again after a partition."""
        self._do(self._flows.set)

    def cut(self) -> None:
        """Reset all connections, on both sides. What was held back is lost. New connections are accepted."""
        self._do(self._reset_all)

    def close(self) -> None:
        """Reset all connections and stop listening."""
        self._wait_for(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = [writer]
        link = asyncio.current_task()
        self._links[link] = writers
        try:
            await self._flows.wait()
            target_reader, target_writer = await asyncio.open_connection(HOST, self.target)
            writers.append(target_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, target_writer))
                both.create_task(self._forward(target_reader, writer))
            for each in writers:
                each.close()
            for each in writers:
                await each.wait_closed()
        except* OSError:  # the server does not listen, or a side has reset the connection
            _reset(writers)
        finally:
            del self._links[link]

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction. A chunk leaves `latency` after its arrival, and not while the network is frozen."""
        arrived: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue()

        async def receive() -> None:
            chunk: bytes | OSError = b"-"
            while chunk and not isinstance(chunk, OSError):
                try:
                    chunk = await reader.read(65_536)
                except OSError as error:
                    chunk = error
                arrived.put_nowait((self._loop.time() + self.latency, chunk))

        receiving = asyncio.create_task(receive())
        try:
            while True:
                due, chunk = await arrived.get()
                await asyncio.sleep(due - self._loop.time())
                await self._flows.wait()
                if isinstance(chunk, OSError):
                    raise chunk
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            receiving.cancel()

    def _reset_all(self) -> None:
        for link, writers in self._links.items():
            _reset(writers)
            link.cancel()

    async def _close(self) -> None:
        self._server.close()
        links = list(self._links)
        self._reset_all()
        await asyncio.gather(*links, return_exceptions=True)
        await asyncio.sleep(0)  # what was reset is closed in the next round of the loop

    def _do(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._wait_for(call())

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)


def _reset(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        with suppress(OSError):  # it is closed
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
