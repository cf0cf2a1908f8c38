"""The units of work: their names, and which requests they are. Pure.

A name is a function of the call, the window and the batch only, never of time, attempt or worker: so whoever does a
unit again writes the same object. The window is told by its ends, in seconds from the call's start, so that one name
never stands for two windows, whatever plan cuts them.
"""

from collections.abc import Iterable, Sequence

from attrs import frozen

from agora_analytics.agora.listings import batches
from agora_analytics.agora.records import Call, Session
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, split
from agora_analytics.instants import utc_day


@frozen(kw_only=True)
class MetricsUnit:
    """One metrics request of a call, and the name of the object with its samples."""

    name: str
    window: Window
    sids: tuple[str, ...]


def day_of(call: Call) -> str:
    """Return the UTC day that a call's rows are kept under: the day on which it was created."""
    return utc_day(call.created_ts)


def window_of(call: Call, end: int) -> Window:
    """Return the seconds of a call; one that still goes on reaches to `end` at least."""
    last = call.destroyed_ts if call.finished else max(call.destroyed_ts, end)
    return Window(call.created_ts, max(call.created_ts, last))


def metrics_units(
    call: Call, sessions: Sequence[Session], limits: Limits, reach: Window, *, since: int, until: int
) -> list[MetricsUnit]:
    """Return the fewest metrics requests of a part of a call, both of its ends included.

    The windows are cut from its start, whatever is in reach, so that another run cuts the same ones; those that are
    out of reach are left out. The order of the sessions decides the batches.
    """
    if since > until:
        return []
    units = []
    for window in split(Window(since, until), limits):
        if part := window.intersection(reach):
            ends = f"{window.start - call.created_ts}-{window.end - call.created_ts}"
            units += [
                MetricsUnit(name=f"{call.call_id}.{ends}.{batch.index}", window=part, sids=batch.sids)
                for batch in batches([window], sessions)
            ]
    return units


def call_of(unit: str) -> tuple[str, Window]:
    """Return the call id, and the window in seconds from the call's start, of a metrics unit's name."""
    call_id, ends, _ = unit.rsplit(".", 2)
    start, end = ends.split("-")
    return call_id, Window(int(start), int(end))


def covered_until(call: Call, units: Iterable[str]) -> int:
    """Return the last second that units of a call's metrics tell of; the one before the call if there are none."""
    return call.created_ts + max((call_of(unit)[1].end for unit in units), default=-1)


def in_order(sessions: Iterable[Session]) -> list[Session]:
    """Return the sessions in the order that decides the batches."""
    return sorted(sessions, key=lambda session: (session.join_ts, session.sid))


def merge_nearby(seconds: Iterable[int], *, apart: int) -> list[Window]:
    """Return windows that hold all the moments: one for each group whose members are at most `apart` seconds apart."""
    windows: list[Window] = []
    for second in sorted(set(seconds)):
        if windows and second - windows[-1].end <= apart:
            windows[-1] = Window(windows[-1].start, second)
        else:
            windows.append(Window(second, second))
    return windows
