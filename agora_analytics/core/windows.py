"""Time ranges: what a plan allows to be requested at a time, and how a long range is split.

A `Window` includes both of its ends, which are whole UTC seconds, as the API reads `start_ts` and `end_ts`.
Consecutive windows do not overlap (`..., 59], [60, ...`), so no second is requested twice.
"""

import math
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from agora_analytics.core.limits import Limits
from agora_analytics.core.numbers import INT64
from agora_analytics.core.record import Record
from agora_analytics.errors import InvalidRequest, WindowOutOfReach
from agora_analytics.instants import Instant, epoch_seconds, iso

SLACK = 2
"""Safety margin in seconds at both bounds, for the latency and what remains of the clocks' difference."""


@frozen(order=True)
class Window(Record):
    """The seconds `start` to `end`, both included, in UTC epoch seconds."""

    start: int
    end: int = field()

    @end.validator
    def _in_order(self, _: object, end: int) -> None:
        if end < self.start:
            raise InvalidRequest(
                f"the time range ends ({_shown(end)}) before it starts ({_shown(self.start)})"
            )

    @classmethod
    def half_open(cls, since: float, until: float, names: tuple[str, str] = ("since", "until")) -> "Window":
        """Return the window of `since <= t < until`, widened to whole seconds.

        Raises:
            InvalidRequest: if `until` is not after `since`.
        """
        if until <= since:
            first, last = names
            raise InvalidRequest(
                f"{first} ({_shown(since)}) is not before {last} ({_shown(until)}); give the earlier time first"
                if until < since
                else f"{first} and {last} are the same time ({_shown(since)}), so the range is empty"
            )
        return cls(math.floor(since), math.ceil(until) - 1)

    @classmethod
    def as_given(cls, start: int, end: int) -> "Window":
        """Return both ends as they are, in any order, for `validate=False`."""
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


def time_range(
    since: Instant,
    until: Instant,
    *,
    now: float,
    validate: bool = True,
    names: tuple[str, str] = ("since", "until"),
) -> Window:
    """Return the seconds of `since <= t < until`.

    Args:
        since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
        until: likewise.
        now: the server's time in UTC epoch seconds.
        validate: False returns both ends as they are.
        names: what the two are called in an error.

    Raises:
        InvalidRequest: milliseconds, a naive datetime, `since` not before `until`; always, a number beyond 64 bits.
    """
    if not validate:
        ends = [
            moment if isinstance(moment, int | float) else epoch_seconds(moment, now=now)
            for moment in (since, until)
        ]
        for name, end in zip(names, ends, strict=True):
            if not INT64.start <= end < INT64.stop:
                raise InvalidRequest(f"{name} is not a time: it is not a number of 64 bits")
        return Window.as_given(*map(int, ends))
    begin = epoch_seconds(since, now=now, name=names[0])
    end = epoch_seconds(until, now=now, name=names[1])
    if begin > max(now, end):  # `until` is now by default, so the order of the two would be a puzzle
        raise InvalidRequest(f"{names[0]} ({_shown(begin)}) is in the future; give a time that has passed")
    return Window.half_open(begin, end, names=names)


def reachable(limits: Limits, now: float) -> Window:
    """Return the seconds that may be requested at `now` (the server's clock, epoch seconds)."""
    return Window(
        math.floor(now - limits.reach) + 1 + SLACK,
        math.ceil(now - limits.delay) - 1 - SLACK,
    )


def clip(window: Window, limits: Limits, now: float, *, endpoint: str | None = None) -> Window:
    """Return the part of the window that the plan allows at `now`.

    Raises:
        WindowOutOfReach: there is none; `legal` of the error is the range that the plan allows.
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


def merge_nearby(seconds: Iterable[int], *, max_gap: int) -> list[Window]:
    """Return windows that contain all the seconds; neighbors at most `max_gap` apart share a window."""
    windows: list[Window] = []
    for second in sorted(set(seconds)):
        if windows and second - windows[-1].end <= max_gap:
            windows[-1] = Window(windows[-1].start, second)
        else:
            windows.append(Window(second, second))
    return windows


def _shown(seconds: float) -> str:
    """Return a time of an error message as ISO 8601, or as the number that it is if it has no date."""
    try:
        return iso(seconds)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"
