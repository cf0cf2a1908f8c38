"""Simulated OpenTok Insights: GraphQL over the reconstructed schema, with tokens and a rate limit over 30 seconds."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Unpack

import anyio.lowlevel
from graphql import GraphQLError

from agora_analytics.core.limits import Limits
from agora_analytics.opentok import spec as facts
from agora_analytics.simulator.counters import RateWindows
from agora_analytics.simulator.opentok.execution import execute, failing_once, parse_query, resolve
from agora_analytics.simulator.opentok.node_count import count_nodes
from agora_analytics.simulator.opentok.project_data import ProjectDataResolver
from agora_analytics.simulator.opentok.rules import MESSAGES, OpenTokRefused, OpenTokUnauthorised, Rules
from agora_analytics.simulator.opentok.session_data import SessionDataResolver
from agora_analytics.simulator.opentok.token_check import TokenCheck
from agora_analytics.simulator.opentok.world import DEMO_PROJECT_ID, OpenTokWorld
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi

DEMO_PROJECT: Mapping[str, str] = {DEMO_PROJECT_ID: "demo0opentok0secret0of0forty0characters0"}
"""The API key and secret of the project that the simulator serves."""
UNIFIED = f"{facts.INSIGHTS}/unified"
ROUTES = {facts.INSIGHTS: ("POST", facts.OPENTOK_PATH), UNIFIED: ("POST", facts.VONAGE_PATH)}
_PROJECT_ID = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class OpenTokSimulator(SimulatedApi):
    """Simulates Insights for some projects and applications.

    Args:
        worlds: one world for each project or application.
        projects: the secret of each project's API key.
        applications: the public key (PEM) of each application id.
        rules: how strict the server is where no document says so.
        limits: the rate limit of a key and of an address.
        by_address: whether requests also count by IP address.
        leeway, max_lifetime: see `TokenCheck`.
        settings: the settings of every simulated API; see `SimulatedApi`.

    Raises:
        ValueError: a world has neither a secret nor a public key.

    Attributes:
        rate_windows: `rate_windows.worst` is the most requests in any 30 seconds, by `key <id>` and `address <ip>`.
        nodes: the number of nodes of the largest query.
        errors: how many times each error code was sent.

    Example:
        >>> world = OpenTokWorld.generate(seed=7, since=1_795_000_000, until=1_795_086_400)
        >>> sim = OpenTokSimulator(world)
        >>> sim.seen.requests
        Counter()
    """

    def __init__(
        self,
        worlds: OpenTokWorld | Iterable[OpenTokWorld],
        *,
        projects: Mapping[str, str] = DEMO_PROJECT,
        applications: Mapping[str, str] | None = None,
        rules: Rules | None = None,
        limits: Limits = facts.LIMITS[facts.SESSION_DATA],
        by_address: bool = True,
        leeway: float = 5.0,
        max_lifetime: float | None = None,
        **settings: Unpack[ApiSettings],
    ) -> None:
        super().__init__(ROUTES, credentials=None, **settings)
        self.rate_windows = RateWindows(sliding=True)
        listed = [worlds] if isinstance(worlds, OpenTokWorld) else list(worlds)
        self.worlds = {world.project_id: world for world in listed}
        if unknown := sorted(self.worlds.keys() - projects.keys() - (applications or {}).keys()):
            raise ValueError(
                f"no credentials for {', '.join(unknown)}: pass a secret in projects or a public key in applications"
            )
        self.rules = rules or Rules()
        self.nodes = 0
        self.errors: Counter[int] = Counter()
        self._limits = limits
        self._by_address = by_address
        self._token_check = TokenCheck(
            projects=dict(projects),
            applications=dict(applications or {}),
            leeway=leeway,
            max_lifetime=max_lifetime,
        )
        self._injected: list[tuple[int, str | None]] = []

    def fail_with(self, code: int, *, times: int = 1, at: str | None = None) -> None:
        """Make the next requests fail with an error code of the vendor.

        Args:
            code: 1000 to 1022.
            times: the number of requests.
            at: the name of the field that fails, such as `streamStatsCollection`. The response has the other fields and
                the error. None: the whole request is refused before its query is executed.

        Raises:
            ValueError: the vendor has no such code.
        """
        if code not in MESSAGES:
            raise ValueError(f"unknown error code {code}: use {min(MESSAGES)} to {max(MESSAGES)}")
        self._injected += [(code, at)] * times

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request of its key and of its address. Return a refusal with status 429 if one has too many.

        The status and the JSON body are inferred from similar gateways; no document names them.
        """
        keys = [f"key {self._token_check.claimed_holder(arrival.headers)}"]
        if self._by_address:
            keys.append(f"address {arrival.peer}")
        # Both count, even if the first one is exceeded.
        exceeded = [self.rate_windows.is_exceeded(key, self._limits, arrival.now) for key in keys]
        if any(exceeded):
            return Reply.of({"message": "Too Many Requests"}, 429)
        return None

    async def respond(self, arrival: Arrival) -> Reply:
        """Execute a query, or refuse it."""
        # Executing a query blocks the event loop; other tasks run before and after it, as they do with a remote server.
        await anyio.lowlevel.checkpoint()
        reply = self._reply(arrival)
        await anyio.lowlevel.checkpoint()
        return reply

    def _reply(self, arrival: Arrival) -> Reply:
        try:
            body = self._execute(arrival)
        except OpenTokUnauthorised as refused:
            self.errors[refused.code] += 1
            error = {"errorCode": refused.code, "message": str(refused)}
            return Reply.of({"error": error}, refused.status)
        except OpenTokRefused as refused:
            body = {"errors": [{"message": str(refused), "errorCode": refused.code}]}
        self.errors.update(error["errorCode"] for error in body.get("errors", ()))
        return Reply.of(body, 200 if body.get("data") is not None else self.rules.invalid_status)

    def _execute(self, arrival: Arrival) -> dict[str, Any]:
        code, at = self._injected.pop(0) if self._injected else (0, None)
        if code and at is None:
            raise OpenTokUnauthorised(code)
        holder = self._token_check.authenticate(
            arrival.headers, arrival.now, unified=arrival.endpoint == UNIFIED
        )
        data = _body(arrival)
        self._check_size(data)
        return execute(
            data,
            {"project": lambda _info, **args: self._project(holder, arrival.now, args["projectId"])},
            introspection=self.rules.introspection,
            resolver=failing_once(at, code) if at else resolve,
        )

    def _check_size(self, data: Mapping[str, Any]) -> None:
        query, variables = data.get("query"), data.get("variables")
        try:
            nodes = count_nodes(parse_query(str(query)), variables if isinstance(variables, dict) else {})
        except GraphQLError:
            return  # its execution refuses it
        self.nodes = max(self.nodes, nodes)
        if nodes > self.rules.node_limit:
            raise OpenTokRefused(1014)  # misleading, but documented

    def _project(self, holder: str, now: float, project_id: str | int) -> dict[str, Any]:
        requested = str(project_id)
        if not _PROJECT_ID.fullmatch(requested):
            raise OpenTokRefused(1008)
        if not self._token_check.has_project(requested):
            raise OpenTokRefused(1015)
        if requested != holder:
            raise OpenTokUnauthorised(1019)
        world = self.worlds.get(requested)
        if world is None:
            raise OpenTokRefused(1021)
        project = ProjectDataResolver(days=world.days, rules=self.rules, now=now)
        return {"projectData": project.resolve, "sessionData": lambda _info: self._session_data(world, now)}

    def _session_data(self, world: OpenTokWorld, now: float) -> dict[str, Any]:
        if not self.rules.add_on:
            raise OpenTokRefused(1014)
        visible = SessionDataResolver(
            world=world,
            rules=self.rules,
            edge_ms=int((now - self.rules.delay) * 1000),
            oldest_ms=int((now - self.rules.retention) * 1000),
        )
        return {"sessions": visible.sessions, "sessionSummaries": visible.summaries}


def _body(arrival: Arrival) -> dict[str, Any]:
    if arrival.media_type != "application/json":
        raise OpenTokRefused(1004, "The content type is application/json.")
    if (body := arrival.json_object()) is None:
        raise OpenTokRefused(1004, "The body is a JSON object.")
    return body
