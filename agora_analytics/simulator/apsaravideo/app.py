"""Simulated ApsaraVideo Live: one operation, with signatures and the rate limit of an account."""

from collections.abc import Mapping
from typing import Unpack
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import msgspec

from agora_analytics.apsaravideo import spec as facts
from agora_analytics.core.limits import Limits
from agora_analytics.simulator.apsaravideo.signature_check import ApsaraVideoRefused, SignatureCheck
from agora_analytics.simulator.apsaravideo.world import ApsaraVideoWorld, Terminals, summary
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi

DEMO_KEYS: Mapping[str, str] = {"demo-access-key-id": "demo-access-key-secret"}
_ROUTES = {facts.INTERACTION_METRICS: ("GET POST", "/")}
_FORM = "application/x-www-form-urlencoded"
_STEP_MS = facts.GRANULARITY * 1000
_TROUBLESHOOTING = "https://api.aliyun.com/troubleshoot?q="


class ApsaraVideoSimulator(SimulatedApi):
    """Simulates `DescribeLiveInteractionMetricData` for one account.

    Args:
        world: the apps and their metrics.
        keys: the secret of each access key id. They are RAM users of one account and share its limit.
        tokens: the security token of each temporary key.
        limits: the rate limit of the account and its time ranges.
        retry_after: whether a throttled response has the header `x-acs-retry-after`.
        rounds: whether a response has all points whose 5 minutes the time range touches.
        xml: refuses in XML, as some of the vendor's gateways do.
        settings: the settings of every simulated API; see `SimulatedApi`.

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
        **settings: Unpack[ApiSettings],
    ) -> None:
        super().__init__(_ROUTES, credentials=None, **settings)
        self.world = world
        self._signatures = SignatureCheck(keys, tokens or {})
        self._limits = limits
        self._retry_after = retry_after
        self._rounds = rounds
        self._xml = xml

    def expire(self, key_id: str) -> None:
        """Make a temporary key invalid from now on."""
        self._signatures.expired.add(key_id)

    def check_limits(self, arrival: Arrival) -> Reply | None:
        """Check the signature of a request, then count it. Return a refusal if either fails."""
        try:
            self._signatures.verify(arrival)
        except ApsaraVideoRefused as refused:
            return self._refusal(arrival, refused)
        if not self.rate_windows.refusal(arrival.endpoint, self._limits, arrival.now):
            return None
        left_ms = int((1 - arrival.now % 1) * 1000) + 1
        headers = ((b"x-acs-retry-after", b"%d" % left_ms),) if self._retry_after else ()
        throttled = ApsaraVideoRefused("Throttling.User", "Request was denied due to user flow control.")
        return self._refusal(arrival, throttled, headers)

    async def respond(self, arrival: Arrival) -> Reply:
        """Return the metric data of a request, or refuse it."""
        try:
            self._check_operation(arrival)
            return self._metric_data(arrival)
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

    def _metric_data(self, arrival: Arrival) -> Reply:
        parameters = _parameters(arrival)
        for name in ("MetricType", "BeginTs", "EndTs", "AppId"):
            if not parameters.get(name):
                raise ApsaraVideoRefused(f"Missing{name}", f"{name} is mandatory for this action.")
        _check_names(parameters)
        if parameters["AppId"] not in self.world.app_ids:
            raise ApsaraVideoRefused("Meter.AuthError", "Authentication Failed,Please Try Again.")
        begin, end = self._time_range(parameters, arrival.now)
        terminals = Terminals(
            app_id=parameters["AppId"],
            os=parameters.get("Os"),
            terminal_type=parameters.get("TerminalType"),
            channel_id=parameters.get("ChannelId"),
        )
        points = self.world.points(
            parameters["MetricType"], terminals, begin, min(end, int(arrival.now * 1000))
        )
        nodes = [{"Timestamp": str(point.ms), "Value": point.value} for point in points]
        tail = {"RequestId": arrival.request_id, "SummaryData": summary(points)}
        return Reply.of({"Nodes": nodes} | tail if nodes else tail, points=len(points))

    def _time_range(self, parameters: Mapping[str, str], now: float) -> tuple[int, int]:
        try:
            begin, end = int(parameters["BeginTs"]), int(parameters["EndTs"])
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
        documented = facts.ERRORS.get(refused.code)
        fields = {
            "Code": refused.code,
            "Message": str(refused),
            "RequestId": arrival.request_id,
            "HostId": arrival.host,
            "Recommend": _TROUBLESHOOTING + refused.code,
        }
        status = documented.status if documented else 400
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


def _check_names(parameters: Mapping[str, str]) -> None:
    for name, values in (
        ("MetricType", facts.Metric),
        ("Os", facts.Os),
        ("TerminalType", facts.TerminalType),
    ):
        if parameters.get(name) and parameters[name] not in list(values):
            raise _wrong(f"{name} {parameters[name]}")


def _wrong(what: str) -> ApsaraVideoRefused:
    return ApsaraVideoRefused("Meter.ParamError", f"Param Error:{what},Please Check Again.")
