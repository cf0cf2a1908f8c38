"""The simulated server: an ASGI application that counts, refuses, breaks on demand, and answers from its worlds."""

import gzip
import random
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate

import anyio
import msgspec
from attrs import field, frozen
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agora_analytics.agora.plans import OF_ONE_CALL, PLANS, REALTIME, Plan
from agora_analytics.simulator import responses
from agora_analytics.simulator.counters import RateCounter, Seen
from agora_analytics.simulator.faults import GATEWAY_ANSWERS, FaultKind, Faults, hang, reset, send_half
from agora_analytics.simulator.query_params import FORMS, inquiry
from agora_analytics.simulator.rules import (
    CALL_LISTS,
    CALL_METRICS,
    CALL_SESSIONS,
    NO_AUTH,
    Refused,
    check_window,
    question,
)
from agora_analytics.simulator.statistics import Statistics
from agora_analytics.simulator.world import World

DEMO_CREDENTIALS: Mapping[str, str] = {"demo-customer-id": "demo-customer-secret"}
STARTER = Plan(name="starter", limits={})
JSON = b"application/json"
NO_ROUTE = "no route"
LISTINGS = {name: f"/beta/analytics/{name}" for name in (CALL_LISTS, CALL_SESSIONS, CALL_METRICS)}


@frozen
class Answer:
    """A whole HTTP answer before it is sent; `points` is how many it holds."""

    status: int
    content_type: bytes
    body: bytes
    points: int = 0


@frozen(eq=False)
class _Arrival:
    """A request at the moment that it is counted, by the server's clock."""

    number: int
    endpoint: str
    now: float
    headers: Headers = field(repr=False)  # they hold the secret
    query: QueryParams
    body: bytes = b""

    @property
    def request_id(self) -> str:
        return f"{self.number:08x}{self.number * 2654435761 % (1 << 96):024x}"


class Simulator:
    """Plays Call Inspector, Data Insights and Real-time of one account for any number of apps.

    Args:
        worlds: one world, or several with different app ids.
        plan: the account's plan, or the name of one (`starter` has no API).
        credentials: secrets by customer id. They all belong to one account and share its quotas.
        now: the true time in epoch seconds.
        latency: bounds in seconds; half of it passes before the request is counted, half after.
        faults: what goes wrong.
        hidden_after: the list shows at most so many calls of a window, and says so with `has_more` on its last page.
        last_known: what `leave_ts` of a session that goes on says, of the server's time: the time itself, or one long
            past, or 0.
        shared_budget: sessions, metrics and statistics share one budget instead of having one each, and so do the
            endpoints of real time.
        clock_skew: seconds that the server's clock is ahead of `now`; it counts, checks and dates by its own clock.
        compress: answer with gzip where the client accepts it.

    Attributes:
        app: the ASGI application.
        seen: what it counted.

    Example:
        >>> sim = Simulator(World.generate(since=0, until=86_400, calls=10), plan="premium")
        >>> sim.seen.worst_window("call/lists")
        0
    """

    def __init__(
        self,
        worlds: World | Iterable[World],
        plan: str | Plan = "enterprise",
        *,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        now: Callable[[], float] = time.time,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: Faults | None = None,
        hidden_after: int | None = None,
        last_known: Callable[[float], int] = int,
        shared_budget: bool = False,
        clock_skew: float = 0.0,
        compress: bool = False,
    ) -> None:
        self.worlds = {world.app_id: world for world in ([worlds] if isinstance(worlds, World) else worlds)}
        self.plan = plan if isinstance(plan, Plan) else {"starter": STARTER, **PLANS}[plan]
        self.seen = Seen()
        self._credentials = dict(credentials)
        self._now = now
        self._latency = latency
        self._retry = random.Random(2)
        self._throw = (faults or Faults()).dice()
        self._hidden_after = hidden_after
        self._last_known = last_known
        self._shared_budget = shared_budget
        self._clock_skew = clock_skew
        self._compress = compress
        self._budgets = RateCounter()
        self._numbered = 0
        self._findings = {app_id: Statistics(world) for app_id, world in self.worlds.items()}
        endpoints = [_Endpoint(self, name, path) for name, path in LISTINGS.items()]
        endpoints += [_Endpoint(self, name, form.path, form.method) for name, form in FORMS.items()]
        self.app = Starlette(routes=[Route(endpoint.path, endpoint) for endpoint in endpoints])
        self.app.router.default = self.no_route
        self.app.router.redirect_slashes = False

    def clock(self) -> float:
        """Return the server's time in epoch seconds."""
        return self._now() + self._clock_skew

    async def answer(self, endpoint: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request of an endpoint from its arrival to the last byte."""
        half = self._retry.uniform(*self._latency) / 2
        await _pass(half)
        body = await _received(receive) if scope["method"] == "POST" else b""
        arrival = self._arrival(endpoint, scope, body)
        self.seen.arrived(endpoint, arrival.now)
        if not self._is_customer(arrival.headers.get("authorization", "")):
            message = "Invalid authentication credentials"
            self.seen.refused[endpoint, message] += 1
            await self._send(send, arrival, _gateway(401, message))
            return
        refusal = self._over_limit(endpoint, arrival)
        fault = self._throw(endpoint)
        if fault is not None:
            self.seen.faults[fault] += 1
        if fault == "reset":
            reset(scope)
        elif fault == "hang":
            await hang(scope, receive)
        elif fault in GATEWAY_ANSWERS:
            await _pass(half)
            await self._send(send, arrival, Answer(*GATEWAY_ANSWERS[fault]))
        else:
            made = await self._judged(endpoint, arrival, refusal)
            await _pass(half)
            await self._send_broken(fault, scope, send, arrival, made)

    def _arrival(self, endpoint: str, scope: Scope, body: bytes = b"") -> _Arrival:
        self._numbered += 1
        return _Arrival(
            number=self._numbered,
            endpoint=endpoint,
            now=self.clock(),
            headers=Headers(scope=scope),
            query=QueryParams(scope["query_string"]),
            body=body,
        )

    def _is_customer(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            customer, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return False
        return customer in self._credentials and self._credentials[customer] == secret

    def _over_limit(self, endpoint: str, arrival: _Arrival) -> Refused | None:
        limits = self.plan.limits.get(endpoint)
        reason: str | None = NO_AUTH
        if limits is not None:
            group = _shared(endpoint) if self._shared_budget else endpoint
            reason = self._budgets.refusal(arrival.query.get("appid", ""), group, limits, arrival.now)
        if reason is None:
            self.seen.accepted[endpoint] += 1
            return None
        refusal = Refused.by_limit(reason)
        self.seen.refused[endpoint, refusal.message] += 1
        return refusal

    async def _judged(self, endpoint: str, arrival: _Arrival, refusal: Refused | None) -> Answer:
        if refusal is None:
            try:
                return await self._success(endpoint, arrival)
            except Refused as refused:
                self.seen.refused[endpoint, refused.message] += 1
                refusal = refused
        head = {"code": refusal.code, "message": refusal.message}
        return Answer(200, JSON, msgspec.json.encode(head | _request_id(arrival)))

    async def _success(self, endpoint: str, arrival: _Arrival) -> Answer:
        if endpoint in FORMS:
            asked_for = inquiry(endpoint, arrival.query, arrival.body)
            self._world(asked_for.app_id)
            check_window(asked_for, self.plan.limits[endpoint], arrival.now)
            data = self._findings[asked_for.app_id].answer(asked_for, arrival.now)
            head = {"code": 200, "message": _message(arrival), "data": data}
            return Answer(200, JSON, msgspec.json.encode(head | _request_id(arrival)))
        asked = question(endpoint, arrival.query)
        world = self._world(asked.app_id)
        check_window(asked, self.plan.limits[endpoint], arrival.now)
        head = {"code": 200, "message": _message(arrival), "requestId": arrival.request_id}
        if endpoint == CALL_METRICS:
            array, points = await responses.metrics(world, asked, arrival.now)
            body = b'%b,"metrics":%b}' % (msgspec.json.encode(head)[:-1], array)
            return Answer(200, JSON, body, points)
        if endpoint == CALL_LISTS:
            page = responses.call_list(world, asked, arrival.now, self._hidden_after)
        else:
            page = responses.session_list(world, asked, arrival.now, self._last_known)
        return Answer(200, JSON, msgspec.json.encode(head | page))

    def _world(self, app_id: str) -> World:
        if (world := self.worlds.get(app_id)) is None:
            raise Refused(403, "Forbidden: no permission for this appid")
        return world

    async def _send_broken(
        self, fault: FaultKind | None, scope: Scope, send: Send, arrival: _Arrival, made: Answer
    ) -> None:
        """Send an answer whole, or spoil it on its way."""
        if fault == "lost-answer":
            reset(scope)
        elif fault == "cut-off":
            made, start = self._started(arrival, made)
            await send_half(scope, send, start, made.body)
        elif fault == "broken-json":
            await self._send(send, arrival, Answer(200, JSON, made.body[: len(made.body) * 2 // 3] + b',,"'))
        else:
            await self._send(send, arrival, made)
            self.seen.points[arrival.endpoint] += made.points

    def _started(self, arrival: _Arrival, made: Answer) -> tuple[Answer, dict[str, object]]:
        """Return the answer as it travels, compressed if that is wanted, and the message with its headers."""
        extra: list[tuple[bytes, bytes]] = []
        if self._compress and "gzip" in arrival.headers.get("accept-encoding", "") and len(made.body) > 500:
            made = Answer(made.status, made.content_type, gzip.compress(made.body, 1), made.points)
            extra.append((b"content-encoding", b"gzip"))
        headers = [
            (b"content-type", made.content_type),
            (b"content-length", b"%d" % len(made.body)),
            (b"date", formatdate(self.clock(), usegmt=True).encode()),
            (b"x-request-id", arrival.request_id.encode()),
            *extra,
        ]
        return made, {"type": "http.response.start", "status": made.status, "headers": headers}

    async def _send(self, send: Send, arrival: _Arrival, made: Answer) -> None:
        made, start = self._started(arrival, made)
        await send(start)
        await send({"type": "http.response.body", "body": made.body})

    async def no_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the gateway does for a path or a method that it does not know."""
        del receive
        if scope["type"] == "http":
            self.seen.requests[NO_ROUTE] += 1
            arrival = self._arrival(NO_ROUTE, scope)
            await self._send(send, arrival, _gateway(404, "no Route matched with those values"))


def _gateway(status: int, message: str) -> Answer:
    return Answer(status, JSON, msgspec.json.encode({"message": message}))


def _shared(endpoint: str) -> str:
    """Return the budget of an endpoint where a row of the plan is one budget."""
    for group in (OF_ONE_CALL, REALTIME):
        if endpoint in group:
            return group[0]
    return endpoint


def _request_id(arrival: _Arrival) -> dict[str, str]:
    """Return the body's request id; only Call Inspector has one."""
    return {"requestId": arrival.request_id} if arrival.endpoint.startswith("call/") else {}


async def _received(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _message(arrival: _Arrival) -> str | None:
    """Return what an answer says about its success; every one of these was seen."""
    variants = ("success", "", f"Success request: {arrival.request_id}", "null", None)
    return variants[arrival.number % len(variants)]


async def _pass(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)


@frozen
class _Endpoint:
    """One path as Starlette routes to it: an ASGI application, because some faults are no HTTP answer at all."""

    simulator: Simulator
    name: str
    path: str
    method: str = "GET"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == self.method:
            await self.simulator.answer(self.name, scope, receive, send)
        else:
            await self.simulator.no_route(scope, receive, send)
