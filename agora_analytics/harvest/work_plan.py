"""The plan: which calls a harvest has to visit, as far as the store tells. The tables are the only record."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, gaps
from agora_analytics.harvest.units import call_window, merge_nearby, parse_unit_name
from agora_analytics.store.protocol import Listing, Store, Units
from agora_analytics.store.schemas import CALL_TABLES

if TYPE_CHECKING:
    import pyarrow as pa

_MERGE_DISTANCE = 600  # timestamps that lie closer, in seconds, are looked at in one listing
_REACH_MARGIN = (
    60  # a time so many seconds within the reach is in it still when a request has waited or is sent again
)
_RECHECK_AFTER = 300  # what was seen going on within so many seconds is not looked at again yet


@frozen
class ListingTask:
    """A window whose calls are not all known. `pages` are known; `resume` is where the next one starts."""

    window: Window
    pages: int = 0
    resume: str = ""


@frozen
class StoredCall:
    """What the tables say of a call."""

    finished: bool
    destroyed_ts: int


@define
class WorkPlan:
    """What the store knows of one app.

    Attributes:
        stored: the calls in the tables.
        units: the finished units of work.
        listed: of each call that a listing named, its latest row.
    """

    stored: dict[str, StoredCall]
    units: Units
    listed: dict[str, Call]
    _listings: Sequence[Listing] = field(repr=False)
    _metrics: dict[str, dict[str, list[str]]] = field(repr=False, factory=dict)

    @classmethod
    def read(cls, store: Store, app_id: str) -> "WorkPlan":
        """Read the store's listing. Blocking."""
        rows = store.calls(app_id).select(["call_id", "finished", "destroyed_ts"])
        stored = {
            row["call_id"]: StoredCall(row["finished"], _epoch(row["destroyed_ts"]))
            for row in rows.to_pylist()
        }
        plan = cls(stored, store.units(app_id), {}, store.listings(app_id))
        plan._index()
        return plan

    @classmethod
    def empty(cls) -> "WorkPlan":
        """Return what a store without a call tells."""
        none: dict[str, dict[str, str]] = {table: {} for table in CALL_TABLES}
        plan = cls({}, Units(live=none, pending=none), {}, ())
        plan._index()
        return plan

    def add_calls(self, calls: Iterable[Call]) -> None:
        """Keep the latest row of each call."""
        for call in calls:
            before = self.listed.get(call.call_id)
            if before is None or call.finished or call.destroyed_ts > before.destroyed_ts:
                self.listed[call.call_id] = call

    def is_complete(self, call: Call) -> bool:
        """Return whether a call is in the tables, finished."""
        stored = self.stored.get(call.call_id)
        return stored is not None and stored.finished

    def was_just_seen(self, call: Call, reach: Window) -> bool:
        """Return whether a call that goes on is in the tables as it was a time ago."""
        stored = self.stored.get(call.call_id)
        return stored is not None and not call.finished and stored.destroyed_ts >= reach.end - _RECHECK_AFTER

    def live_metrics(self, call_id: str) -> list[str]:
        """Return the metrics units of a call that readers see."""
        return self._metrics["live"].get(call_id, [])

    def pending_metrics(self, call_id: str) -> list[str]:
        """Return the metrics units of a call that wait for the rest of it."""
        return self._metrics["pending"].get(call_id, [])

    def listing_tasks(self, wanted: Window) -> list[ListingTask]:
        """Return the windows that are still to be listed; listings that were interrupted come first."""
        interrupted = [
            ListingTask(Window(listing.start, listing.end), listing.pages, listing.resume)
            for listing in self._listings
            if not listing.whole and Window(listing.start, listing.end).intersection(wanted)
        ]
        covered = [Window(listing.start, listing.end) for listing in self._listings]
        return interrupted + [ListingTask(gap) for gap in gaps(wanted, covered)]

    def ongoing_calls(self, wanted: Window, reach: Window) -> list[Call]:
        """Return the calls that went on when they were seen a while ago, and are to be looked at again.

        One that was seen last before the reach rests: the listing of what is new has it, if it still goes on.
        """
        return [
            call
            for call in self.listed.values()
            if not call.finished
            and not self.is_complete(call)
            and reach.start <= self._last_seen(call) < reach.end - _RECHECK_AFTER
            and call_window(call, reach.end).intersection(wanted)
        ]

    def windows_to_relist(self, wanted: Window, reach: Window) -> list[Window]:
        """Return the windows to list again, because calls in them went on when they were seen a while ago."""
        timestamps = [
            min(max(call.created_ts, reach.start + _REACH_MARGIN), self._last_seen(call))
            for call in self.ongoing_calls(wanted, reach)
        ]
        return merge_nearby(timestamps, max_gap=_MERGE_DISTANCE)

    def due_calls(self, wanted: Window) -> list[Call]:
        """Return the known calls of a window of which the tables have less than is known; the earliest first."""
        return sorted(
            (call for call in self.listed.values() if self._is_due(call) and _overlaps(call, wanted)),
            key=lambda call: (call.created_ts, call.call_id),
        )

    def count_complete(self, wanted: Window) -> int:
        """Return how many known calls of a window are in the tables, finished."""
        return sum(self.is_complete(call) and _overlaps(call, wanted) for call in self.listed.values())

    def _index(self) -> None:
        for state, units in (("live", self.units.live), ("pending", self.units.pending)):
            self._metrics[state] = defaultdict(list)
            for unit in units["metrics"]:
                self._metrics[state][parse_unit_name(unit)[0]].append(unit)
        for listing in self._listings:
            self.add_calls(calls_from_rows(listing.rows))

    def _last_seen(self, call: Call) -> int:
        stored = self.stored.get(call.call_id)
        return max(call.created_ts, call.destroyed_ts, stored.destroyed_ts if stored else 0)

    def _is_due(self, call: Call) -> bool:
        stored = self.stored.get(call.call_id)
        if stored is None:
            return True
        return not stored.finished and (call.finished or call.destroyed_ts > stored.destroyed_ts)


def is_too_recent(call: Call, reach: Window) -> bool:
    """Return whether a call began so recently that nothing of it can be asked for, or ended so that not all of it can."""
    return call.created_ts > reach.end or (call.finished and call.destroyed_ts > reach.end)


def _overlaps(call: Call, wanted: Window) -> bool:
    return call_window(call, wanted.end).intersection(wanted) is not None


def calls_from_rows(rows: "pa.Table") -> list[Call]:
    """Return the calls that the rows of a listing hold."""
    return [_call_from_row(row) for row in rows.to_pylist()]


def _epoch(time: datetime) -> int:
    return int(time.timestamp())


def _call_from_row(row: dict[str, Any]) -> Call:
    timestamps = {name: _epoch(row[name]) for name in ("created_ts", "destroyed_ts")}
    return Call(**(row | timestamps | {"extra": json.loads(row["extra"]) if row["extra"] else {}}))
