"""The limits of a profile, in words: which of them a report counts, and why not the others."""

from collections.abc import Iterator

from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.insight.quality_report.panels import MEASURES, MeasuredLimits
from agora_analytics.insight.quality_report.report_records import ReportLimit
from agora_analytics.insight.quality_report.report_rows import ReportRows
from agora_analytics.scoring.profiles import NOT_SENT, SCORE_METRICS, Threshold, find_profile

_OPERATORS = {("above", False): ">", ("above", True): ">=", ("below", False): "<", ("below", True): "<="}


def report_limits(limits: MeasuredLimits, rows: ReportRows) -> Iterator[ReportLimit]:
    """Yield each limit of a profile; those that the report counts come first."""
    measured = {metric for (metric,) in rows.rows("SELECT DISTINCT metric FROM cells")}
    found = [
        ReportLimit(
            metric=each.metric,
            limit=limit_text(each),
            measure=_measure(each, limits) if each.metric in measured else None,
            note=_note(each, limits, measured),
        )
        for each in find_profile(limits.profile).thresholds
    ]
    yield from sorted(found, key=lambda each: each.measure is None)


def limit_text(threshold: Threshold) -> str:
    """Return a limit in words.

    Example:
        >>> limit_text(Threshold(metric="video_freeze_time", value=0.05, share_of_time=True))
        '> 5 % of the time'
    """
    operator = _OPERATORS[threshold.direction, threshold.inclusive]
    unit = "ms" if threshold.metric in NOT_SENT else COMMON_METRICS.get(threshold.metric, ("", ""))[0]
    if threshold.share_of_time:
        return f"{operator} {100 * threshold.value:g} % of the time"
    if unit == "ratio":
        return f"{operator} {100 * threshold.value:g} %"
    return f"{operator} {threshold.value:g} {unit}".rstrip()


def _measure(threshold: Threshold, limits: MeasuredLimits) -> str | None:
    if limits.thresholds.get(threshold.metric) is not threshold:
        return None
    return next(name for name, metrics in MEASURES.items() if threshold.metric in metrics)


def _note(threshold: Threshold, limits: MeasuredLimits, measured: set[str]) -> str:
    if threshold.metric in NOT_SENT:
        return "Not counted: no vendor sends it."
    if threshold.metric in SCORE_METRICS:
        return "Not counted: the page shows scores as they are."
    if _measure(threshold, limits) is None:
        grade = "" if threshold.level == "poor" else f" Its grade is {threshold.level}."
        return f"Not counted in this report.{grade}"
    if threshold.metric not in measured:
        return "Not counted: the calls have no samples of it."
    return threshold.note
