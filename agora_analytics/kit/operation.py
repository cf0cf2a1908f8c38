"""An operation: one endpoint of a vendor as data, with the pure functions that its requests need."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.sent_text import check_text
from agora_analytics.core.verdicts import Payload, Read
from agora_analytics.core.windows import SLACK, Window, clip, reachable, split
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.events import NotYetAvailable, Observer, RangeClipped
from agora_analytics.messages import Query

R = TypeVar("R")

Clip = Callable[..., Window]
"""(window, limits, server's time, endpoint=name) -> the part that may be requested. Raises WindowOutOfReach."""
Split = Callable[[Window, Limits], Sequence[Window]]
"""(window, limits) -> the windows, each short enough for one request, the earliest first."""


_NOT_REPORTED = 60
"""Seconds that may be cut off without an event: `7d` of a plan that reaches 7 days is shorter by a few."""


def report_clip(observer: Observer, endpoint: str, window: Window, part: Window, now: float) -> None:
    """Send an event if `part` of a window lacks old data, or if the window ends in the future."""
    if (
        part.start - window.start > _NOT_REPORTED
        or min(window.end - now, window.end - part.end) > _NOT_REPORTED
    ):
        observer(
            RangeClipped(
                endpoint=endpoint,
                requested_start=window.start,
                requested_end=window.end,
                start=part.start,
                end=part.end,
            )
        )


@frozen(kw_only=True)
class Operation(Endpoint, Generic[R]):
    """One endpoint of a vendor: how its time range is planned and written, and how its response is read.

    Attributes:
        read: judges and decodes a response in one pure step. An operation whose reader needs more than the response
            passes its own to `request`.
        write_window: the query parameters (or body fields) of a time range; None: it takes no range.
        clip: what of a window may be requested at a time. It is called twice: when a listing is planned, and again when
            a request is sent, which may be minutes later.
        split: how a range becomes windows.
        key: identifies a record, so that one that two responses have is returned once; None: no record repeats.
        of_one_call: whether the range is that of a call, whose data may not be available yet. Such a range is not an
            error: it has no windows.
    """

    read: Read[R]
    write_window: Callable[[Window], Query] | None = None
    clip: Clip = clip
    split: Split = split
    key: Callable[[Any], Hashable] | None = None
    of_one_call: bool = False

    def plan(self, window: Window, limits: Limits | None, now: float, observer: Observer) -> Sequence[Window]:
        """Return the windows in which a range is requested at `now`, the earliest first.

        Args:
            window: the range.
            limits: what the plan allows; None: the range is sent as it is.
            now: the server's time in UTC epoch seconds.
            observer: is called if a part of the range cannot be requested.

        Raises:
            WindowOutOfReach: no part of the range may be requested, unless it is the recent range of a call.
        """
        if limits is None:
            return [window]
        # A response needs more than one second, unless the range has only one.
        needed = min(window.start + 1, window.end)
        if self.of_one_call and reachable(limits, now).end < needed and window.start <= now + SLACK:
            observer(
                NotYetAvailable(
                    endpoint=self.name,
                    start=window.start,
                    end=window.end,
                    available_at=needed + limits.delay + SLACK + 1,
                )
            )
            return []
        part = self.clip(window, limits, now, endpoint=self.name)
        report_clip(observer, self.name, window, part, now)
        return self.split(part, limits)

    def request(
        self,
        query: Query = (),
        *,
        window: Window | None = None,
        limits: Limits | None = None,
        body: bytes = b"",
        read: Read[R] | None = None,
        final: bool = False,
        keep_end: bool = False,
    ) -> ApiRequest[R]:
        """Return the request of a window, which is clipped again when the request is sent.

        Args:
            query: the other parameters.
            window: the time range, if the operation takes one.
            limits: what the plan allows; None: the window is sent as it is.
            body: the body.
            read: reads the response in place of the operation's own reader.
            final: the response cannot change any more; see `ApiRequest.final`.
            keep_end: do not clip the end of the window. For the other pages of a window that the server has accepted:
                with another end, records would move from one page to the next.

        Raises:
            InvalidRequest: a parameter is not text that can be sent.
        """
        check_text(query)

        def build(now: float) -> Payload:
            if window is None or self.write_window is None:
                return Payload(query=query, body=body)
            part = window if limits is None else self.clip(window, limits, now, endpoint=self.name)
            if keep_end:
                part = Window(part.start, window.end)
            return Payload(query=(*self.write_window(part), *query), body=body, window=part)

        return ApiRequest(endpoint=self, build=build, read=read or self.read, final=final)
