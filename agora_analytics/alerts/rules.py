"""The rules of alerts: a metric, a condition, for how long, for which groups, and when to be silent."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from agora_analytics.agora.common_metrics import METRIC_MAPPINGS
from agora_analytics.agora.enums import Product, RealtimeMetric
from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.core.record import Record
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.call_metrics import call_metric, known_metrics
from agora_analytics.instants import iso

AlertSource = Literal["realtime", "store"]
"""Where values are read from: Real-time of the API, or a store."""

REALTIME_METRICS: Mapping[str, RealtimeMetric] = {
    "user_count": RealtimeMetric.USER_COUNT,
    "channel_count": RealtimeMetric.CHANNEL_COUNT,
    **{METRIC_MAPPINGS[each].metric: each for each in RealtimeMetric if each in METRIC_MAPPINGS},
}
"""The metrics of Real-time by their common names."""
REALTIME_GROUPS: Mapping[str, str] = {
    "country": "country", "region": "region", "network": "net", "platform": "os", "sdk_version": "sdk",
    "device_type": "device",
}  # fmt: skip
"""What Real-time can group by, with the dimension of the API. `channel` needs one query for each channel."""
STORE_GROUPS = ("channel", "vendor", "app_id", "network", "platform", "sdk_version", "device_type")
"""What the rows of a store can be grouped by."""
_LONGEST_NAME, _LARGEST = 100, 1e15


@frozen(kw_only=True)
class AlertRule(Record):
    """One rule. The alert fires after every window of `duration` seconds was above, or below, the limit.

    Attributes:
        name: the name of the alert, unique in its file.
        metric: a metric in the common names, such as `video_freeze_rate`; or a score of a store, such as `audio_score`.
        above, below: the limit, in the metric's unit; exactly one of them.
        duration: seconds for which the condition must hold; 0: one window. The alert is resolved after the condition did
            not hold for the same time.
        by: one alert for each value of this column: `channel`, `network`, ...; None: one alert for all users.
        only: only these values of `by`.
        silence: after the alert fired, it does not fire again for this many seconds.
        min_users: windows with fewer users count as windows without a value.
        product: which SDKs Real-time counts. Stores have both.

    Raises:
        InvalidRequest: a value is wrong, or the values do not fit together.

    Example:
        >>> rule = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05, duration=120)
        >>> rule.holds(0.051), rule.condition
        (True, 'video_freeze_rate > 5 %')
    """

    name: str
    metric: str
    above: float | None = None
    below: float | None = None
    duration: float = 0.0
    by: str | None = None
    only: tuple[str, ...] = field(default=(), converter=tuple)
    silence: float = 0.0
    min_users: int = 1
    product: Product = Product.NATIVE

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.name) <= _LONGEST_NAME or not self.name.isprintable():
            raise InvalidRequest(f"the name of an alert has 1 to {_LONGEST_NAME} printable characters")
        if (self.above is None) == (self.below is None):
            raise self._wrong("give a limit: either above or below")
        if not abs(self.limit) < _LARGEST:
            raise self._wrong("the limit is not a number, or too large")
        known = {*REALTIME_METRICS, *known_metrics()}
        if self.metric not in known:
            raise self._wrong(f"unknown metric {self.metric!r}{did_you_mean(self.metric, known)}")
        if self.unit == "ratio" and not 0 <= self.limit <= 1:
            raise self._wrong(f"{self.metric} is a share between 0 and 1, not {self.limit:g}; 0.05 means 5 %")
        groups = {*REALTIME_GROUPS, *STORE_GROUPS}
        if self.by is not None and self.by not in groups:
            advice = did_you_mean(self.by, groups) or f"; use one of {', '.join(sorted(groups))}"
            raise self._wrong(f"cannot group by {self.by!r}{advice}")
        if self.only and self.by is None:
            raise self._wrong('only selects values of by; add by, such as by = "channel"')
        if "" in self.only:
            raise self._wrong("only has an empty value")
        if self.min_users < 1:
            raise self._wrong("min_users is a number of users, at least 1")

    @property
    def limit(self) -> float:
        """The value that the metric is compared with."""
        return self.below if self.above is None else self.above  # type: ignore[return-value]

    @property
    def unit(self) -> str:
        """The unit of the metric: `ratio`, `ms`, `kbit/s` or empty."""
        if self.metric in COMMON_METRICS:
            return COMMON_METRICS[self.metric][0]
        return "" if self.metric in REALTIME_METRICS else call_metric(self.metric).unit

    @property
    def condition(self) -> str:
        """The condition in words, such as `video_freeze_rate > 5 %`."""
        return f"{self.metric} {'<' if self.above is None else '>'} {with_unit(self.limit, self.unit, digits=10)}"

    def holds(self, value: float) -> bool:
        """Whether the condition holds for a value."""
        return value < self.limit if self.above is None else value > self.limit

    def worse(self, one: float, other: float) -> float:
        """Return the value that is further beyond the limit."""
        return min(one, other) if self.above is None else max(one, other)

    def check_source(self, source: AlertSource) -> None:
        """Refuse a rule that a source has no values for.

        Raises:
            InvalidRequest: the source does not have the metric, or cannot group by the column.
        """
        if source == "store":
            if self.metric in REALTIME_METRICS and self.metric not in known_metrics():
                raise self._wrong(f"a store has no {self.metric}; only --follow has")
            if self.by in REALTIME_GROUPS and self.by not in STORE_GROUPS:
                raise self._wrong(f"a store has no {self.by}; group by one of {', '.join(STORE_GROUPS)}")
            if self.product is not Product.NATIVE:
                raise self._wrong('product selects users of Real-time; in a store, use by = "platform"')
            return
        if self.metric not in REALTIME_METRICS:
            raise self._wrong(
                f"Real-time has no {self.metric} but {', '.join(REALTIME_METRICS)}; use the rule with a store"
            )
        if self.by == "channel":
            if not self.only:
                raise self._wrong('Real-time cannot list channels; name them: only = ["standup"]')
        elif self.by is not None and self.by not in REALTIME_GROUPS:
            raise self._wrong(f"Real-time cannot group by {self.by}; use one of {', '.join(REALTIME_GROUPS)}")

    def _wrong(self, reason: str) -> InvalidRequest:
        return InvalidRequest(f"alert {self.name!r}: {reason}")


@frozen(kw_only=True)
class Silence:
    """A time range in which alerts do not fire, such as planned maintenance.

    Attributes:
        since, until: the range in epoch seconds, the end excluded.
        alerts: the names of the rules; empty: all.
    """

    since: float
    until: float
    alerts: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.since < self.until:
            raise InvalidRequest(f"a silence ends before it begins: {iso(self.since)} to {iso(self.until)}")

    def covers(self, alert: str, time: float) -> bool:
        """Whether an alert must not fire at a time."""
        return self.since <= time < self.until and (not self.alerts or alert in self.alerts)


def check_rules(rules: Sequence[AlertRule], silences: Collection[Silence] = ()) -> None:
    """Refuse rules with the same name, and silences of rules that do not exist.

    Raises:
        InvalidRequest: there is no rule, a name is used twice, or a silence names an unknown rule.
    """
    names = [rule.name for rule in rules]
    if not names:
        raise InvalidRequest("there is no rule; add [[alert]]")
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidRequest(f"two alerts have the name {min(twice)!r}; give each one its own")
    for name in (name for silence in silences for name in silence.alerts):
        if name not in names:
            raise InvalidRequest(f"a silence names the unknown alert {name!r}{did_you_mean(name, names)}")


def with_unit(value: float, unit: str, *, digits: int = 4) -> str:
    """Return a value as people read it: shares in percent, without exponents.

    Args:
        value: the value.
        unit: its unit; `ratio` for a share.
        digits: significant digits.

    Example:
        >>> with_unit(0.125, "ratio"), with_unit(312.44, "ms"), with_unit(12_345, "")
        ('12.5 %', '312.4 ms', '12,345')
    """
    number, unit = (100 * value, "%") if unit == "ratio" else (value, unit)
    text = f"{number:,.0f}" if abs(number) >= 10 ** (digits - 1) else f"{number:.{digits}g}"
    return f"{text} {unit}".rstrip()
