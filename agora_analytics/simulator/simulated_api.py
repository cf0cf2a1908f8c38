"""What the smaller simulated APIs have in common: a request arrives, is counted, may break, has its effect, is answered."""

import time
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Mapping
from email.utils import formatdate
from random import Random
from typing import Any

import anyio
import msgspec
from attrs import field, frozen
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agora_analytics.simulator.counters import RateCounter, Seen
from agora_analytics.simulator.faults import GATEWAY_ANSWERS, FaultKind, Faults, hang, reset, send_half

JSON = b"application/json"


@frozen
class Reply:
    """An answer before it is sent."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any], status: int = 200) -> "Reply":
        """Return a JSON answer."""
        return cls(status, msgspec.json.encode(fields))


@frozen(eq=False)
class Arrival:
    """A request at the moment that it is counted, by the server's clock."""

    endpoint: str
    method: str
    number: int
    now: float
    headers: Headers = field(repr=False)  # they hold the secret
    query: QueryParams
    parts: Mapping[str, str]
    body: bytes = field(repr=False)
    peer: str = ""
    """The IP address that it came from."""

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return f"{self.number:08x}{self.number * 2654435761 % (1 << 96):024x}"

    @property
    def host(self) -> str:
        """The host that was asked, without its port."""
        return self.headers.get("host", "").partition(":")[0]


class SimulatedApi(ABC):
    """The base of a simulated API.

    Args:
        routes: the method, or several with spaces between, and the path of each endpoint.
        credentials: secrets by customer id.
        now: the true time in epoch seconds.
        latency: bounds in seconds; half of it passes before the request is counted, half after.
        faults: what goes wrong.

    Attributes:
        app: the ASGI application.
        seen: what it counted.
    """

    def __init__(
        self,
        routes: Mapping[str, tuple[str, str]],
        *,
        credentials: Mapping[str, str],
        now: Callable[[], float] = time.time,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: Faults | None = None,
    ) -> None:
        self.seen = Seen()
        self.budgets = RateCounter()
        self._credentials = dict(credentials)
        self._now = now
        self._latency = latency
        self._retry = Random(3)
        self._throw = (faults or Faults()).dice()
        self._numbered = 0
        self.app = Starlette(
            routes=[Route(path, _Endpoint(self, name, methods)) for name, (methods, path) in routes.items()]
        )
        self.app.router.default = self.no_route
        self.app.router.redirect_slashes = False

    @abstractmethod
    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request, and return the refusal if there were too many."""

    @abstractmethod
    async def respond(self, arrival: Arrival) -> Reply:
        """Do what is asked for, and return the answer."""

    def knows(self, headers: Headers) -> bool:
        """Return whether the credentials are right."""
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            customer, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return False
        return scheme.lower() == "basic" and self._credentials.get(customer) == secret

    def clock(self) -> float:
        """Return the server's time in epoch seconds."""
        return self._now()

    async def answer(self, endpoint: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request from its arrival to the last byte."""
        half = self._retry.uniform(*self._latency) / 2
        await anyio.sleep(half)
        arrival = await self._arrival(endpoint, scope, receive)
        self.seen.arrived(endpoint, arrival.now)
        if not self.knows(arrival.headers):
            await self._send(send, arrival, _gateway(401, "Invalid authentication credentials"))
            return
        refusal = self.check_limits(arrival)
        fault = self._throw(endpoint)
        if fault is not None:
            self.seen.faults[fault] += 1
        if fault == "reset":
            reset(scope)
        elif fault == "hang":
            await hang(scope, receive)
        elif fault in GATEWAY_ANSWERS:
            status, content_type, body = GATEWAY_ANSWERS[fault]
            await self._send(send, arrival, Reply(status, body, content_type))
        else:
            made = await self._made(arrival, refusal)
            await anyio.sleep(half)
            await self._send_broken(fault, scope, send, arrival, made)

    async def _made(self, arrival: Arrival, refusal: Reply | None) -> Reply:
        if refusal is None:
            self.seen.accepted[arrival.endpoint] += 1
        made = refusal or await self.respond(arrival)
        if made.status >= 400:
            self.seen.refused[arrival.endpoint, str(made.status)] += 1
        return made

    async def _send_broken(
        self, fault: FaultKind | None, scope: Scope, send: Send, arrival: Arrival, made: Reply
    ) -> None:
        """Send an answer whole, or spoil it on its way: what was asked for is done already."""
        if fault == "lost-answer":
            reset(scope)
        elif fault == "cut-off":
            await send_half(scope, send, self._start(arrival, made), made.body)
        elif fault == "broken-json":
            await self._send(send, arrival, Reply(200, made.body[: len(made.body) * 2 // 3] + b',,"'))
        else:
            await self._send(send, arrival, made)

    async def no_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the gateway does for a path or a method that it does not know."""
        if scope["type"] == "http":
            self.seen.requests["no route"] += 1
            arrival = await self._arrival("no route", scope, receive)
            await self._send(send, arrival, _gateway(404, "no Route matched with those values"))

    async def _arrival(self, endpoint: str, scope: Scope, receive: Receive) -> Arrival:
        body, more = b"", scope["method"] not in {"GET", "HEAD"}
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._numbered += 1
        return Arrival(
            endpoint=endpoint,
            method=scope["method"],
            number=self._numbered,
            now=self.clock(),
            headers=Headers(scope=scope),
            query=QueryParams(scope["query_string"]),
            parts=scope.get("path_params", {}),
            body=body,
            peer=(scope.get("client") or ("", 0))[0],
        )

    def _start(self, arrival: Arrival, made: Reply) -> dict[str, object]:
        headers = [
            (b"content-type", made.content_type),
            (b"content-length", b"%d" % len(made.body)),
            (b"date", formatdate(self.clock(), usegmt=True).encode()),
            (b"x-request-id", arrival.request_id.encode()),
            *made.headers,
        ]
        return {"type": "http.response.start", "status": made.status, "headers": headers}

    async def _send(self, send: Send, arrival: Arrival, made: Reply) -> None:
        await send(self._start(arrival, made))
        await send({"type": "http.response.body", "body": made.body})


def _gateway(status: int, message: str) -> Reply:
    return Reply.of({"message": message}, status)


@frozen
class _Endpoint:
    """One path as Starlette routes to it: an ASGI application, because some faults are no HTTP answer at all."""

    exchange: SimulatedApi
    name: str
    methods: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self.methods.split():
            await self.exchange.answer(self.name, scope, receive, send)
        else:
            await self.exchange.no_route(scope, receive, send)
