"""A transport that calls an ASGI application in this process: the simulator without a socket."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self
from urllib.parse import unquote, urlencode, urlsplit

import anyio

from agora_analytics.engine.transports import LARGEST_BODY
from agora_analytics.engine.transports.content_encoding import BodyReader
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]


class AsgiTransport:
    """Passes each request to an ASGI application, as a server does.

    The application may call `scope["state"]["abort"]` to break the connection.

    Args:
        app: the application.
        largest_body: bytes of a decompressed body above which a response is refused.
    """

    reports_sent = True

    def __init__(self, app: AsgiApp, *, largest_body: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest_body = largest_body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        start = anyio.current_time()
        exchange = _Exchange(request, self._largest_body)
        if request.on_sent is not None:
            request.on_sent()
        with anyio.move_on_after(request.timeout) as within:
            try:
                await self._app(exchange.scope(), exchange.receive, exchange.send)
            except Exception:
                if exchange.refused is None:  # otherwise the application passed on the refusal
                    raise
        if within.cancelled_caught:
            raise TransportFailure(FailureKind.READ_TIMEOUT, f"no whole response in {request.timeout:g} s")
        return exchange.response(anyio.current_time() - start)

    async def aclose(self) -> None:
        """Nothing to close."""


class _Exchange:
    """One request and the response of the application."""

    def __init__(self, request: Request, largest_body: int) -> None:
        self._request = request
        self._largest_body = largest_body
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = BodyReader("", largest_body)
        self.refused: TransportFailure | None = None
        """Why the body cannot be used."""
        self._complete = False
        self._aborted = False
        self._received = False

    def scope(self) -> AsgiMessage:
        request, url = self._request, urlsplit(self._request.base_url)
        headers = {"host": url.netloc, **{name.lower(): value for name, value in request.headers.items()}}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": unquote(request.path),
            "raw_path": request.path.encode(),
            "query_string": urlencode(request.query).encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": (url.hostname, url.port),
            "state": {"abort": self._abort},
        }

    async def receive(self) -> AsgiMessage:
        if self._received:
            await anyio.sleep_forever()
        self._received = True
        return {"type": "http.request", "body": self._request.body, "more_body": False}

    async def send(self, message: AsgiMessage) -> None:
        try:
            await self._receive_part(message)
        except TransportFailure as failure:
            self.refused = failure
            raise

    async def _receive_part(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [(name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"]]
            self._headers = dict(headers)
            encodings = [value for name, value in headers if name == "content-encoding"]
            self._body = BodyReader(",".join(encodings), self._largest_body)
        elif message["type"] == "http.response.body":
            await self._body.feed(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    def response(self, elapsed: float) -> Response:
        if self.refused is not None:
            raise self.refused
        if self._status is None:
            raise TransportFailure(FailureKind.RESET, "the application sent nothing")
        if self._aborted or not self._complete:
            raise TransportFailure(FailureKind.CUT_OFF, "the application stopped in the middle")
        return Response(
            status=self._status,
            headers=self._headers,
            body=self._body.finish(),
            elapsed=elapsed,
            first_byte=elapsed,
        )

    def _abort(self) -> None:
        self._aborted = True
