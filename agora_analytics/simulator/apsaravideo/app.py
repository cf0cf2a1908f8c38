"""Simulated ApsaraVideo Live: one operation, behind signatures and the limit of an account."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import msgspec
from starlette.datastructures import Headers

from agora_analytics.apsaravideo import facts
from agora_analytics.core.limits import Limits
from agora_analytics.simulator.apsaravideo.signature_check import ApsaraVideoRefused, SignatureCheck
from agora_analytics.simulator.apsaravideo.world import ApsaraVideoWorld, Terminals, summary
from agora_analytics.simulator.simulated_api import Arrival, Reply, SimulatedApi

DEMO_KEYS: Mapping[str, str] = {"demo-access-key-id": "demo-access-key-secret"}
_ROUTES = {facts.INTERACTION_METRICS: ("GET POST", "/")}
_FORM = "application/x-www-form-urlencoded"
_STEP_MS = facts.GRANULARITY * 1000
_TROUBLE_HERE = "https://api.aliyun.com/troubleshoot?q="


class ApsaraVideoSimulator(SimulatedApi):
    """Plays `DescribeLiveInteractionMetricData` for one account.

    Args:
        world: what is true.
        keys: secrets by access key id; they are RAM users of one account, who share its limit.
        tokens: the security token of each key that is a temporary one.
        limits: how often the account may ask, and for which times.
        retry_after: whether a refused request is told when to come again, by `x-acs-retry-after`.
        rounds: answer with all 5 minutes that a time range touches, those around its ends included.
        xml: refuse in XML, as some of the vendor's gateways do.
        settings: what `SimulatedApi` takes besides.

    Example:
        >>> sim = ApsaraVideoSimulator(ApsaraVideoWorld.generate(seed=7))
        >>> sim.seen.requests
        Counter()
    """

    def __init__(
        self,
        world: ApsaraVideoWorld,
        *,
        keys: Mapping[str, str] = DEMO_KEYS,
        tokens: Mapping[str, str] | None = None,
        limits: Limits = facts.LIMITS[facts.INTERACTION_METRICS],
        retry_after: bool = True,
        rounds: bool = False,
        xml: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(_ROUTES, credentials=keys, **settings)
        self.world = world
        self._gate = SignatureCheck(keys, tokens or {})
        self._limits = limits
        self._retry_after = retry_after
        self._rounds = rounds
        self._xml = xml

    def expire(self, key_id: str) -> None:
        """Let a temporary key be good no longer, from now on."""
        self._gate.expired.add(key_id)

    def knows(self, headers: Headers) -> bool:
        """Return True: a signature is checked where the whole request is known, and refused as this vendor does."""
        del headers
        return True

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Refuse a request that is not signed as it must be; then count it, and refuse it if there were too many."""
        try:
            self._gate.admit(arrival)
        except ApsaraVideoRefused as refused:
            return self._refusal(arrival, refused)
        if not self.budgets.refusal("the account", arrival.endpoint, self._limits, arrival.now):
            return None
        left_ms = int((1 - arrival.now % 1) * 1000) + 1
        headers = ((b"x-acs-retry-after", b"%d" % left_ms),) if self._retry_after else ()
        said = ApsaraVideoRefused("Throttling.User", "Request was denied due to user flow control.")
        return self._refusal(arrival, said, headers)

    async def respond(self, arrival: Arrival) -> Reply:
        """Answer a question, or refuse it."""
        try:
            self._check_operation(arrival)
            return Reply.of(self._metric_data(arrival))
        except ApsaraVideoRefused as refused:
            return self._refusal(arrival, refused)

    def _check_operation(self, arrival: Arrival) -> None:
        if arrival.headers["x-acs-version"] != facts.VERSION:
            raise ApsaraVideoRefused(
                "InvalidProduct.NotFound", "The specified product or version cannot be found."
            )
        if arrival.headers["x-acs-action"] != facts.ACTION:
            raise ApsaraVideoRefused(
                "InvalidApi.NotFound", "Specified api is not found, please check your url and method."
            )

    def _metric_data(self, arrival: Arrival) -> dict[str, Any]:
        asked = _parameters(arrival)
        for name in ("MetricType", "BeginTs", "EndTs", "AppId"):
            if not asked.get(name):
                raise ApsaraVideoRefused(f"Missing{name}", f"{name} is mandatory for this action.")
        _check_names(asked)
        if asked["AppId"] not in self.world.app_ids:
            raise ApsaraVideoRefused("Meter.AuthError", "Authentication Failed,Please Try Again.")
        begin, end = self._time_range(asked, arrival.now)
        terminals = Terminals(
            app_id=asked["AppId"],
            os=asked.get("Os"),
            terminal_type=asked.get("TerminalType"),
            channel_id=asked.get("ChannelId"),
        )
        points = self.world.points(asked["MetricType"], terminals, begin, min(end, int(arrival.now * 1000)))
        self.seen.points[arrival.endpoint] += len(points)
        nodes = [{"Timestamp": str(point.ms), "Value": point.value} for point in points]
        tail = {"RequestId": arrival.request_id, "SummaryData": summary(points)}
        return {"Nodes": nodes} | tail if nodes else tail

    def _time_range(self, asked: Mapping[str, str], now: float) -> tuple[int, int]:
        try:
            begin, end = int(asked["BeginTs"]), int(asked["EndTs"])
        except ValueError:
            raise _wrong("BeginTs and EndTs are numbers") from None
        if begin >= end:
            raise _wrong("BeginTs is not before EndTs")
        if end - begin > (self._limits.span or 0) * 1000:
            raise _wrong("the time range exceeds 24 hours")
        if begin < (now - self._limits.reach) * 1000:
            raise _wrong("BeginTs is earlier than 30 days ago")
        if begin > now * 1000:
            raise _wrong("BeginTs is in the future")
        return (
            (begin // _STEP_MS * _STEP_MS, -(-end // _STEP_MS) * _STEP_MS) if self._rounds else (begin, end)
        )

    def _refusal(
        self, arrival: Arrival, refused: ApsaraVideoRefused, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Reply:
        known = facts.ERRORS.get(refused.code)
        fields = {
            "Code": refused.code,
            "Message": str(refused),
            "RequestId": arrival.request_id,
            "HostId": arrival.host,
            "Recommend": _TROUBLE_HERE + refused.code,
        }
        status = known.status if known else 400
        if self._xml:
            return Reply(status, _as_xml(fields), b"text/xml;charset=utf-8", headers)
        return Reply(status, msgspec.json.encode(fields), headers=headers)


def _as_xml(fields: Mapping[str, str]) -> bytes:
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>".encode()


def _parameters(arrival: Arrival) -> dict[str, str]:
    kind = arrival.headers.get("content-type", "").partition(";")[0]
    form = arrival.body.decode(errors="replace") if kind == _FORM else ""
    return dict(arrival.query) | dict(parse_qsl(form, keep_blank_values=True))


def _check_names(asked: Mapping[str, str]) -> None:
    for name, known in (("MetricType", facts.Metric), ("Os", facts.Os), ("TerminalType", facts.TerminalType)):
        if asked.get(name) and asked[name] not in list(known):
            raise _wrong(f"{name} {asked[name]}")


def _wrong(what: str) -> ApsaraVideoRefused:
    return ApsaraVideoRefused("Meter.ParamError", f"Param Error:{what},Please Check Again.")
