"""How a request reaches a host: a small protocol, and one file for each library that can speak it."""

from typing import Protocol

from agora_analytics.messages import Request, Response

CONNECT_TIMEOUT = 4.0
"""Seconds to reach a host, its name included, and as many to agree on TLS. A lost SYN is sent again after 1 and 3 s, so
this is the least that survives two losses; a host that is gone costs twice as much before another has its turn."""

SHARE_OF_DNS = 0.8
"""Of the time to reach a host: a resolver that hangs must be told apart from a host that does."""

CONNECTIONS = 128
"""How many connections a transport opens at the same time."""

LARGEST_BODY = 256 * 2**20
"""Bytes of a body, unpacked, above which an answer is refused. A full metrics answer has about 125 MB."""


class Transport(Protocol):
    """Sends one request and returns the whole answer. Any object with these two methods will do.

    One that also has `resolve(host, port)` (see `engine.resolving`) lets the engine find out which area a primary host
    stands for. One that also has `open()`, a coroutine, makes there what would hold up the first requests: it is awaited
    before a request has its place in the pace.
    """

    async def send(self, request: Request) -> Response:
        """Send one request, within `request.timeout` seconds. Redirects are not followed.

        Raises:
            TransportFailure: if no whole answer came; its `kind` tells why.
        """
        ...

    async def aclose(self) -> None:
        """Close what the transport opened itself."""
        ...
