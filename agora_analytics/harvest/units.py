"""Divides the metrics of a call into units, each one request and one object of the store. Pure.

The name of a unit depends on the call, the window and the session ids of the batch only, never on time, attempt or
worker. So a unit that is fetched again is the same object, and harvests that have different session lists never
share a name for different samples. The name has both ends of the window, in seconds from the call's start, so that
different windows never share a name when the plan, and with it the span of a window, changes.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from agora_analytics.agora.listings import Batch, batches
from agora_analytics.agora.records import Call, Session
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, split
from agora_analytics.instants import utc_day
from agora_analytics.store.layout import short_id


@frozen(kw_only=True)
class MetricsUnit:
    """One metrics request of a call, and the name of the object that stores its samples."""

    name: str
    window: Window
    sids: tuple[str, ...]


def call_day(call: Call) -> str:
    """Return the UTC day under which a call's rows are stored: the day of its creation."""
    return utc_day(call.created_ts)


def call_window(call: Call, end: int) -> Window:
    """Return the window of a call; that of an ongoing call ends at `end` or later."""
    last = call.destroyed_ts if call.finished else max(call.destroyed_ts, end)
    return Window(call.created_ts, max(call.created_ts, last))


def metrics_units(
    call: Call, sessions: Sequence[Session], limits: Limits, reach: Window, *, since: int, until: int
) -> list[MetricsUnit]:
    """Return the smallest set of metrics requests for the seconds `since` to `until` of a call, both included.

    The windows are split from `since`, so that every run gets the same ones, and clipped to the reach afterwards. The
    order of the sessions determines the batches.
    """
    if since > until:
        return []
    units = []
    for window in split(Window(since, until), limits):
        if part := window.intersection(reach):
            units += [
                MetricsUnit(name=_unit_name(call, batch), window=part, sids=batch.sids)
                for batch in batches([window], sessions)
            ]
    return units


def expired_units(
    call: Call,
    sessions: Sequence[Session],
    *,
    since: int,
    until: int,
    stored: Collection[str],
    names: Collection[str],
) -> list[str]:
    """Return the stored units that a call keeps although their windows cannot be requested any more.

    These are units of batches of the sessions, for windows between the seconds `since` and `until`, both included. The
    windows differ from those of the units `names`, which the call has now, if the plan has changed. They do not overlap
    stored units of these. Of windows that overlap each other, the longest is kept.
    """

    def windows_of(units: Iterable[str]) -> set[Window]:
        parts = {parse_unit_name(unit)[1] for unit in units}
        return {Window(call.created_ts + part.start, call.created_ts + part.end) for part in parts}

    kept, covered = list[str](), list(windows_of(name for name in names if name in stored))
    windows = windows_of(stored)
    for window in sorted(windows, key=lambda window: (window.start - window.end, window)):
        if window.start < since or window.end > until or any(map(window.intersection, covered)):
            continue
        expired = [_unit_name(call, batch) for batch in batches([window], sessions)]
        if found := [name for name in expired if name in stored]:
            kept += found
            covered.append(window)
    return kept


def _unit_name(call: Call, batch: Batch) -> str:
    start, end = batch.window.start - call.created_ts, batch.window.end - call.created_ts
    digest = hashlib.sha256("\n".join(sorted(batch.sids)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{short_id(call.call_id)}.{start}-{end}.{digest}"


def parse_unit_name(unit: str) -> tuple[str, Window]:
    """Return the call id, cut if it is long, and the window in seconds from the call's start, of a unit's name."""
    call_id, ends, _ = unit.rsplit(".", 2)
    start, end = ends.split("-")
    return call_id, Window(int(start), int(end))


def covered_until(call: Call, units: Iterable[str]) -> int:
    """Return the last second that metrics units of a call cover; the second before the call if there are none."""
    return call.created_ts + max((parse_unit_name(unit)[1].end for unit in units), default=-1)
