"""A simulated Insights server with a client on virtual time. Every query is validated against the schema."""

import json
from collections.abc import Callable, Coroutine, Mapping
from importlib.resources import files
from typing import Any

from attrs import define, field
from graphql import build_schema, parse, validate

from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import Request, Response
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.opentok.spec import NODE_LIMIT
from agora_analytics.simulator import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import Scripted, response

NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
DAY = 86_400
((KEY, SECRET),) = DEMO_PROJECT.items()
SCHEMA = build_schema(
    files("agora_analytics.simulator.opentok").joinpath("schema.graphql").read_text("utf-8")
)
WORLD = OpenTokWorld.generate(seed=7, since=NOW - 15 * DAY, until=NOW - 3600, sessions=8)
IDS = [session.session_id for session in WORLD.sessions]

Job = Callable[[AsyncOpenTok], Coroutine[Any, Any, Any]]


def schema_errors(query: str) -> list[str]:
    """Return the errors of a query against the schema."""
    return [error.message for error in validate(SCHEMA, parse(query))]


@define
class CheckedTransport:
    """A transport that validates every query against the schema before it is sent."""

    transport: Any
    bodies: list[dict[str, Any]] = field(factory=list)

    async def send(self, request: Request) -> Response:
        body = json.loads(request.body)
        self.bodies.append(body)
        assert schema_errors(body["query"]) == []
        return await self.transport.send(request)

    async def aclose(self) -> None:
        await self.transport.aclose()


@define
class Harness:
    """A simulated project, and the clock, transport and events of its client."""

    simulator: OpenTokSimulator
    clock: VirtualClock
    transport: CheckedTransport
    events: list[Any] = field(factory=list)

    @classmethod
    def of(cls, world: Any = WORLD, *, now: float = NOW, **settings: Any) -> "Harness":
        clock = VirtualClock(now)
        simulator = OpenTokSimulator(world, **({"now": clock.now} | settings))
        return cls(simulator, clock, CheckedTransport(AsgiTransport(simulator.app)))

    def client(self, credentials: Any = None, **settings: Any) -> AsyncOpenTok:
        known = {"transport": self.transport, "clock": self.clock, "observer": self.events.append}
        return AsyncOpenTok(credentials or ProjectKey(KEY, SECRET), **(known | settings))

    def run(self, job: Job, credentials: Any = None, **settings: Any) -> Any:
        async def with_client() -> Any:
            async with self.client(credentials, **settings) as client:
                return await job(client)

        found = run_virtual(with_client(), self.clock)
        assert self.simulator.nodes < NODE_LIMIT
        return found

    def events_of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def requests(self) -> int:
        return self.simulator.seen.requests.total()


def scripted(transport: Scripted, job: Job, **settings: Any) -> Any:
    """Run a job with a client whose responses are scripted."""
    clock = VirtualClock(NOW)

    async def with_client() -> Any:
        known = {"transport": CheckedTransport(transport), "clock": clock}
        credentials = settings.pop("credentials", None) or ProjectKey(KEY, SECRET)
        async with AsyncOpenTok(credentials, **(known | settings)) as client:
            return await job(client)

    return run_virtual(with_client(), clock)


def data(project: Mapping[str, Any], *errors: Mapping[str, Any]) -> Response:
    """Return a response with fields of the project."""
    body: dict[str, Any] = {"data": {"project": project}}
    return response(body | {"errors": list(errors)} if errors else body)


def listed(*members: Any, total: int | None = None, cursor: str = "") -> dict[str, Any]:
    """Return a collection as a response has it."""
    return {
        "pageInfo": {"hasNextPage": bool(cursor), "endCursor": cursor or None},
        "totalCount": len(members) if total is None else total,
        "resources": list(members),
    }


def summaries(*members: Any, **page: Any) -> dict[str, Any]:
    return {"sessionData": {"sessionSummaries": listed(*members, **page)}}
