"""Simulated Agora Analytics: Call Inspector, Data Insights and Real-time of one account."""

from collections.abc import Callable, Iterable, Mapping
from typing import Unpack

from agora_analytics.agora.plans import CALL_LISTS, CALL_METRICS, OF_ONE_CALL, PLANS, REALTIME, Plan
from agora_analytics.simulator import responses
from agora_analytics.simulator.query_params import (
    CALL_ENDPOINTS,
    NO_AUTH,
    STATISTICS_ENDPOINTS,
    AgoraRefused,
    check_window,
    parse_query,
    request_id,
)
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi
from agora_analytics.simulator.statistics import Statistics
from agora_analytics.simulator.world import DEMO_CREDENTIALS, World

STARTER = Plan(name="starter", limits={})
_ENDPOINTS = {**CALL_ENDPOINTS, **STATISTICS_ENDPOINTS}


class Simulator(SimulatedApi):
    """Simulates Call Inspector, Data Insights and Real-time of one account, for any number of apps.

    Args:
        worlds: one world, or several with different app ids.
        plan: the account's plan or its name. The plan `starter` has no access to the API.
        credentials: the secret of each customer id. They belong to one account and share its quotas.
        hidden_after: the call list returns at most this many calls of a window. If it hides some, `has_more` stays
            true on the last page.
        last_known: returns the `leave_ts` of an ongoing session, from the server's time. The vendor's servers were
            seen to send the time itself, an old time, and 0.
        shared_budget: call sessions, metrics and statistics share one budget, and so do the endpoints of Real-time.
            Otherwise each endpoint has a budget of its own.
        settings: the settings of every simulated API; see `SimulatedApi`.

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
        hidden_after: int | None = None,
        last_known: Callable[[float], int] = int,
        shared_budget: bool = False,
        **settings: Unpack[ApiSettings],
    ) -> None:
        routes = {name: (endpoint.method, endpoint.path) for name, endpoint in _ENDPOINTS.items()}
        super().__init__(routes, credentials=credentials, **settings)
        self.worlds = {world.app_id: world for world in ([worlds] if isinstance(worlds, World) else worlds)}
        self.plan = plan if isinstance(plan, Plan) else {"starter": STARTER, **PLANS}[plan]
        self._hidden_after = hidden_after
        self._last_known = last_known
        self._shared_budget = shared_budget
        self._statistics = {app_id: Statistics(world) for app_id, world in self.worlds.items()}

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request of its app. Return a refusal with code 300 if its window or its day has too many."""
        reason: str | None = NO_AUTH
        if (limits := self.plan.limits.get(arrival.endpoint)) is not None:
            group = _shared_budget(arrival.endpoint) if self._shared_budget else arrival.endpoint
            key = f"{arrival.query.get('appid', '')} {group}"
            reason = self.rate_windows.refusal(key, limits, arrival.now)
        return AgoraRefused.by_limit(reason).reply(arrival) if reason else None

    async def respond(self, arrival: Arrival) -> Reply:
        """Return the response to a request of any endpoint."""
        try:
            return await self._success(arrival)
        except AgoraRefused as refused:
            return refused.reply(arrival)

    async def _success(self, arrival: Arrival) -> Reply:
        endpoint, now = arrival.endpoint, arrival.now
        query = parse_query(_ENDPOINTS[endpoint], arrival)
        if (world := self.worlds.get(query.app_id)) is None:
            raise AgoraRefused(403, "Forbidden: no permission for this appid")
        check_window(query.start, query.end, self.plan.limits[endpoint], now)
        head = {"code": 200, "message": _message(arrival)}
        if endpoint in STATISTICS_ENDPOINTS:
            data = self._statistics[query.app_id].data(endpoint, query, now)
            return Reply.of(head | {"data": data} | request_id(arrival))
        head |= request_id(arrival)
        if endpoint == CALL_METRICS:
            return await responses.metrics(world, query, now, head)
        if endpoint == CALL_LISTS:
            return Reply.of(head | responses.call_list(world, query, now, self._hidden_after))
        return Reply.of(head | responses.session_list(world, query, now, self._last_known))


def _shared_budget(endpoint: str) -> str:
    """Return the budget of an endpoint where a row of the plan is one budget."""
    return next((group[0] for group in (OF_ONE_CALL, REALTIME) if endpoint in group), endpoint)


def _message(arrival: Arrival) -> str | None:
    """Return the `message` of a success. The vendor's servers were seen to send each of these."""
    variants = ("success", "", f"Success request: {arrival.request_id}", "null", None)
    return variants[arrival.number % len(variants)]
