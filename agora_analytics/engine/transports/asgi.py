"""A transport that calls an ASGI application in this process: the simulator without a socket."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import anyio

from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]


class AsgiTransport:
    """Passes each request to an ASGI application, as a server does.

    The application may call `scope["state"]["abort"]` to break the connection.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        start = anyio.current_time()
        exchange = _Exchange(request)
        with anyio.move_on_after(request.timeout) as within:
            await self._app(exchange.scope(), exchange.receive, exchange.send)
        if within.cancelled_caught:
            raise TransportFailure(FailureKind.READ_TIMEOUT, f"no whole response in {request.timeout:g} s")
        return exchange.response(anyio.current_time() - start)

    async def aclose(self) -> None:
        """Nothing to close."""


class _Exchange:
    """One request and the response of the application."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
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
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    def response(self, elapsed: float) -> Response:
        if self._status is None:
            raise TransportFailure(FailureKind.RESET, "the application sent nothing")
        if self._aborted or not self._complete:
            raise TransportFailure(FailureKind.CUT_OFF, "the application stopped in the middle")
        return Response(
            status=self._status,
            headers=self._headers,
            body=b"".join(self._body),
            elapsed=elapsed,
            first_byte=elapsed,
        )

    def _abort(self) -> None:
        self._aborted = True
