"""The operations of the 2021 beta API, and the checks of their parameters. None of them has pages.

Source: `reference/sources/001`, and `reference/agora-analytics-api.md`, "The 2021 beta API".
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from attrs import frozen

from agora_analytics.agora.beta import limits
from agora_analytics.agora.beta.enums import (
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.agora.beta.limits import DAY, INSIGHT_USAGE
from agora_analytics.agora.beta.records import (
    BetaPoint,
    CappedList,
    DecodedDetails,
    Diagnosis,
    parse_calls,
    parse_details,
    parse_diagnoses,
    parse_points,
)
from agora_analytics.agora.judge import Opened, open_fields, read_response
from agora_analytics.agora.records import Call
from agora_analytics.core.limits import Limits
from agora_analytics.core.verdicts import Read
from agora_analytics.core.windows import Window, reachable
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import utc_day
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query

R = TypeVar("R")


def _reader(parse: Callable[[dict[str, Any]], R]) -> Read[R]:
    """Return the reader of an operation, given the parser of its fields."""

    def open_body(body: bytes) -> Opened[R]:
        opened = open_fields(body)
        return Opened(opened.envelope, lambda: parse(opened.decode()))

    return partial(read_response, open_body=open_body)


def _open_details(body: bytes) -> Opened[DecodedDetails]:
    opened = open_fields(body)
    return Opened(opened.envelope, lambda: parse_details(opened.decode(), body))


def _write_window(window: Window) -> Query:
    return (("start_ts", str(window.start)), ("end_ts", str(window.end)))


def _in_one(window: Window, _: Limits) -> Sequence[Window]:
    return [window]


@frozen(kw_only=True)
class BetaMetricsOperation(Operation[list[BetaPoint]]):
    """An operation that returns the values of its `metrics`."""

    metrics: type[StrEnum]

    def check(self, names: Sequence[str]) -> None:
        """Refuse an empty list of metrics, and a metric of another operation. Unknown names are accepted.

        Raises:
            InvalidRequest: with the metrics of this operation.
        """
        own = [str(metric) for metric in self.metrics]
        documented = {str(metric) for operation in _METRICS for metric in operation.metrics}
        if not names or not all(names):
            raise InvalidRequest(f"no metric is given; pass some of {', '.join(own)}", endpoint=self.name)
        if wrong := [name for name in names if name in documented and name not in own]:
            raise InvalidRequest(
                f"{', '.join(wrong)} is a metric of another endpoint; pass some of {', '.join(own)}",
                endpoint=self.name,
            )

    def read_metrics(self, names: Sequence[str]) -> Read[list[BetaPoint]]:
        """Return the reader of the named metrics."""
        return _reader(partial(parse_points, metrics=names))


CALL_LISTS: Operation[CappedList[Call]] = Operation(
    name=limits.CALL_LISTS,
    path="/beta/analytics/call/lists",
    read=_reader(parse_calls),
    write_window=_write_window,
    split=_in_one,
    key=lambda call: call.call_id,
)
CALL_DETAILS: Operation[DecodedDetails] = Operation(
    name=limits.CALL_DETAILS,
    path="/beta/analytics/call/details",
    read=partial(read_response, open_body=_open_details),
    write_window=_write_window,
)
LIVE_DIAGNOSIS: Operation[CappedList[Diagnosis]] = Operation(
    name=limits.LIVE_DIAGNOSIS,
    path="/beta/live/diagnosis",
    read=_reader(parse_diagnoses),
    write_window=_write_window,
    split=_in_one,
    key=lambda trouble: (trouble.ts, trouble.user, trouble.exp_id, trouble.cname, repr(trouble.cause_tags)),
)


def _metrics(name: str, path: str, metrics: type[StrEnum]) -> BetaMetricsOperation:
    return BetaMetricsOperation(
        name=name,
        path=path,
        read=_reader(partial(parse_points, metrics=[str(metric) for metric in metrics])),
        write_window=_write_window,
        split=_in_one,
        metrics=metrics,
    )


USAGE = _metrics(limits.INSIGHT_USAGE, "/beta/insight/usage/by_time", BetaUsageMetric)
LIVE_SCALE = _metrics(limits.LIVE_SCALE, "/beta/live/scale/by_time", BetaScaleMetric)
LIVE_EXPERIENCE = _metrics(limits.LIVE_EXPERIENCE, "/beta/live/experience/by_time", BetaExperienceMetric)
LIVE_NET = _metrics(limits.LIVE_NET, "/beta/live/net/by_time", BetaNetMetric)
_METRICS = (USAGE, LIVE_SCALE, LIVE_EXPERIENCE, LIVE_NET)


def check_whole_day(part: Window, limits: Limits, now: float) -> None:
    """Refuse a range of usage if less than a day of it is available: the response would be empty.

    Args:
        part: the available part of the range; its end is the start of the next day.
        limits: the limits of usage.
        now: the server's time in UTC epoch seconds.

    Raises:
        InvalidRequest: with the last whole day that is available.
    """
    if part.length < DAY:
        end = reachable(limits, now).end // DAY * DAY
        raise InvalidRequest(
            f"only {part.length} s of the range are available, but the response is empty for less than a day ({DAY} s); "
            f"the last whole day is {utc_day(end - DAY)} (since={end - DAY}, until={end})",
            endpoint=INSIGHT_USAGE,
        )
