"""Derives the remaining work of a harvest from the store: the windows to list and the calls to fetch.

The tables are the only state; there is no separate checkpoint.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, gaps, merge_nearby
from agora_analytics.errors import StoreDamaged
from agora_analytics.harvest.units import call_day, call_window, parse_unit_name
from agora_analytics.harvest.usable_records import split_calls
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.layout import short_id, stored_id
from agora_analytics.store.records import CallListing, Repair, Units

if TYPE_CHECKING:
    import pyarrow as pa

_MERGE_DISTANCE = 600  # seconds between timestamps that are listed with one request
REACH_MARGIN = 60  # seconds, so that a request is still within the retention after queueing and retries
_RECHECK_AFTER = 300  # seconds until an ongoing call is listed and fetched again


@frozen
class ListingTask:
    """A window to list. `pages` of it are committed; `resume` is the token of the next page."""

    window: Window
    pages: int = 0
    resume: str = ""


@frozen
class StoredCall:
    """The state of a call in the tables."""

    finished: bool
    destroyed_ts: int


@define
class WorkPlan:
    """The stored state of one app, and the work that it leaves.

    Attributes:
        stored: the calls in the tables, by call id.
        units: the stored units.
        listed: the latest listed row of each call, by call id.
        repaired: what has to be fetched again because its files were damaged.
        unusable: stored listings that cannot be used, because another version committed them unchecked.
    """

    stored: dict[str, StoredCall] = field(factory=dict)
    units: Units = field(factory=Units)
    _listings: Sequence[CallListing] = field(default=(), repr=False)
    repaired: Repair = field(factory=Repair)
    unusable: Sequence[CallListing] = field(default=(), repr=False)
    listed: dict[str, Call] = field(init=False, factory=dict)
    _live_metrics: Mapping[str, list[str]] = field(init=False, repr=False)
    _pending_metrics: Mapping[str, list[str]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._live_metrics = _by_call(self.units.live["metrics"])
        self._pending_metrics = _by_call(self.units.pending["metrics"])
        for listing in self._listings:
            self.add_calls(calls_from_rows(listing.rows))

    @classmethod
    def read(cls, store: HarvestWriter, app_id: str) -> "WorkPlan":
        """Read the state of an app from its store. Blocking."""
        rows = store.calls(app_id).select(["call_id", "finished", "destroyed_ts"])
        try:
            stored = {
                row["call_id"]: StoredCall(row["finished"], _epoch(row["destroyed_ts"]))
                for row in rows.to_pylist()
            }
        except (AttributeError, ValueError, OverflowError) as problem:
            raise StoreDamaged(f"cannot read the calls of app {app_id}: a value is out of range") from problem
        listings = store.listings(app_id)
        usable = [listing for listing in listings if _is_usable(listing)]
        unusable = [listing for listing in listings if listing not in usable]
        return cls(stored, store.units(app_id), usable, unusable=unusable)

    def metrics_of(self, call: Call, *, pending: bool) -> Sequence[str]:
        """Return the metrics units of a call that are visible, or that are not published yet."""
        return (self._pending_metrics if pending else self._live_metrics).get(short_id(call.call_id), ())

    def has_unit(self, table: str, call: Call, *, pending: bool) -> bool:
        """Return whether the unit of a call in `calls` or `sessions` is stored."""
        units = self.units.pending if pending else self.units.live
        return stored_id(call.call_id) in units[table]

    def add_calls(self, calls: Iterable[Call]) -> None:
        """Keep the latest row of each call."""
        for call in calls:
            before = self.listed.get(call.call_id)
            if before is None or call.finished or call.destroyed_ts > before.destroyed_ts:
                self.listed[call.call_id] = call

    def is_complete(self, call: Call) -> bool:
        """Return whether the complete call is in the tables."""
        stored = self.stored.get(call.call_id)
        return stored is not None and stored.finished

    def has_recent_snapshot(self, call: Call, reach: Window) -> bool:
        """Return whether the snapshot of an ongoing call is too new to be fetched again."""
        stored = self.stored.get(call.call_id)
        return stored is not None and not call.finished and stored.destroyed_ts >= reach.end - _RECHECK_AFTER

    def listing_tasks(self, window: Window, reach: Window) -> list[ListingTask]:
        """Return the windows that are still to be listed, interrupted listings first.

        A listing that lost a page is listed again whatever the window, as far as the reach allows.
        """
        lost = [part for ends in self.repaired.listings if (part := Window(*ends).intersection(reach))]
        wanted = [window, *lost]
        covered = [Window(listing.start, listing.end) for listing in self._listings]
        interrupted = [
            ListingTask(part, listing.pages, listing.resume)
            for part, listing in zip(covered, self._listings, strict=True)
            if not listing.whole and any(map(part.intersection, wanted))
        ]
        missing = list[Window]()
        for part in wanted:
            missing += gaps(part, [*covered, *missing])
        return interrupted + [ListingTask(gap) for gap in missing]

    def ongoing_calls(self, window: Window, reach: Window) -> list[Call]:
        """Return the calls that were ongoing when last seen, and are due to be listed again.

        Calls last seen before the reach are left out: if they are still ongoing, the listing of new windows has them.
        """
        return [
            call
            for call in self.listed.values()
            if not call.finished
            and not self.is_complete(call)
            and reach.start <= self._last_seen(call) < reach.end - _RECHECK_AFTER
            and call_window(call, reach.end).intersection(window)
        ]

    def windows_to_relist(self, window: Window, reach: Window) -> list[Window]:
        """Return the windows to list again for calls that were ongoing when last seen."""
        timestamps = [
            min(max(call.created_ts, reach.start + REACH_MARGIN), self._last_seen(call))
            for call in self.ongoing_calls(window, reach)
        ]
        return merge_nearby(timestamps, max_gap=_MERGE_DISTANCE)

    def due_calls(self, window: Window, reach: Window) -> list[Call]:
        """Return the listed calls of a window that are not stored as listed, the earliest first.

        Calls whose files were damaged are due whatever the window, if they began within the reach.
        """
        return sorted(
            (
                call
                for call in self.listed.values()
                if self._is_due(call) and (_overlaps(call, window) or self._is_lost(call, reach))
            ),
            key=lambda call: (call.created_ts, call.call_id),
        )

    def count_complete(self, window: Window) -> int:
        """Return the number of listed calls of a window that are complete in the tables."""
        return sum(self.is_complete(call) and _overlaps(call, window) for call in self.listed.values())

    def count_lost(self, reach: Window) -> int:
        """Return the number of listed calls that left the reach before anything of them was stored."""
        return sum(
            self._last_seen(call) < reach.start and call.call_id not in self.stored
            for call in self.listed.values()
        )

    def _last_seen(self, call: Call) -> int:
        stored = self.stored.get(call.call_id)
        return max(call.created_ts, call.destroyed_ts, stored.destroyed_ts if stored else 0)

    def _is_lost(self, call: Call, reach: Window) -> bool:
        return (
            bool(self.repaired.call_days)
            and call.created_ts >= reach.start + REACH_MARGIN
            and call_day(call) in self.repaired.call_days
        )

    def _is_due(self, call: Call) -> bool:
        stored = self.stored.get(call.call_id)
        return stored is None or (
            not stored.finished and (call.finished or call.destroyed_ts > stored.destroyed_ts)
        )


def is_too_recent(call: Call, reach: Window) -> bool:
    """Return whether a call began or ended after the reach, so that its data is not complete yet."""
    needed = max(call.created_ts, call.destroyed_ts) if call.finished else call.created_ts + 1
    return needed > reach.end


def _is_usable(listing: CallListing) -> bool:
    """Return whether the rows of a listing are calls that a harvest can use."""
    try:
        return not split_calls(calls_from_rows(listing.rows))[1]
    except (AttributeError, TypeError, ValueError, OverflowError):
        return False


def _by_call(units: Iterable[str]) -> Mapping[str, list[str]]:
    by_call = defaultdict[str, list[str]](list)
    for unit in units:
        by_call[parse_unit_name(unit)[0]].append(unit)
    return by_call


def _overlaps(call: Call, window: Window) -> bool:
    return call_window(call, window.end).intersection(window) is not None


def calls_from_rows(rows: "pa.Table") -> list[Call]:
    """Return the calls in the rows of a listing."""
    return [
        Call(
            **row
            | {name: _epoch(row[name]) for name in ("created_ts", "destroyed_ts")}
            | {"extra": json.loads(row["extra"] or "{}")}
        )
        for row in rows.to_pylist()
    ]


def _epoch(time: datetime) -> int:
    return int(time.timestamp())
