"""The simulated Insights API: the defaults of the test harness. Every query is validated against the schema."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from attrs import define, field
from graphql import build_schema, parse, validate

from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import Request, Response
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.opentok.spec import NODE_LIMIT
from agora_analytics.simulator import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld
from agora_analytics.testing import VirtualClock
from tests.conftest import response
from tests.harness import Harness, Scripted, ScriptLine

NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
DAY = 86_400
((KEY, SECRET),) = DEMO_PROJECT.items()
SCHEMA = build_schema(
    files("agora_analytics.simulator.opentok").joinpath("schema.graphql").read_text("utf-8")
)
WORLD = OpenTokWorld.generate(seed=7, since=NOW - 15 * DAY, until=NOW - 3600, sessions=8)
IDS = [session.session_id for session in WORLD.sessions]


def schema_errors(query: str) -> list[str]:
    """Return the errors of a query against the schema."""
    return [error.message for error in validate(SCHEMA, parse(query))]


@define
class CheckedTransport:
    """A transport that validates every query against the schema before it is sent, and its size afterwards."""

    transport: Any
    simulator: OpenTokSimulator | None = None
    bodies: list[dict[str, Any]] = field(factory=list)

    @property
    def requests(self) -> list[Request]:
        """Return the requests that a scripted transport received."""
        return self.transport.requests

    @property
    def reports_sent(self) -> bool:
        """Whether the inner transport reports when a request was sent."""
        return getattr(self.transport, "reports_sent", False)

    async def send(self, request: Request) -> Response:
        body = json.loads(request.body)
        self.bodies.append(body)
        assert schema_errors(body["query"]) == []
        try:
            return await self.transport.send(request)
        finally:
            assert self.simulator is None or self.simulator.nodes < NODE_LIMIT

    async def aclose(self) -> None:
        await self.transport.aclose()


def make_harness(world: Any = WORLD, *, now: float = NOW, **simulator: Any) -> Harness:
    """Return a simulated project, by default with the sessions of `WORLD`."""
    clock = VirtualClock(now)
    api = OpenTokSimulator(world, **({"now": clock.now} | simulator))
    transport = CheckedTransport(AsgiTransport(api.app), api)
    return Harness(AsyncOpenTok, (ProjectKey(KEY, SECRET),), {}, clock, api, transport)


def scripted(*script: ScriptLine) -> Harness:
    """Return a harness without a simulator, whose responses are scripted."""
    transport = CheckedTransport(Scripted(*script))
    return Harness(AsyncOpenTok, (ProjectKey(KEY, SECRET),), {}, VirtualClock(NOW), transport=transport)


def without_sharing(client: AsyncOpenTok) -> None:
    """Let a client send identical requests one by one, so that a test of its rate has as many as it wants."""
    client._engine.shared.run = client._engine._requests.run  # type: ignore[method-assign]


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
