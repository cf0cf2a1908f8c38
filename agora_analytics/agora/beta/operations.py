"""The operations of the 2021 beta API, the checks of their parameters, and its listings.

It has no pages: a range whose response is truncated is requested in narrower parts.

Source: Agora, "Agora Analytics RESTful API (Beta)" (2021).
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from attrs import frozen

from agora_analytics.agora.beta import limits
from agora_analytics.agora.beta.enums import (
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.agora.beta.limits import DAY, INSIGHT_USAGE, MINUTE
from agora_analytics.agora.beta.records import (
    BetaPoint,
    CallDetails,
    CappedList,
    Diagnosis,
    parse_calls,
    parse_details,
    parse_diagnoses,
    parse_points,
)
from agora_analytics.agora.judge import Opened, open_fields, read_response
from agora_analytics.agora.records import Call
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.core.limits import Limits
from agora_analytics.core.paging import Step, position_of
from agora_analytics.core.resume_tokens import ResumeTokens
from agora_analytics.core.spelling import check_spelling
from agora_analytics.core.verdicts import Exchange, Payload, Read, Verdict
from agora_analytics.core.windows import Window, reachable
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import ListingNarrowed, PartialResponse
from agora_analytics.engine.pages import Fetched, Page
from agora_analytics.errors import IncompleteListing, InvalidRequest
from agora_analytics.instants import utc_day
from agora_analytics.kit.listing import FirstSeen, Listing, page_of
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query

R = TypeVar("R")
T = TypeVar("T")
Narrow = Callable[[Window, Sequence[T]], Sequence[Window]]
"""(window, its records) -> the windows that may hold the records that the response left out; empty: none."""


def _reader(parse: Callable[[dict[str, Any], LenientReader, bytes, Payload], R]) -> Read[R]:
    """Return how an operation is read; `parse` takes a response's fields, the reader, the body, and what was sent."""

    def read(exchange: Exchange) -> Verdict[R]:
        def open_body(body: bytes) -> Opened[R]:
            opened = open_fields(body)
            return Opened(
                opened.envelope,
                lambda reader: parse(opened.decode(reader), reader, body, exchange.payload),
            )

        return read_response(exchange, open_body=open_body)

    return read


def _write_window(window: Window) -> Query:
    return (("start_ts", str(window.start)), ("end_ts", str(window.end)))


def _in_one(window: Window, _: Limits) -> Sequence[Window]:
    return [window]


@frozen(kw_only=True)
class BetaMetricsOperation(Operation[list[BetaPoint]]):
    """An operation that returns the values of its `metrics`."""

    metrics: type[StrEnum]

    def check(self, names: Sequence[str]) -> None:
        """Refuse an empty list of metrics, a metric of another operation, and a misspelt one."""
        own = [str(metric) for metric in self.metrics]
        documented = {str(metric) for operation in _METRICS for metric in operation.metrics}
        if not names or not all(names):
            raise InvalidRequest(f"no metric is given; pass some of {', '.join(own)}", endpoint=self.name)
        if wrong := [name for name in names if name in documented and name not in own]:
            raise InvalidRequest(
                f"{', '.join(wrong)} is a metric of another endpoint; pass some of {', '.join(own)}",
                endpoint=self.name,
            )
        check_spelling("metric", names, (*own, *documented), endpoint=self.name)


CALL_LISTS: Operation[CappedList[Call]] = Operation(
    name=limits.CALL_LISTS,
    path="/beta/analytics/call/lists",
    read=_reader(lambda fields, reader, *_: parse_calls(fields, reader)),
    write_window=_write_window,
    split=_in_one,
    key=lambda call: call.call_id,
)
CALL_DETAILS: Operation[CappedList[CallDetails]] = Operation(
    name=limits.CALL_DETAILS,
    path="/beta/analytics/call/details",
    columnar=True,
    read=_reader(parse_details),
    write_window=_write_window,
    of_one_call=True,
)
LIVE_DIAGNOSIS: Operation[CappedList[Diagnosis]] = Operation(
    name=limits.LIVE_DIAGNOSIS,
    path="/beta/live/diagnosis",
    read=_reader(lambda fields, reader, *_: parse_diagnoses(fields, reader)),
    write_window=_write_window,
    split=_in_one,
    key=lambda trouble: (trouble.ts, trouble.user, trouble.exp_id, trouble.cname, repr(trouble.cause_tags)),
)


def _metrics(name: str, path: str, metrics: type[StrEnum]) -> BetaMetricsOperation:
    return BetaMetricsOperation(
        name=name,
        path=path,
        read=_reader(
            lambda fields, reader, _, sent: parse_points(
                fields, reader, dict(sent.query)["metric"].split(",")
            )
        ),
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

    `part` is the available part of the range; its end is the start of the next day.
    """
    if part.length < DAY:
        end = reachable(limits, now).end // DAY * DAY
        raise InvalidRequest(
            f"the plan covers {part.length} s of the range, less than a day; the server returns whole days only; "
            f"the last whole day is {utc_day(end - DAY)} (since={end - DAY}, until={end})",
            endpoint=INSIGHT_USAGE,
        )


def bisecting_listing(
    engine: Engine,
    operation: Operation[CappedList[T]],
    steps: Sequence[Step],
    tokens: ResumeTokens,
    *,
    request: Callable[[Window], ApiRequest[CappedList[T]]],
    narrow: Narrow[T],
    wanted: Callable[[T, Window], bool],
    says_more: bool,
) -> Listing[Step, CappedList[T], Page[T]]:
    """Return a paginator that requests narrower windows where a response is truncated.

    `wanted` decides whether a record of a window belongs to the range that the listing is about. `says_more` is whether
    the server says that a list is truncated. If not, a full list may be complete: one that cannot be narrowed further is
    returned, and reported as an event.
    """

    def page(step: Step, response: ApiResponse[CappedList[T]]) -> Fetched[Step, Page[T]]:
        shown, window = response.result, response.payload.window or step.window
        parts = narrow(window, shown.records) if shown.truncated else ()
        if shown.truncated and not parts:
            text = (
                f"the range {window.start} to {window.end} has {'more than ' if says_more else ''}{len(shown.records)} "
                "records, the most that the server returns, and cannot be narrowed further"
            )
            if says_more:
                raise IncompleteListing(text, endpoint=operation.name)
            engine.observer(PartialResponse(endpoint=operation.name, code=None, message=text))
        if parts:
            engine.observer(ListingNarrowed(endpoint=operation.name, start=window.start, end=window.end))
        return Fetched(
            page=page_of(response, [record for record in shown.records if wanted(record, window)]),
            next_steps=[Step(part) for part in parts],
        )

    return Listing(
        steps,
        run=engine.run,
        request=lambda step: request(step.window),
        page=page,
        token=lambda _, after: tokens.write(position_of(after)),
        fresh=FirstSeen(operation.key) if operation.key else None,
    )


def narrow_calls(window: Window, calls: Sequence[Call], *, earliest: int) -> Sequence[Window]:
    """Return the windows of the calls that a truncated list left out.

    The list has the newest calls, so the others began before the oldest of these. Calls that began before the range
    were all active in the second in which that oldest call began. So this second is requested, or `earliest`, the
    first second that the plan allows; no other second shows more of them. If the list has another order, or its oldest
    call does not narrow the range, the range is halved.
    """
    times = [call.created_ts for call in calls]
    if times and times == sorted(times, reverse=True):
        oldest = times[-1]
        last = oldest if oldest >= window.start else max(oldest, earliest)
        if last < window.end:
            return (Window(min(window.start, last), last),)
        if oldest < last:
            return ()
    return window.halves() if window.length else ()


def narrow_diagnoses(window: Window, _: Sequence[Diagnosis]) -> Sequence[Window]:
    """Return the halves of a range, the earlier first. The data is counted by the minute, so a minute is not split."""
    return window.halves()[::-1] if window.length >= MINUTE else ()
