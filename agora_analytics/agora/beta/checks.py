"""What is refused of the questions of the 2021 beta API before a request is spent."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from agora_analytics.agora.beta.enums import (
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.agora.beta.limits import DAY, INSIGHT_USAGE
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, reachable
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import utc_day


def check_a_day(there: Window, limits: Limits, now: float) -> None:
    """Refuse a question about usage if what is there of its range, ends touching, is less than a day.

    Raises:
        InvalidRequest: with the last whole day that is there.
    """
    if there.length < DAY:
        ends = reachable(limits, now).end // DAY * DAY
        raise InvalidRequest(
            f"{there.length} s of the range are there, but a day ({DAY} s) is the least: less has an empty answer; "
            f"the last whole day is {utc_day(ends - DAY)} (since={ends - DAY}, until={ends})",
            endpoint=INSIGHT_USAGE,
        )


def check_metrics(endpoint: Endpoint, asked: Sequence[str], family: type[StrEnum]) -> None:
    """Refuse no metric, and one of another family. Names that nobody knows pass.

    Raises:
        InvalidRequest: with the metrics that the endpoint takes.
    """
    families: Iterable[Any] = (BetaUsageMetric, BetaScaleMetric, BetaExperienceMetric, BetaNetMetric)
    known = {str(metric) for one in families for metric in one}
    takes = [str(metric) for metric in family]
    if not asked or not all(asked):
        raise InvalidRequest(f"no metric is named; it takes {', '.join(takes)}", endpoint=endpoint.name)
    if wrong := [metric for metric in asked if metric in known and metric not in takes]:
        raise InvalidRequest(
            f"it does not tell {', '.join(wrong)}; it takes {', '.join(takes)}", endpoint=endpoint.name
        )
