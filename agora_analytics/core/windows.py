"""Time ranges: what a plan allows to be asked at a moment, and how a long range is cut.

A `Window` is closed: both of its ends, whole UTC seconds, belong to it, as the API reads `start_ts` and `end_ts`.
Windows that follow each other do not touch (`..., 59], [60, ...`), so no second is asked for twice.
"""

import math
from collections.abc import Sequence

from attrs import field, frozen

from agora_analytics.core.limits import Limits
from agora_analytics.errors import InvalidRequest, WindowOutOfReach

SLACK = 2
"""Seconds kept from the strict bounds, for the way to the server and the last of the clocks' difference."""


@frozen(order=True)
class Window:
    """The seconds `start` to `end`, both included, in UTC epoch seconds."""

    start: int
    end: int = field()

    @end.validator
    def _in_order(self, _: object, end: int) -> None:
        if end < self.start:
            raise InvalidRequest(f"the time range ends ({end}) before it starts ({self.start})")

    @classmethod
    def half_open(cls, since: float, until: float) -> "Window":
        """Return the window of `since <= t < until`, widened to whole seconds.

        Raises:
            InvalidRequest: if `until` is not after `since`.
        """
        if until <= since:
            raise InvalidRequest(
                f"since={since:.0f} is not before until={until:.0f}; give the earlier time first"
                if until < since
                else f"since and until are the same moment ({since:.0f}), so nothing lies between them"
            )
        return cls(math.floor(since), math.ceil(until) - 1)

    @classmethod
    def as_given(cls, start: int, end: int) -> "Window":
        """Return both ends as they are, in whatever order: for those who ask without checks."""
        window = cls.__new__(cls)
        object.__setattr__(window, "start", start)
        object.__setattr__(window, "end", end)
        return window

    @property
    def length(self) -> int:
        """`end - start` in seconds, as the server counts it."""
        return self.end - self.start

    def halves(self) -> tuple["Window", "Window"]:
        """Return the later and the earlier half; together they are the window. Needs `length` >= 1."""
        middle = (self.start + self.end) // 2
        return Window(middle + 1, self.end), Window(self.start, middle)

    def intersection(self, other: "Window") -> "Window | None":
        """Return the seconds that both have, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start <= end else None


def reachable(limits: Limits, now: float) -> Window:
    """Return the seconds that may be asked for at `now` (the server's clock, epoch seconds)."""
    return Window(
        math.floor(now - limits.reach) + 1 + SLACK,
        math.ceil(now - limits.delay) - 1 - SLACK,
    )


def clip(window: Window, limits: Limits, now: float, *, endpoint: str | None = None) -> Window:
    """Return the part of the window that the plan allows at `now`.

    Raises:
        WindowOutOfReach: if there is none; its `legal` is what can be asked.
    """
    reach = reachable(limits, now)
    if part := window.intersection(reach):
        return part
    why = (
        f"the time range is too recent: data comes {limits.delay} s late"
        if window.start > reach.end
        else f"the time range is too far back: the plan reaches {limits.reach / 3600:.0f} h"
    )
    raise WindowOutOfReach(why, legal=(reach.start, reach.end), endpoint=endpoint)


def split(window: Window, limits: Limits) -> list[Window]:
    """Cut a window into the fewest that the plan's span allows, the earliest first."""
    if limits.span is None:
        return [window]
    seconds = limits.span  # a window of `span` whole seconds has the length span - 1: strictly below it
    return [
        Window(start, min(start + seconds - 1, window.end))
        for start in range(window.start, window.end + 1, seconds)
    ]


def gaps(wanted: Window, covered: Sequence[Window]) -> list[Window]:
    """Return what is left of `wanted` without the `covered` windows, the earliest first."""
    left: list[Window] = []
    start = wanted.start
    for window in sorted(covered):
        if window.end < start or window.start > wanted.end:
            continue
        if window.start > start:
            left.append(Window(start, window.start - 1))
        start = max(start, window.end + 1)
    if start <= wanted.end:
        left.append(Window(start, wanted.end))
    return left
