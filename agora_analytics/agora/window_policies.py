"""Which windows a range of time is asked for in, as Data Insights and Real-time read `startTs` and `endTs`.

Both ends are given as `since <= t < until`. Data Insights gives every row with startTs <= ts <= endTs, so windows
end a second before the next begins, and begin at full hours, where no row is cut in two. Real-time gives the
20-second windows from the one that holds startTs to the one before endTs, so its windows touch, on the grid.
"""

import math
from collections.abc import Callable

from attrs import frozen

from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, clip, reachable
from agora_analytics.errors import WindowOutOfReach

GRID = 20
"""Seconds of a window of Real-time; they begin at :00, :20 and :40."""
SEAM = 3600
"""Ranges of Data Insights are split where a new hour begins."""


def on_grid_before(ts: float) -> int:
    """Return the last beginning of a 20-second window that is not after `ts`."""
    return math.floor(ts / GRID) * GRID


def on_grid_after(ts: float) -> int:
    """Return the first beginning of a 20-second window that is not before `ts`."""
    return math.ceil(ts / GRID) * GRID


def insight_windows(window: Window, limits: Limits, now: float, *, endpoint: str) -> list[Window]:
    """Return the fewest windows, the earliest first, that hold what the plan reaches of `window`.

    Raises:
        WindowOutOfReach: if that is nothing.
    """
    left = clip(window, limits, now, endpoint=endpoint)
    if limits.span is None:
        return [left]
    found = []
    start = left.start
    while start <= left.end:
        seam = (start + limits.span) // SEAM * SEAM
        end = min(seam if seam > start else start + limits.span, left.end + 1) - 1
        found.append(Window(start, end))
        start = end + 1
    return found


def realtime_windows(window: Window, limits: Limits, now: float, *, endpoint: str) -> list[Window]:
    """Return the fewest windows on the grid, the earliest first, that hold what the plan reaches of `window`.

    Raises:
        WindowOutOfReach: if that is nothing.
    """
    reach = reachable(limits, now)
    first = max(on_grid_before(window.start), on_grid_after(reach.start))
    last = min(on_grid_after(window.end + 1), on_grid_before(reach.end))
    if last <= first:
        legal = (on_grid_after(reach.start), on_grid_before(reach.end))
        clip(window, limits, now, endpoint=endpoint)  # has the better words, if all of it is out of reach
        raise WindowOutOfReach(
            f"no whole window of {GRID} s of the time range is in reach", legal=legal, endpoint=endpoint
        )
    longest = on_grid_before((limits.span or last - first + 1) - 1)
    return [Window(start, min(start + longest, last)) for start in range(first, last, longest)]


@frozen
class Ends:
    """What is sent as it was given, whatever it is: for `validate=False`."""

    start: int
    end: int


Span = Window | Ends
Cut = Callable[[Window, Limits, float, str], Window]
"""(window, limits, the server's time, endpoint) -> what is left of a window when its request leaves."""


def cut_insight(window: Window, limits: Limits, now: float, endpoint: str) -> Window:
    """Leave out what has gone out of reach meanwhile."""
    return clip(window, limits, now, endpoint=endpoint)


def cut_realtime(window: Window, limits: Limits, now: float, endpoint: str) -> Window:
    """Leave out the 20-second windows that are out of reach: with the time, or because our clock was wrong before."""
    reach = reachable(limits, now)
    legal = (on_grid_after(reach.start), on_grid_before(reach.end))
    start, end = max(window.start, legal[0]), min(window.end, legal[1])
    if start < end:
        return Window(start, end)
    why = (
        f"the time range is too recent: data comes {limits.delay} s late"
        if window.start >= legal[1]
        else f"the time range is too far back: the plan reaches {limits.reach / 60:.0f} min"
    )
    raise WindowOutOfReach(why, legal=legal, endpoint=endpoint)


def keep_start(window: Window, limits: Limits, now: float, endpoint: str) -> Window:
    """Leave out what is too recent. A number about less of the past than was asked for would be a wrong number.

    Raises:
        WindowOutOfReach: if the window starts too far back.
    """
    left = clip(window, limits, now, endpoint=endpoint)
    if left.start == window.start:
        return left
    reach = reachable(limits, now)
    raise WindowOutOfReach(
        f"the time range starts too far back: the plan reaches {limits.reach / 3600:.0f} h",
        legal=(reach.start, reach.end),
        endpoint=endpoint,
    )


def newest_moment(window: Window, limits: Limits, now: float, endpoint: str) -> Window:
    """Leave a moment as it is, or take the newest there is if our clock was fast when it was chosen.

    Raises:
        WindowOutOfReach: if it is too far back.
    """
    ts = min(window.start, on_grid_before(reachable(limits, now).end) - GRID)
    return keep_moment(Window(ts, ts), limits, now, endpoint)


def keep_moment(window: Window, limits: Limits, now: float, endpoint: str) -> Window:
    """Leave a moment as it is, if it is in reach.

    Raises:
        WindowOutOfReach: if it is not.
    """
    return clip(window, limits, now, endpoint=endpoint)
