"""Serves a simulator over HTTP with uvicorn: in the running event loop, in a thread, or as a program."""

import asyncio
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
from anyio.from_thread import start_blocking_portal
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from agora_analytics.simulator.simulated_api import CombinedSimulator, SimulatedApi

ServedSimulator = SimulatedApi | CombinedSimulator


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol; the application can break connections by `scope["state"]["abort"]` and `["cut"]`."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        breaks = {"abort": self.abort, "cut": self.cut}
        super().__init__(config, server_state, {**app_state, **breaks}, _loop)

    def abort(self) -> None:
        """Reset the connection: the client's next read fails with ECONNRESET."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            # With a linger of 0 seconds, closing sends RST instead of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._disconnected()
        self.transport.abort()

    def cut(self) -> None:
        """Send what was written and close, even if the response is incomplete."""
        self._disconnected()
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection when the server stops. A hanging response is aborted, so that it does not delay that."""
        # uvicorn's annotation omits that there may be no cycle yet.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.abort()
        else:
            super().shutdown()

    def _disconnected(self) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


class _Server(uvicorn.Server):
    """A server in an event loop of the caller. It stops at once and installs no signal handlers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(sim: ServedSimulator, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        sim.app,
        host=host,
        port=port,
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )


def _listener(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only if the protocol is named. Without it each response waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


@asynccontextmanager
async def serve(sim: ServedSimulator, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve a simulator in the running event loop during the block.

    Args:
        sim: the simulator.
        port: the port to listen on; 0 selects a free one.
        host: the address to listen on.

    Yields:
        The base URL, for example `http://127.0.0.1:40123`.

    Example:
        async with serve(sim) as base_url:
            ...
    """
    with _listener(host, port) as listener:
        bound = listener.getsockname()[1]
        server = _Server(_config(sim, host, bound))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        try:
            yield f"http://{host}:{bound}"
        finally:
            server.stopping.set()
            await running


@contextmanager
def serve_in_thread(sim: ServedSimulator, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a simulator in a thread with its own event loop during the block. Yields the base URL, as `serve` does."""
    with (
        start_blocking_portal(name="agora-simulator") as portal,
        portal.wrap_async_context_manager(serve(sim, port, host)) as url,
    ):
        yield url


def run(
    sim: ServedSimulator,
    host: str = "127.0.0.1",
    port: int = 8080,
    on_start: Callable[[str], object] | None = None,
) -> None:
    """Serve a simulator until Ctrl-C or SIGTERM, then return. Unfinished responses are dropped.

    Args:
        sim: the simulator.
        host: the address to listen on.
        port: the port to listen on; 0 selects a free one.
        on_start: called with the base URL when the server accepts connections.

    Raises:
        OSError: the address is in use or not available.
    """

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Closing the loop removes the handlers. Windows has none, and there Ctrl-C raises KeyboardInterrupt.
            with suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve(sim, port, host) as url:
            if on_start is not None:
                on_start(url)
            await stop.wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(until_signal())
