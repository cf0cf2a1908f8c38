"""Simulated OpenTok Insights: GraphQL over the reconstructed schema, behind tokens and the limit of 30 seconds."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from graphql import GraphQLError
from starlette.datastructures import Headers

from agora_analytics.core.limits import Limits
from agora_analytics.opentok import spec as facts
from agora_analytics.simulator.exchange import Arrival, Exchange, Reply
from agora_analytics.simulator.opentok.graph import executed, parsed
from agora_analytics.simulator.opentok.leaf_rows import resolve
from agora_analytics.simulator.opentok.nodes import nodes
from agora_analytics.simulator.opentok.pace import Pace
from agora_analytics.simulator.opentok.project_data import ProjectData
from agora_analytics.simulator.opentok.refusals import MESSAGES, Refused, Unauthorised
from agora_analytics.simulator.opentok.rules import Rules
from agora_analytics.simulator.opentok.session_data import SessionData
from agora_analytics.simulator.opentok.tokens import Gate
from agora_analytics.simulator.opentok.trouble import Trouble
from agora_analytics.simulator.opentok.world import DEMO_PROJECT_ID, OpenTokWorld

DEMO_PROJECT: Mapping[str, str] = {DEMO_PROJECT_ID: "demo0opentok0secret0of0forty0characters0"}
UNIFIED = f"{facts.INSIGHTS}/unified"
ROUTES = {facts.INSIGHTS: ("POST", facts.OPENTOK_PATH), UNIFIED: ("POST", facts.VONAGE_PATH)}
_PROJECT_ID = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class OpenTokSimulator(Exchange):
    """Plays Insights for some projects and applications.

    Args:
        worlds: what is true, one world for each project or application.
        projects: the secret of each project's API key.
        applications: the public key (PEM) of each application id.
        rules: how strict it is where documents leave it open.
        limits: how often a key and an address may ask.
        by_address: whether requests count by their IP address too.
        clock_skew: seconds that the server's clock is ahead.
        leeway, longest: see `Gate`.
        settings: what `Exchange` takes besides.

    Raises:
        ValueError: a world belongs to nobody.

    Attributes:
        pace: the most requests in any 30 seconds, by `key <id>` and `address <ip>`: `sim.pace.worst`.
        nodes: how many nodes the largest query asked for.
        errors: how often each error code was sent.

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
        clock_skew: float = 0.0,
        leeway: float = 5.0,
        longest: float | None = None,
        now: Callable[[], float] = time.time,
        **settings: Any,
    ) -> None:
        super().__init__(ROUTES, credentials={}, now=lambda: now() + clock_skew, **settings)
        listed = [worlds] if isinstance(worlds, OpenTokWorld) else list(worlds)
        self.worlds = {world.project_id: world for world in listed}
        if strangers := sorted(self.worlds.keys() - projects.keys() - (applications or {}).keys()):
            raise ValueError(
                f"nobody can ask for {', '.join(strangers)}: give a secret in projects, or a key in applications"
            )
        self.rules = rules or Rules()
        self.pace = Pace(limits.requests, limits.period)
        self.nodes = 0
        self.errors: Counter[int] = Counter()
        self._by_address = by_address
        self._gate = Gate(
            projects=dict(projects), applications=dict(applications or {}), leeway=leeway, longest=longest
        )
        self._troubles: list[Trouble] = []

    def fail_with(self, code: int, *, times: int = 1, at: str | None = None) -> None:
        """Let the next requests fail with a code of the vendor's.

        Args:
            code: 1000 to 1022.
            times: how many requests.
            at: the field that fails, by its name (`streamStatsCollection`): everything else is answered beside the
                error. None: the whole request is refused before it is a query, by the other form of error.

        Raises:
            ValueError: there is no such code.
        """
        if code not in MESSAGES:
            raise ValueError(
                f"{code} is no code of the vendor's: they are {min(MESSAGES)} to {max(MESSAGES)}"
            )
        self._troubles += [Trouble(code, at) for _ in range(times)]

    def knows(self, headers: Headers) -> bool:
        """Return True: a token is checked where the request is counted, and refused as this vendor does."""
        del headers
        return True

    def over_limit(self, arrival: Arrival) -> Reply | None:
        """Count a request of its key and of its address, and refuse it if there were too many.

        No document says how: 429 and JSON are what such a gateway answers.
        """
        who = [f"key {self._gate.named(arrival.headers)}"]
        if self._by_address:
            who.append(f"address {arrival.peer}")
        exceeded = [self.pace.exceeded(one, arrival.now) for one in who]  # both count, whichever is over
        if any(exceeded):
            return Reply.of({"message": "Too Many Requests"}, 429)
        return None

    async def effect(self, arrival: Arrival) -> Reply:
        """Answer a query, or refuse it."""
        trouble = self._troubles.pop(0) if self._troubles else None
        try:
            if trouble:
                trouble.strike_early()
            holder = self._gate.holder(arrival.headers, arrival.now, unified=arrival.endpoint == UNIFIED)
            valid, answer = self._answer(arrival, holder, trouble)
        except Unauthorised as refused:
            error = {"errorCode": refused.code, "message": str(refused)}
            return self._counted(Reply.of({"error": error}, refused.status), [error])
        except Refused as refused:
            error = {"message": str(refused), "errorCode": refused.code}
            return self._counted(Reply.of({"errors": [error]}, self.rules.invalid_status), [error])
        status = 200 if valid else self.rules.invalid_status
        return self._counted(Reply.of(answer, status), answer.get("errors", ()))

    def _counted(self, made: Reply, errors: Iterable[Mapping[str, Any]]) -> Reply:
        for error in errors:
            self.errors[error["errorCode"]] += 1
        return made

    def _answer(self, arrival: Arrival, holder: str, trouble: Trouble | None) -> tuple[bool, dict[str, Any]]:
        data = _body(arrival)
        self._check_size(data)
        root = {"project": lambda _info, **asked: self._project(holder, arrival.now, asked["projectId"])}
        return executed(
            data,
            root,
            introspection=self.rules.introspection,
            resolver=trouble.resolver() if trouble else resolve,
        )

    def _check_size(self, data: Mapping[str, Any]) -> None:
        query, variables = data.get("query"), data.get("variables")
        try:
            asked = nodes(parsed(str(query)), variables if isinstance(variables, dict) else {})
        except GraphQLError:
            return  # what cannot be read is refused where it is executed
        self.nodes = max(self.nodes, asked)
        if asked > self.rules.node_limit:
            raise Refused(1014)  # misleading, as it is documented

    def _project(self, holder: str, now: float, project_id: str | int) -> dict[str, Any]:
        asked = str(project_id)
        if not _PROJECT_ID.fullmatch(asked):
            raise Refused(1008)
        if not self._gate.knows(asked):
            raise Refused(1015)
        if asked != holder:
            raise Unauthorised(1019)
        world = self.worlds.get(asked)
        if world is None:
            raise Refused(1021)
        project = ProjectData(days=world.days, rules=self.rules, now=now)
        return {"projectData": project.answer, "sessionData": lambda _info: self._session_data(world, now)}

    def _session_data(self, world: OpenTokWorld, now: float) -> dict[str, Any]:
        if not self.rules.add_on:
            raise Refused(1014)
        seen = SessionData(
            world=world,
            rules=self.rules,
            edge_ms=int((now - self.rules.delay) * 1000),
            oldest_ms=int((now - self.rules.retention) * 1000),
        )
        return {"sessions": seen.sessions, "sessionSummaries": seen.summaries}


def _body(arrival: Arrival) -> dict[str, Any]:
    if arrival.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused(1004, "The content type is application/json.")
    try:
        data = msgspec.json.decode(arrival.body)
    except msgspec.DecodeError:
        data = None
    if not isinstance(data, dict):
        raise Refused(1004, "The body is a JSON object.")
    return data
