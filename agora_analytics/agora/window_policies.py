"""How Data Insights and Real-time read `startTs` and `endTs`, and which windows a time range needs.

Data Insights returns rows with startTs <= ts <= endTs. Its ranges are split at full hours, so that no row is cut in
two. Real-time returns the 20-second windows from the one that contains startTs to the one before endTs, so its ranges
are widened to that grid. A `Window` includes both of its ends here as everywhere.
"""

import math

from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, clip, reachable
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.messages import Query

GRID = 20
"""Seconds of a window of Real-time; windows begin at :00, :20 and :40."""
HOUR = 3600


def on_grid_before(ts: float) -> int:
    """Return the last beginning of a 20-second window that is not after `ts`."""
    return math.floor(ts / GRID) * GRID


def on_grid_after(ts: float) -> int:
    """Return the first beginning of a 20-second window that is not before `ts`."""
    return math.ceil(ts / GRID) * GRID


# ---- how a window is written


def snake_case_ends(window: Window) -> Query:
    """Write both ends as Call Inspector spells them."""
    return (("start_ts", str(window.start)), ("end_ts", str(window.end)))


def camel_case_ends(window: Window) -> Query:
    """Write both ends as Data Insights spells them."""
    return (("startTs", str(window.start)), ("endTs", str(window.end)))


def grid_ends(window: Window) -> Query:
    """Write the first second and the one after the last, as Real-time reads them."""
    return (("startTs", str(window.start)), ("endTs", str(window.end + 1)))


def single_time(window: Window) -> Query:
    """Write a time that stands for the 20-second window around it."""
    return (("ts", str(window.start)),)


# ---- what is clipped from a window when a query is planned, and again when a request is sent


def clip_to_grid(window: Window, limits: Limits, now: float, *, endpoint: str | None = None) -> Window:
    """Return the whole 20-second windows of a range that can be requested at `now`.

    Raises:
        WindowOutOfReach: there is none.
    """
    reach = reachable(limits, now)
    first, last = on_grid_after(reach.start), on_grid_before(reach.end)
    start, end = max(on_grid_before(window.start), first), min(on_grid_after(window.end + 1), last)
    if start < end:
        return Window(start, end - 1)
    if window.start > reach.end:
        why = f"the time range is too recent: data comes {limits.delay} s late"
    elif window.end < reach.start:
        why = f"the time range is too far back: the plan reaches {limits.reach / 60:.0f} min"
    else:
        why = f"no whole window of {GRID} s of the time range is in reach"
    raise WindowOutOfReach(why, legal=(first, last), endpoint=endpoint)


def clip_end_only(window: Window, limits: Limits, now: float, *, endpoint: str | None = None) -> Window:
    """Return a window without what is too recent. A total over less of the past than requested would be wrong.

    Raises:
        WindowOutOfReach: the window starts too far back, or all of it is too recent.
    """
    part = clip(window, limits, now, endpoint=endpoint)
    if part.start == window.start:
        return part
    reach = reachable(limits, now)
    raise WindowOutOfReach(
        f"the time range starts too far back: the plan reaches {limits.reach / 3600:.0f} h",
        legal=(reach.start, reach.end),
        endpoint=endpoint,
    )


def newest_time(limits: Limits, now: float) -> int:
    """Return the beginning of the newest 20-second window that can be requested at `now`."""
    return on_grid_before(reachable(limits, now).end) - GRID


def clip_to_newest(window: Window, limits: Limits, now: float, *, endpoint: str | None = None) -> Window:
    """Return a single time, or the newest one if the clock was fast when it was chosen.

    Raises:
        WindowOutOfReach: the time is too far back.
    """
    ts = min(window.start, newest_time(limits, now))
    return clip(Window(ts, ts), limits, now, endpoint=endpoint)


# ---- how a window becomes several


def split_at_hours(window: Window, limits: Limits) -> list[Window]:
    """Split a window at full hours into the fewest that the plan's span allows, the earliest first."""
    if limits.span is None:
        return [window]
    windows = []
    start = window.start
    while start <= window.end:
        hour = (start + limits.span) // HOUR * HOUR
        end = min(hour if hour > start else start + limits.span, window.end + 1) - 1
        windows.append(Window(start, end))
        start = end + 1
    return windows


def split_on_grid(window: Window, limits: Limits) -> list[Window]:
    """Split a window on the 20-second grid into the fewest that the plan's span allows, the earliest first."""
    end = window.end + 1
    longest = on_grid_before((limits.span or end - window.start + 1) - 1)
    return [Window(start, min(start + longest, end) - 1) for start in range(window.start, end, longest)]


def do_not_split(window: Window, limits: Limits) -> list[Window]:
    """Return the window: totals of two parts cannot be added up."""
    del limits
    return [window]
