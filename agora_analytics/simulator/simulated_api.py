"""Base class of the simulated APIs: counts each request, checks credentials and limits, injects faults and responds."""

import gzip
import time
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Mapping
from email.utils import formatdate
from random import Random
from typing import Any, TypedDict

import anyio
import msgspec
from attrs import evolve, field, frozen
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from agora_analytics.simulator.counters import RateWindows, Seen
from agora_analytics.simulator.dirt import Dirt, dirty_response
from agora_analytics.simulator.faults import (
    GATEWAY_RESPONSES,
    FaultKind,
    Faults,
    break_connection,
    hang,
    send_half,
)

JSON = b"application/json"
NO_ROUTE = "no route"
_SMALLEST_COMPRESSED = 500


@frozen
class Reply:
    """A response before it is sent.

    Attributes:
        refusal: the name under which `Seen.refused` counts it. Empty: the status, if it is 400 or higher.
        points: the number of data points in the body.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    refusal: str = ""
    points: int = 0

    @classmethod
    def of(
        cls, fields: Mapping[str, Any], status: int = 200, *, refusal: str = "", points: int = 0
    ) -> "Reply":
        """Return a JSON response."""
        return cls(status, msgspec.json.encode(fields), refusal=refusal, points=points)


@frozen(eq=False)
class Arrival:
    """A request as it is counted. `now` is the server's clock, `peer` the IP address of the client."""

    endpoint: str
    method: str
    number: int
    now: float
    headers: Headers = field(repr=False)  # they hold the secret
    query: QueryParams
    parts: Mapping[str, str]
    body: bytes = field(repr=False)
    peer: str = ""

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return f"{self.number:08x}{self.number * 2654435761 % (1 << 96):024x}"

    @property
    def host(self) -> str:
        """The requested host, without its port."""
        return self.headers.get("host", "").partition(":")[0]

    @property
    def media_type(self) -> str:
        """The content type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    def json_object(self) -> dict[str, Any] | None:
        """Return the body if it is a JSON object; otherwise None."""
        try:
            body = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None
        return body if isinstance(body, dict) else None


class ApiSettings(TypedDict, total=False):
    """The settings that every simulated API takes; see `SimulatedApi`."""

    now: Callable[[], float]
    clock_skew: float
    latency: tuple[float, float]
    faults: Faults | None
    dirt: Dirt | None
    compress: bool


class SimulatedApi(ABC):
    """Base class of the simulated APIs.

    Args:
        routes: the path of each endpoint and its method; several methods are separated by spaces.
        credentials: the secret of each customer id, for Basic authentication. None: requests are not checked before
            their limits.
        now: returns the true time in epoch seconds.
        clock_skew: seconds by which the server's clock is ahead of `now`. The server counts, checks and dates by
            its own clock.
        latency: the least and the most seconds that a request takes. Half of it passes before the request is
            counted, half after.
        faults: the faults to inject.
        dirt: the responses and records to make dirty.
        compress: responds with gzip if the client accepts it.

    Attributes:
        app: the ASGI application.
        seen: what the server received, accepted and refused.
        rate_windows: the requests in each rate window.
        clock_skew: as the argument. Set it while the simulator runs to let the server's clock step.
    """

    def __init__(
        self,
        routes: Mapping[str, tuple[str, str]],
        *,
        credentials: Mapping[str, str] | None,
        now: Callable[[], float] = time.time,
        clock_skew: float = 0.0,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: Faults | None = None,
        dirt: Dirt | None = None,
        compress: bool = False,
    ) -> None:
        self.seen = Seen()
        self.rate_windows = RateWindows()
        self._credentials = None if credentials is None else dict(credentials)
        self._now = now
        self.clock_skew = clock_skew
        self._latency = latency
        self._latencies = Random(2)
        self._next_fault = (faults or Faults()).dice()
        self._dirt = dirt
        self._compress = compress
        self._received = 0
        self.app = Starlette(
            routes=[Route(path, _Endpoint(self, name, methods)) for name, (methods, path) in routes.items()]
        )
        self.app.router.default = self.no_route
        self.app.router.redirect_slashes = False

    @abstractmethod
    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request against the rate limits. Return the refusal if it exceeds them."""

    @abstractmethod
    async def respond(self, arrival: Arrival) -> Reply:
        """Perform a request that is within the limits and return the response."""

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the credentials of a request are valid."""
        if self._credentials is None:
            return True
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            customer, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return False
        return scheme.lower() == "basic" and self._credentials.get(customer) == secret

    def clock(self) -> float:
        """Return the server's time in epoch seconds."""
        return self._now() + self.clock_skew

    async def handle(self, endpoint: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, from its arrival to the last byte of the response."""
        half = self._latencies.uniform(*self._latency) / 2
        await _pass(half)
        arrival = await self._arrival(endpoint, scope, receive)
        self.seen.arrived(endpoint, arrival.now)
        if not self.is_authorised(arrival.headers):
            message = "Invalid authentication credentials"
            self.seen.refused[endpoint, message] += 1
            await self._send(send, arrival, Reply.of({"message": message}, 401))
            return
        refusal = self.check_limits(arrival)
        if refusal is None:
            self.seen.accepted[endpoint] += 1
        else:
            self._count_refusal(endpoint, refusal)
        fault = self._next_fault(endpoint)
        if fault is not None:
            self.seen.faults[fault] += 1
        if fault == "reset":
            break_connection(scope, "abort")
        elif fault == "hang":
            await hang(scope, receive)
        elif fault in GATEWAY_RESPONSES:
            status, content_type, body = GATEWAY_RESPONSES[fault]
            await _pass(half)
            await self._send(send, arrival, Reply(status, body, content_type))
        else:
            reply = refusal or await self.respond(arrival)
            if refusal is None:
                self._count_refusal(endpoint, reply)
            await _pass(half)
            await self._send_with_fault(fault, scope, send, arrival, reply)

    def _count_refusal(self, endpoint: str, reply: Reply) -> None:
        if name := reply.refusal or (str(reply.status) if reply.status >= 400 else ""):
            self.seen.refused[endpoint, name] += 1

    async def _send_with_fault(
        self, fault: FaultKind | None, scope: Scope, send: Send, arrival: Arrival, reply: Reply
    ) -> None:
        """Send a response whole, or damage it on its way. The request has already had its effect."""
        if fault == "lost-answer":
            break_connection(scope, "abort")
        elif fault == "cut-off":
            reply = self._compressed(arrival, reply)
            await send_half(scope, send, self._start(arrival, reply), reply.body)
        elif fault == "broken-json":
            await self._send(send, arrival, Reply(200, reply.body[: len(reply.body) * 2 // 3] + b',,"'))
        else:
            await self._send(send, arrival, self._dirty(arrival, reply))
            self.seen.points[arrival.endpoint] += reply.points

    async def no_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond as the gateway does to an unknown path or method."""
        if scope["type"] == "http":
            self.seen.requests[NO_ROUTE] += 1
            arrival = await self._arrival(NO_ROUTE, scope, receive)
            fields = {"message": "no Route matched with those values"}
            await self._send(send, arrival, Reply.of(fields, 404))

    async def _arrival(self, endpoint: str, scope: Scope, receive: Receive) -> Arrival:
        body, more = b"", scope["method"] not in {"GET", "HEAD"}
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._received += 1
        return Arrival(
            endpoint=endpoint,
            method=scope["method"],
            number=self._received,
            now=self.clock(),
            headers=Headers(scope=scope),
            query=QueryParams(scope["query_string"]),
            parts=scope.get("path_params", {}),
            body=body,
            peer=(scope.get("client") or ("", 0))[0],
        )

    def _dirty(self, arrival: Arrival, reply: Reply) -> Reply:
        if self._dirt is None:
            return reply
        dirty = dirty_response(self._dirt, arrival.endpoint, arrival.number, reply.status, reply.body)
        self.seen.dirt.update(dirty.kinds)
        self.seen.unreadable.update((arrival.endpoint, key) for key in dirty.unreadable)
        return evolve(reply, body=dirty.body, headers=(*reply.headers, *dirty.headers))

    def _compressed(self, arrival: Arrival, reply: Reply) -> Reply:
        if not self._compress or len(reply.body) <= _SMALLEST_COMPRESSED:
            return reply
        if any(name == b"content-encoding" for name, _ in reply.headers):
            return reply
        if "gzip" not in arrival.headers.get("accept-encoding", ""):
            return reply
        headers = (*reply.headers, (b"content-encoding", b"gzip"))
        return evolve(reply, body=gzip.compress(reply.body, 1), headers=headers)

    def _start(self, arrival: Arrival, reply: Reply) -> dict[str, object]:
        headers = {
            b"content-type": reply.content_type,
            b"content-length": b"%d" % len(reply.body),
            b"date": formatdate(self.clock(), usegmt=True).encode(),
            b"x-request-id": arrival.request_id.encode(),
            **dict(reply.headers),
        }
        return {"type": "http.response.start", "status": reply.status, "headers": list(headers.items())}

    async def _send(self, send: Send, arrival: Arrival, reply: Reply) -> None:
        reply = self._compressed(arrival, reply)
        await send(self._start(arrival, reply))
        await send({"type": "http.response.body", "body": reply.body})


async def _pass(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)


@frozen
class _Endpoint:
    """The ASGI application of one path. Starlette's own endpoints cannot reset a connection, as some faults do."""

    api: SimulatedApi
    name: str
    methods: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self.methods.split():
            await self.api.handle(self.name, scope, receive, send)
        else:
            await self.api.no_route(scope, receive, send)


class CombinedSimulator:
    """Serves several simulators at one address. Each counts for itself; the first responds to unknown paths.

    Example:
        sim = CombinedSimulator(Simulator(world), OpenTokSimulator(sessions), ApsaraVideoSimulator(metrics))
        with serve_in_thread(sim) as base_url:
            ...
    """

    def __init__(self, *simulators: SimulatedApi) -> None:
        self._apps = [simulator.app for simulator in simulators]
        self.app = Starlette()
        self.app.router.default = self._dispatch

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        matching = (
            app for app in self._apps if any(route.matches(scope)[0] is Match.FULL for route in app.routes)
        )
        await next(matching, self._apps[0])(scope, receive, send)
