"""Simulated 2021 beta API of Agora: no pages, at most ten rows in a response, rates in percent."""

from collections.abc import Mapping
from random import Random
from typing import Any, Unpack

from attrs import evolve

from agora_analytics.agora.beta import limits as endpoints
from agora_analytics.core.limits import Limits
from agora_analytics.simulator import responses
from agora_analytics.simulator.query_params import AgoraRefused, Query, check_range, check_window, require
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi
from agora_analytics.simulator.world import DEMO_CREDENTIALS, World

MINUTE, DAY, READY_AFTER = 60, 86_400, 8 * 3600
_MOST = 10
_METRICS = {
    endpoints.INSIGHT_USAGE: ("userCount", "sessionCount", "channelCount"),
    endpoints.LIVE_SCALE: ("pcu", "pcc"),
    endpoints.LIVE_EXPERIENCE: (
        "joinSuccessRate",
        "joinSuccess5SecsRate",
        "videoFreezeRate",
        "audioFreezeRate",
    ),
    endpoints.LIVE_NET: (
        "videoUpstreamExcellentTransRate",
        "audioUpstreamExcellentTransRate",
        "videoEnd2EndExcellentTransRate",
        "audioEnd2EndExcellentTransRate",
    ),
}
_FACTORS = (1, 8, 10, 18, 21, 23, 29, 44)
ROUTES: Mapping[str, tuple[str, str]] = {
    endpoints.CALL_LISTS: ("GET", "/beta/analytics/call/lists"),
    endpoints.CALL_DETAILS: ("GET", "/beta/analytics/call/details"),
    endpoints.INSIGHT_USAGE: ("GET", "/beta/insight/usage/by_time"),
    endpoints.LIVE_SCALE: ("GET", "/beta/live/scale/by_time"),
    endpoints.LIVE_EXPERIENCE: ("GET", "/beta/live/experience/by_time"),
    endpoints.LIVE_NET: ("GET", "/beta/live/net/by_time"),
    endpoints.LIVE_DIAGNOSIS: ("GET", "/beta/live/diagnosis"),
}


class BetaSimulator(SimulatedApi):
    """Simulates the 2021 beta of one app.

    Args:
        world: the calls.
        max_diagnoses: the most diagnoses in a minute.
        seed: the seed of the rates and the diagnoses.
        limits: the limits of each endpoint.
        credentials: the secret of each customer id.
        settings: the settings of every simulated API; see `SimulatedApi`.

    Example:
        >>> sim = BetaSimulator(World.generate(since=0, until=86_400, calls=10))
        >>> len(sim.diagnoses(0, 59)) <= 2
        True
    """

    def __init__(
        self,
        world: World,
        *,
        max_diagnoses: int = 2,
        seed: int = 9,
        limits: Mapping[str, Limits] = endpoints.LIMITS,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        **settings: Unpack[ApiSettings],
    ) -> None:
        super().__init__(ROUTES, credentials=credentials, **settings)
        self.world = world
        self._max_diagnoses = max_diagnoses
        self._seed = seed
        self._limits = limits

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request. Return a refusal with code 300 if its second, its minute or its day has too many."""
        limits = self._limits[arrival.endpoint]
        reason = self.rate_windows.refusal(arrival.endpoint, limits, arrival.now)
        return AgoraRefused.by_limit(reason).reply(arrival) if reason else None

    async def respond(self, arrival: Arrival) -> Reply:
        """Return the response to a request of any endpoint."""
        try:
            query = self._query(arrival)
            if arrival.endpoint == endpoints.CALL_DETAILS:
                return await self._details(arrival, query)
            return Reply.of({"code": 200, "message": "success", **self._data(arrival, query)})
        except AgoraRefused as refused:
            return refused.reply(arrival)

    def diagnoses(self, start: int, end: int) -> list[dict[str, Any]]:
        """Return all diagnoses from `start` to `end`, oldest first. The API returns the newest ten."""
        diagnoses = []
        for minute in range(start - start % MINUTE, end + 1, MINUTE):
            dice = Random(f"{self._seed}/{minute}")
            diagnoses += [_diagnosis(dice, minute) for _ in range(dice.randint(0, self._max_diagnoses))]
        return sorted((row for row in diagnoses if start <= row["ts"] <= end), key=lambda row: row["ts"])

    def _query(self, arrival: Arrival) -> Query:
        given, endpoint = arrival.query, arrival.endpoint
        names: tuple[str, ...] = ("start_ts", "end_ts", "appid")
        names += ("call_id",) if endpoint == endpoints.CALL_DETAILS else ()
        names += ("metric",) if endpoint in _METRICS else ()
        require(given, names)
        try:
            start, end = int(given["start_ts"]), int(given["end_ts"])
        except ValueError:
            raise AgoraRefused(400, "Invalid parameters: a time is not a number") from None
        check_range(start, end)
        if given["appid"] != self.world.app_id:
            raise AgoraRefused(403, "Forbidden: no permission for this appid")
        check_window(start, end, self._limits[endpoint], arrival.now)
        return Query(
            app_id=self.world.app_id,
            start=start,
            end=end,
            call_id=given.get("call_id", ""),
            cname=given.get("cname"),
            page_size=_MOST,
            exclude_server_user=given.get("exclude_server_user", "true") == "true",
        )

    def _data(self, arrival: Arrival, query: Query) -> dict[str, Any]:
        if arrival.endpoint == endpoints.CALL_LISTS:
            page = responses.call_list(self.world, query, arrival.now, None)
            return {name: page[name] for name in ("has_more", "call_lists")}
        if arrival.endpoint == endpoints.LIVE_DIAGNOSIS:
            return {"data": self.diagnoses(query.start, query.end)[::-1][:_MOST]}
        metrics = [metric for metric in arrival.query["metric"].split(",") if metric]
        if unknown := set(metrics) - set(_METRICS[arrival.endpoint]):
            raise AgoraRefused(400, f"Invalid parameters: metric {', '.join(sorted(unknown))}")
        step = DAY if arrival.endpoint == endpoints.INSIGHT_USAGE else MINUTE
        first = -(-query.start // step) * step
        # The end of a day is the start of the next one, as in the vendor's example.
        end = query.end if step == DAY else query.end + 1
        data = [
            {metric: self._value(metric, ts, step) for metric in metrics} | {"ts": ts}
            for ts in range(first, end - step + 1, step)
            if step == MINUTE or arrival.now >= ts + DAY + READY_AFTER
        ]
        # No document promises an order.
        Random(arrival.number).shuffle(data)
        return {"data": data}

    def _value(self, metric: str, ts: int, step: int) -> int | float:
        calls = [call for call in self.world.calls if call.created_ts < ts + step and call.destroyed_ts >= ts]
        sessions = [
            (call.cname, session.uid)
            for call in calls
            for session in call.sessions
            if session.join_ts < ts + step and session.leave_ts >= ts
        ]
        match metric:
            case "channelCount" | "pcc":
                return len(calls)
            case "sessionCount":
                return len(sessions)
            case "userCount" | "pcu":
                return len(set(sessions))
            case _:
                high = "Freeze" not in metric
                value = Random(f"{self._seed}/{metric}/{ts}").uniform(*((85, 100) if high else (0, 8)))
                return round(value, 2)

    async def _details(self, arrival: Arrival, query: Query) -> Reply:
        users = responses.session_list(self.world, query, arrival.now)["call_info"]
        head = {"code": 200, "message": "", "call_id": query.call_id, "call_info": users}
        if arrival.query.get("exclude_metrics_info", "false") == "true":
            return Reply.of(head)
        with_sids = evolve(query, sids=tuple(user["sid"] for user in users))
        return await responses.metrics(self.world, with_sids, arrival.now, head)


def _diagnosis(dice: Random, minute: int) -> dict[str, Any]:
    return {
        "user": str(dice.randrange(10**8)),
        "exp_id": dice.choice((4, 5, 6)),
        "cname": f"C{dice.randrange(10**9)}",
        "cause_tags": [
            {"factor_id": dice.choice(_FACTORS), "host_user": dice.choice(("", str(dice.randrange(10**8))))}
            for _ in range(dice.randint(0, 3))
        ],
        "ts": minute + dice.randrange(MINUTE),
    }
