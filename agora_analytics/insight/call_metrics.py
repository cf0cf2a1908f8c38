"""What the value of a metric is over many calls: SQL for a numerator and a denominator, which are added up per call."""

from collections.abc import Callable, Mapping
from typing import Literal

from attrs import evolve, frozen

from agora_analytics.agora.metric_ids import METRIC_IDS, Better, metric_name
from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.errors import InvalidRequest
from agora_analytics.store.quality import MAPPINGS, map_metric
from agora_analytics.store.score_views import interval_scores_sql

Worse = Literal["higher", "lower", ""]


@frozen(kw_only=True)
class CallMetric:
    """A metric that can be added up over calls. Its value is sum(numerator) / sum(denominator).

    Attributes:
        name: the name of the metric.
        unit: the unit of the value; "ratio" for a share, empty if it is not documented.
        source: the metric of the view `quality` whose samples are used; with `rows`, the one that they need most.
        rows: for a metric that is computed from several others, such as a score: a function of a condition on `day` and
            `app_id` that returns a query for vendor, app_id, call_id, session_id, user_id, channel, ts, value, seconds.
            None: the samples of `source`.
        numerator: SQL over the columns `value` and `seconds` of a sample.
        denominator: SQL over the same columns.
        worse: whether a higher or a lower value is worse; empty if neither.
        meaning: the value in words.
    """

    name: str
    unit: str
    source: str
    rows: Callable[[str], str] | None = None
    numerator: str = "value * seconds"
    denominator: str = "seconds"
    worse: Worse = ""
    meaning: str = "mean over the measured time"


DERIVED_METRICS: Mapping[str, CallMetric] = {
    f"{kind}_freeze_rate": CallMetric(
        name=f"{kind}_freeze_rate",
        unit="ratio",
        source=f"{kind}_freeze_time",
        # A sample can report a freeze that began before its own time.
        numerator="least(value / 1000, seconds)",
        worse="higher",
        meaning=f"seconds of frozen {kind} divided by the measured seconds",
    )
    for kind in ("audio", "video")
}
"""Shares of time that are computed from the samples of another metric. They replace the vendor's own metric of that name."""


def _score_rows(media: str) -> Callable[[str], str]:
    def rows(where: str) -> str:
        return (
            "SELECT vendor, app_id, call_id, session_id, user_id, channel, ts, score AS value, seconds "
            f"FROM ({interval_scores_sql(where)}) WHERE media = '{media}'"
        )

    return rows


SCORES: Mapping[str, CallMetric] = {
    f"{media}_score": CallMetric(
        name=f"{media}_score",
        unit="",
        source=source,
        rows=_score_rows(media),
        worse="lower",
        meaning=f"mean {media} score, 1 to 4.5, over the scored time",
    )
    for media, source in (("audio", "audio_packet_loss_received"), ("video", "video_freeze_time"))
}
"""The scores of the view `interval_scores`."""


def call_metric(name: str, *, above: float | None = None, below: float | None = None) -> CallMetric:
    """Return how a metric is added up over calls.

    Args:
        name: a metric of the view `quality`, or one of `DERIVED_METRICS` or `SCORES`.
        above: measure the share of time in which a sample is above this value instead.
        below: measure the share of time in which a sample is below this value instead.

    Raises:
        InvalidRequest: both limits are given, or a limit is given for a derived metric.

    Example:
        >>> call_metric("round_trip_time", above=300).numerator
        'CASE WHEN value > 300.0 THEN seconds ELSE 0 END'
    """
    if above is not None and below is not None:
        raise InvalidRequest("above and below cannot be combined; use one of them")
    limit = below if above is None else above
    if derived := DERIVED_METRICS.get(name):
        if limit is not None:
            raise InvalidRequest(
                f"{name} is a share of time already; set a limit for a sampled metric, such as {derived.source}"
            )
        return derived
    mean = SCORES.get(name) or CallMetric(name=name, unit=_unit(name), source=name, worse=_worse(name))
    if limit is None:
        return mean
    if not abs(limit) < float("inf"):
        raise InvalidRequest(f"the limit {limit} is not a number")
    side, operator = ("below", "<") if above is None else ("above", ">")
    worse = mean.worse if above is not None else _OPPOSITE[mean.worse]
    return evolve(
        mean,
        name=f"{name}_{side}_{limit:g}",
        unit="ratio",
        numerator=f"CASE WHEN value {operator} {float(limit)!r} THEN seconds ELSE 0 END",
        worse=worse,
        meaning=f"share of the measured time {side} {limit:g}" + f" {mean.unit}".rstrip(),
    )


_OPPOSITE: Mapping[Worse, Worse] = {"higher": "lower", "lower": "higher", "": ""}
_HIGHER_IS_WORSE = ("loss", "latency", "freeze", "round_trip_time", "delay", "first_frame")


def agora_ids(source: str) -> dict[int, float]:
    """Return the metric ids of Agora that have a name in `quality`, with the factor to its unit.

    Example:
        >>> agora_ids("video_packet_loss_received"), agora_ids("mid_20099")
        ({20018: 0.01}, {20099: 1.0})
    """
    number = source.removeprefix("mid_")
    if number != source and number.isdecimal() and int(number) not in METRIC_IDS and int(number) < 2**31:
        return {int(number): 1.0}
    return {mid: factor for mid, (name, _, factor) in _AGORA.items() if name == source}


def _agora() -> Mapping[int, tuple[str, str, float]]:
    """Return the name, the unit and the factor that the view `quality` has for each metric id."""
    named = {}
    for mid, documented in METRIC_IDS.items():
        unit = "kbit/s" if documented.unit == "Kbps" else documented.unit
        mapped = map_metric("agora", str(mid), unit)
        name = mapped.metric if str(mid) in MAPPINGS["agora"] else metric_name(mid)
        named[mid] = (name, mapped.unit, mapped.factor)
    return named


_AGORA = _agora()


def known_metrics() -> list[str]:
    """Return the names of all metrics that are documented, sorted."""
    return sorted({*COMMON_METRICS, *DERIVED_METRICS, *SCORES, *(name for name, _, _ in _AGORA.values())})


def _unit(name: str) -> str:
    if name in COMMON_METRICS:
        return COMMON_METRICS[name][0]
    return next((unit for other, unit, _ in _AGORA.values() if other == name), "")


def _worse(name: str) -> Worse:
    for mid in agora_ids(name):
        documented = METRIC_IDS.get(mid)
        match documented and documented.better:
            case Better.LOWER:
                return "higher"
            case Better.HIGHER:
                return "lower"
    return "higher" if any(word in name for word in _HIGHER_IS_WORSE) else ""
