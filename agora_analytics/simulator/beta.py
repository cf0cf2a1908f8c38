"""The simulated 2021 beta API: no pages, ten of everything, percent."""

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
from attrs import frozen

from agora_analytics.agora.beta import limits as rows
from agora_analytics.core.limits import Limits
from agora_analytics.simulator import responses
from agora_analytics.simulator.agora import DEMO_CREDENTIALS
from agora_analytics.simulator.rules import CallQuery, Refused, check_window
from agora_analytics.simulator.simulated_api import Arrival, Reply, SimulatedApi
from agora_analytics.simulator.world import World

MINUTE, DAY, READY_AFTER = 60, 86_400, 8 * 3600
_MOST = 10
_MILLISECONDS_FROM = 100_000_000_000
_METRICS = {
    rows.INSIGHT_USAGE: ("userCount", "sessionCount", "channelCount"),
    rows.LIVE_SCALE: ("pcu", "pcc"),
    rows.LIVE_EXPERIENCE: ("joinSuccessRate", "joinSuccess5SecsRate", "videoFreezeRate", "audioFreezeRate"),
    rows.LIVE_NET: (
        "videoUpstreamExcellentTransRate",
        "audioUpstreamExcellentTransRate",
        "videoEnd2EndExcellentTransRate",
        "audioEnd2EndExcellentTransRate",
    ),
}
_FACTORS = (1, 8, 10, 18, 21, 23, 29, 44)
ROUTES: Mapping[str, tuple[str, str]] = {
    rows.CALL_LISTS: ("GET", "/beta/analytics/call/lists"),
    rows.CALL_DETAILS: ("GET", "/beta/analytics/call/details"),
    rows.INSIGHT_USAGE: ("GET", "/beta/insight/usage/by_time"),
    rows.LIVE_SCALE: ("GET", "/beta/live/scale/by_time"),
    rows.LIVE_EXPERIENCE: ("GET", "/beta/live/experience/by_time"),
    rows.LIVE_NET: ("GET", "/beta/live/net/by_time"),
    rows.LIVE_DIAGNOSIS: ("GET", "/beta/live/diagnosis"),
}


@frozen
class _Range:
    start: int
    end: int


class BetaSimulator(SimulatedApi):
    """Plays the 2021 beta of one app.

    Args:
        world: the calls.
        max_diagnoses: the most diagnoses a minute.
        seed: where the rates and the diagnoses come from.
        limits: what each endpoint allows.
        settings: what `SimulatedApi` takes besides.

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
        limits: Mapping[str, Limits] = rows.LIMITS,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        **settings: Any,
    ) -> None:
        super().__init__(ROUTES, credentials=credentials, **settings)
        self.world = world
        self._max_diagnoses = max_diagnoses
        self._seed = seed
        self._limits = limits

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Count a request, and refuse it with code 300 if its second, its minute or its day has too many."""
        limits = self._limits[arrival.endpoint]
        reason = self.budgets.refusal(self.world.app_id, arrival.endpoint, limits, arrival.now)
        return _refusal(Refused.by_limit(reason)) if reason else None

    async def respond(self, arrival: Arrival) -> Reply:
        """Return the answer."""
        try:
            asked = self._asked(arrival)
            if arrival.endpoint == rows.CALL_DETAILS:
                return await self._details(arrival, asked)
            return Reply.of({"code": 200, "message": "success", **self._answer(arrival, asked)})
        except Refused as refused:
            self.seen.refused[arrival.endpoint, refused.message] += 1
            return _refusal(refused)

    def diagnoses(self, start: int, end: int) -> list[dict[str, Any]]:
        """Return all diagnoses from `start` to `end`, the oldest first; the API shows the newest ten."""
        found = []
        for minute in range(start - start % MINUTE, end + 1, MINUTE):
            dice = Random(f"{self._seed}/{minute}")
            found += [_trouble(dice, minute) for _ in range(dice.randint(0, self._max_diagnoses))]
        return sorted((one for one in found if start <= one["ts"] <= end), key=lambda one: one["ts"])

    def _asked(self, arrival: Arrival) -> _Range:
        query, limits = arrival.query, self._limits[arrival.endpoint]
        needs = ["start_ts", "end_ts", "appid"]
        needs += ["call_id"] if arrival.endpoint == rows.CALL_DETAILS else []
        needs += ["metric"] if arrival.endpoint in _METRICS else []
        for name in needs:
            if not query.get(name):
                raise Refused(400, f"Invalid parameters: {name} is required")
        try:
            asked = _Range(int(query["start_ts"]), int(query["end_ts"]))
        except ValueError:
            raise Refused(400, "Invalid parameters: a time is not a number") from None
        if max(asked.start, asked.end) >= _MILLISECONDS_FROM:
            raise Refused(500, "Unknown Error")
        if asked.end < asked.start:
            raise Refused(400, "Invalid parameters: end_ts is before start_ts")
        if query["appid"] != self.world.app_id:
            raise Refused(403, "Forbidden: no permission for this appid")
        check_window(asked, limits, arrival.now)
        return asked

    def _answer(self, arrival: Arrival, asked: _Range) -> dict[str, Any]:
        if arrival.endpoint == rows.CALL_LISTS:
            question = CallQuery(
                app_id=self.world.app_id,
                start=asked.start,
                end=asked.end,
                cname=arrival.query.get("cname"),
                page_size=_MOST,
            )
            page = responses.call_list(self.world, question, arrival.now, None)
            return {name: page[name] for name in ("has_more", "call_lists")}
        if arrival.endpoint == rows.LIVE_DIAGNOSIS:
            return {"data": self.diagnoses(asked.start, asked.end)[::-1][:_MOST]}
        metrics = [metric for metric in arrival.query["metric"].split(",") if metric]
        if unknown := set(metrics) - set(_METRICS[arrival.endpoint]):
            raise Refused(400, f"Invalid parameters: metric {', '.join(sorted(unknown))}")
        step = DAY if arrival.endpoint == rows.INSIGHT_USAGE else MINUTE
        first = -(-asked.start // step) * step
        end = (
            asked.end if step == DAY else asked.end + 1
        )  # a day's end is the next one's begin, as in the example
        times = range(first, end - step + 1, step)
        data = [
            {metric: self._value(metric, ts, step) for metric in metrics} | {"ts": ts}
            for ts in times
            if step == MINUTE or arrival.now >= ts + DAY + READY_AFTER
        ]
        Random(arrival.number).shuffle(data)  # nobody promised an order
        return {"data": data}

    def _value(self, metric: str, ts: int, step: int) -> int | float:
        calls = [call for call in self.world.calls if call.created_ts < ts + step and call.destroyed_ts >= ts]
        sessions = [
            (call.cname, session.uid)
            for call in calls
            for session in self.world.sessions(call)
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

    async def _details(self, arrival: Arrival, asked: _Range) -> Reply:
        query = arrival.query
        question = CallQuery(
            app_id=self.world.app_id,
            start=asked.start,
            end=asked.end,
            call_id=query["call_id"],
            page_size=_MOST,
            exclude_server_user=query.get("exclude_server_user", "true") == "true",
        )
        users = responses.session_list(self.world, question, arrival.now)["call_info"]
        head = {"code": 200, "message": "", "call_id": query["call_id"], "call_info": users}
        if query.get("exclude_metrics_info", "false") == "true":
            return Reply.of(head)
        shown = CallQuery(
            app_id=self.world.app_id,
            start=asked.start,
            end=asked.end,
            call_id=query["call_id"],
            sids=tuple(user["sid"] for user in users),
        )
        array, points = await responses.metrics(self.world, shown, arrival.now)
        self.seen.points[arrival.endpoint] += points
        return Reply(200, b'%b,"metrics":%b}' % (msgspec.json.encode(head)[:-1], array))


def _trouble(dice: Random, minute: int) -> dict[str, Any]:
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


def _refusal(refused: Refused) -> Reply:
    return Reply.of({"code": refused.code, "message": refused.message})
