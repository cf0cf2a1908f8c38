"""The listings of the 2021 beta API. It has no pages: a range whose response is truncated is requested in narrower parts."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from agora_analytics.agora.beta.records import CallDetails, CappedList, DecodedDetails, Diagnosis
from agora_analytics.agora.records import Call
from agora_analytics.core.paging import Step, write_token
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import ListingNarrowed
from agora_analytics.engine.pages import Fetched, Page
from agora_analytics.errors import IncompleteListing
from agora_analytics.kit.listing import FirstSeen, Listing
from agora_analytics.kit.operation import Operation

T = TypeVar("T")
Narrow = Callable[[Window, Sequence[T]], Sequence[Window]]
"""(window, its records) -> the windows that may hold the records that the response left out; empty: none."""

MINUTE = 60


def bisecting_listing(
    engine: Engine,
    operation: Operation[CappedList[T]],
    steps: Sequence[Step],
    *,
    request: Callable[[Window], ApiRequest[CappedList[T]]],
    narrow: Narrow[T],
    wanted: Callable[[T, Window], bool] = lambda *_: True,
) -> Listing[Step, CappedList[T], Page[T]]:
    """Return a paginator that requests narrower windows where a response is truncated.

    Args:
        engine: sends the requests.
        operation: what is listed; its `key` identifies a record.
        steps: the windows to begin with.
        request: returns the request of a window.
        narrow: returns the windows to request after a truncated response.
        wanted: whether a record of a window belongs to the range that the listing is about.
    """
    assert operation.key is not None  # noqa: S101 - records repeat in narrower windows

    def page(step: Step, response: ApiResponse[CappedList[T]]) -> Fetched[Step, Page[T]]:
        shown, window = response.result, step.window
        parts = narrow(window, shown.records) if shown.truncated else ()
        if shown.truncated and not parts:
            raise IncompleteListing(
                f"more than {len(shown.records)} records lie in {window.start} to {window.end}; "
                "the server returns no more of them, and the range cannot be narrowed further",
                endpoint=operation.name,
            )
        if parts:
            engine.observer(ListingNarrowed(endpoint=operation.name, start=window.start, end=window.end))
        return Fetched(
            page=Page(
                records=[record for record in shown.records if wanted(record, window)],
                meta=response.meta,
                raw=response.response.body,
            ),
            next_steps=[Step(part) for part in parts],
        )

    return Listing(
        steps,
        run=engine.run,
        request=lambda step: request(step.window),
        page=page,
        token=lambda _, after: write_token(after),
        fresh=FirstSeen(operation.key),
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


def details_listing(
    engine: Engine,
    call_id: str,
    steps: Sequence[Step],
    *,
    request: Callable[[Window], ApiRequest[DecodedDetails]],
) -> Listing[Step, DecodedDetails, Page[CallDetails]]:
    """Return the paginator of a call's details, one page for each window."""

    def page(step: Step, response: ApiResponse[DecodedDetails]) -> Fetched[Step, Page[CallDetails]]:
        decoded = response.result
        details = CallDetails(
            call_id=decoded.call_id or call_id,
            window=step.window,
            sessions=decoded.sessions,
            columns=decoded.columns,
        )
        return Fetched(page=Page(records=[details], meta=response.meta, raw=response.response.body))

    return Listing(
        steps,
        run=engine.run,
        request=lambda step: request(step.window),
        page=page,
        token=lambda _, after: write_token(after),
    )
