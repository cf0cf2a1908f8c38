"""How a request reaches a host: the `Transport` protocol, and one module for each HTTP library."""

from typing import Protocol

from agora_analytics.messages import Request, Response

CONNECT_TIMEOUT = 4.0
"""Seconds to connect to a host, DNS included, and again for TLS. A lost SYN is repeated after 1 and 3 s, so this is the
shortest time that survives two losses. A dead host costs twice as much before another one is tried."""

SHARE_OF_DNS = 0.8
"""The part of `CONNECT_TIMEOUT` that DNS may take, so that a hanging resolver is not mistaken for a hanging host."""

CONNECTIONS = 128
"""How many connections a transport opens at the same time."""

LARGEST_BODY = 256 * 2**20
"""Bytes of a decompressed body above which a response is refused. A full metrics response has about 125 MB."""

LONGEST_URL = 65_536
"""Characters of a URL above which a request is refused before it is sent, as in httpx."""


class Transport(Protocol):
    """Sends one request and returns the whole response. Any object with these two methods is a transport.

    With a method `resolve(host, port)` (see `engine.transports.dns`) the engine can find the region of a primary host. A coroutine
    method `open()` prepares what would delay the first request, which would miss its rate-limit slot; it is awaited
    before a request waits for its slot.

    A transport with an attribute `reports_sent` that is true calls `request.on_sent`, if it is not None, exactly once for a
    request that was sent: when its head has been written to the socket, and at the latest before `send` returns. It does
    not call it for a request that cannot have reached the server. The requests of other transports count when they are
    passed to `send`.
    """

    async def send(self, request: Request) -> Response:
        """Send one request, within `request.timeout` seconds. Redirects are not followed.

        Raises:
            TransportFailure: there is no whole response; `kind` says why.
        """
        ...

    async def aclose(self) -> None:
        """Close what the transport opened itself."""
        ...


class SentReport:
    """Reports that a request was sent, once."""

    __slots__ = ("_on_sent",)

    def __init__(self, request: Request) -> None:
        self._on_sent = request.on_sent

    def __call__(self) -> None:
        """Call `request.on_sent`, unless an earlier call did."""
        on_sent, self._on_sent = self._on_sent, None
        if on_sent is not None:
            on_sent()
