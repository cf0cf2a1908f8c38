"""Names to addresses, off the event loop: whoever asks for a name that is being looked up waits with the others."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

Address = tuple[str, int]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""(host name, port) -> addresses to connect to, the best first. Raises `socket.gaierror` if there are none."""


class SystemResolver:
    """Asks the machine's resolver, in one thread for each name.

    The thread is a daemon of its own: a resolver that hangs keeps neither the process alive nor a place in the
    loop's thread pool, where bodies are decoded. A later question joins the one that hangs.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], asyncio.Future[Sequence[Address]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host."""
        if is_address(host):
            return [(host, port)]
        if (host, port) not in self._asked:
            self._asked[host, port] = self._ask(host, port)
        return await asyncio.shield(self._asked[host, port])

    def _ask(self, host: str, port: int) -> "asyncio.Future[Sequence[Address]]":
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Sequence[Address]] = loop.create_future()

        def tell(addresses: Sequence[Address], error: OSError | None) -> None:
            self._asked.pop((host, port), None)
            if error is None:
                told.set_result(addresses)
            else:
                told.set_exception(error)
                told.exception()  # seen, even if nobody waits any more

        def look_up() -> None:
            addresses: Sequence[Address] = ()
            error = None
            try:
                addresses = _addresses(host, port)
            except OSError as failure:
                error = failure
            except UnicodeError as failure:  # a label of a name is empty or too long
                error = socket.gaierror(socket.EAI_NONAME, str(failure))
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, addresses, error)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return told


def is_address(host: str) -> bool:
    """Return whether a host is an IP address already."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(place[0]), int(place[1])) for *_, place in found))
