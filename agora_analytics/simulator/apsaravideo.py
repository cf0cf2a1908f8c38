"""Simulated ApsaraVideo Live: one operation over metrics that are generated on request, with signatures and a rate limit."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Unpack
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import msgspec
import numpy as np
from attrs import frozen

from agora_analytics.apsaravideo import spec as facts
from agora_analytics.core.limits import Limits
from agora_analytics.simulator.apsaravideo_signatures import ApsaraVideoRefused, SignatureCheck
from agora_analytics.simulator.ground_truth.noise import Bits, bits, busyness, key_array, units
from agora_analytics.simulator.simulated_api import ApiSettings, Arrival, Reply, SimulatedApi

DEMO_KEYS: Mapping[str, str] = {"demo-access-key-id": "demo-access-key-secret"}
"""The access key id and secret that the simulator accepts."""
_ROUTES = {facts.INTERACTION_METRICS: ("GET POST", "/")}
_FORM = "application/x-www-form-urlencoded"
_STEP_MS = facts.GRANULARITY * 1000
_TROUBLESHOOTING = "https://api.aliyun.com/troubleshoot?q="
_GAPS = 0.02
# The value of a metric in an idle hour, what a busy hour adds, and the variation; in percent or milliseconds.
_LEVELS = {
    facts.Metric.JOIN_SUCCESS_RATE: (99.5, -1.5, 0.5),
    facts.Metric.VIDEO_STUCK_RATE: (0.8, 2.0, 1.2),
    facts.Metric.AUDIO_STUCK_RATE: (0.4, 1.0, 0.6),
    facts.Metric.FIRST_FRAME_COST: (350.0, 200.0, 150.0),
}


@frozen(kw_only=True)
class Terminals:
    """A selection of terminals: of an app, of one system or kind, in one channel; None: all."""

    app_id: str
    os: str | None = None
    terminal_type: str | None = None
    channel_id: str | None = None


@frozen(kw_only=True)
class TruePoint:
    """A value with 6 decimals. `ms` is the start of its 5 minutes in UTC epoch milliseconds."""

    ms: int
    value: str


@frozen(kw_only=True)
class ApsaraVideoWorld:
    """The apps and channels of an account, and the values of their metrics at any time.

    Example:
        >>> world = ApsaraVideoWorld.generate(seed=7)
        >>> len(world.points("FirstFrameCost", Terminals(app_id=world.app_ids[0]), 0, 24 * 3_600_000 - 1)) > 270
        True
    """

    seed: int
    app_ids: tuple[str, ...]
    channel_ids: tuple[str, ...]

    @classmethod
    def generate(cls, *, seed: int = 1, apps: int = 2, channels: int = 5) -> "ApsaraVideoWorld":
        """Generate a world. The same seed gives the same world."""
        names = [blake2b(f"{seed} {i}".encode(), digest_size=16).hexdigest() for i in range(apps)]
        return cls(
            seed=seed,
            app_ids=tuple(f"{n[:8]}-{n[8:12]}-{n[12:16]}-{n[16:20]}-{n[20:]}" for n in names),
            channel_ids=tuple(str(770_513 + 17 * i) for i in range(channels)),
        )

    def points(self, metric: str, terminals: Terminals, first_ms: int, last_ms: int) -> list[TruePoint]:
        """Return the points whose 5 minutes begin in a time range, both ends included. Some points are missing."""
        index = np.arange(-(-first_ms // _STEP_MS), last_ms // _STEP_MS + 1, dtype=np.int64)
        if terminals.channel_id not in (None, *self.channel_ids) or not len(index):
            return []
        gap, noise, _ = units(bits(self._key(metric, terminals), index))
        level, busy, spread = _LEVELS[facts.Metric(metric)]
        values = np.maximum(level + busy * busyness(index * facts.GRANULARITY) + spread * (noise - 0.5), 0.0)
        if facts.Metric(metric) is facts.Metric.JOIN_SUCCESS_RATE:
            values = np.minimum(values, 100.0)
        return [
            TruePoint(ms=int(i) * _STEP_MS, value=f"{value:.6f}")
            for i, value, present in zip(index, values, gap >= _GAPS, strict=True)
            if present
        ]

    def _key(self, metric: str, terminals: Terminals) -> Bits:
        parts = (metric, terminals.app_id, terminals.os, terminals.terminal_type, terminals.channel_id)
        digest = blake2b(repr((self.seed, *map(str, parts))).encode(), digest_size=8).digest()
        return key_array(int.from_bytes(digest, "big"))


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
    form = arrival.body.decode(errors="replace") if arrival.media_type == _FORM else ""
    return dict(arrival.query) | dict(parse_qsl(form, keep_blank_values=True))


def _check_names(parameters: Mapping[str, str]) -> None:
    kinds = {"MetricType": facts.Metric, "Os": facts.Os, "TerminalType": facts.TerminalType}
    for name, values in kinds.items():
        if parameters.get(name) and parameters[name] not in list(values):
            raise _wrong(f"{name} {parameters[name]}")


def _wrong(what: str) -> ApsaraVideoRefused:
    return ApsaraVideoRefused("Meter.ParamError", f"Param Error:{what},Please Check Again.")


def summary(points: Sequence[TruePoint]) -> str:
    """Return the mean of points, or "0" if there are none."""
    return f"{sum(float(p.value) for p in points) / len(points):.6f}" if points else "0"
