"""Resolves host names in threads. Concurrent lookups of a name share one thread."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

import anyio

from agora_analytics.engine.transports import SHARE_OF_DNS

Address = tuple[str, int]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""(host name, port) -> addresses to connect to, the best first. Raises `socket.gaierror` if there are none."""


async def resolve_within(
    resolve: Resolve, host: str, port: int, connect_timeout: float | None
) -> Sequence[Address]:
    """Resolve a host in the part of the time to connect that DNS may take. Raises `socket.gaierror`."""
    seconds = None if connect_timeout is None else connect_timeout * SHARE_OF_DNS
    with anyio.move_on_after(seconds):
        return await resolve(host, port)
    raise socket.gaierror(socket.EAI_AGAIN, f"DNS did not answer in {seconds:g} s")


class SystemResolver:
    """Calls the system resolver, in one thread for each name.

    The threads are daemons outside the loop's thread pool: a resolver that hangs keeps neither the process alive nor a
    thread of the pool, where bodies are decoded. A later lookup of the name joins the one that hangs.
    """

    def __init__(self) -> None:
        self._lookups: dict[Address, asyncio.Future[Sequence[Address]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host."""
        if is_address(host):
            return [(host, port)]
        if (host, port) not in self._lookups:
            self._lookups[host, port] = self._look_up(host, port)
        return await asyncio.shield(self._lookups[host, port])

    def _look_up(self, host: str, port: int) -> "asyncio.Future[Sequence[Address]]":
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Sequence[Address]] = loop.create_future()

        def forget(done: "asyncio.Future[Sequence[Address]]") -> None:
            del self._lookups[host, port]
            done.exception()  # retrieved, even if no caller waits any more

        def resolve() -> None:
            finish: Callable[[], None]
            try:
                finish = partial(result.set_result, _addresses(host, port))
            except OSError as error:
                finish = partial(result.set_exception, error)
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(finish)

        result.add_done_callback(forget)
        threading.Thread(target=resolve, name=f"resolve {host}", daemon=True).start()
        return result


def is_address(host: str) -> bool:
    """Return whether a host is an IP address already."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str, port: int) -> list[Address]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return list(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in entries))
