"""The plan: which calls a harvest has to visit, as far as the store tells. The tables are the only record."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, gaps
from agora_analytics.harvest.units import call_of, merge_nearby, window_of
from agora_analytics.schemas import CALL_TABLES
from agora_analytics.store.protocol import CallListing, Store, Units

if TYPE_CHECKING:
    import pyarrow as pa

_TOGETHER = 600  # moments that lie closer, in seconds, are looked at in one listing
_LEEWAY = (
    60  # a moment so many seconds within the reach is in it still when a request has waited or is sent again
)
_FRESH = 300  # what was seen going on within so many seconds is not looked at again yet


@frozen
class Unlisted:
    """A window whose calls are not all known. `pages` are known; `resume` is where the next one starts."""

    window: Window
    pages: int = 0
    resume: str = ""


@frozen
class Stored:
    """What the tables say of a call."""

    finished: bool
    destroyed_ts: int


@define
class WorkPlan:
    """What the store knows of one app.

    Attributes:
        stored: the calls in the tables.
        units: the finished units of work.
        known: of each call that a listing named, its latest row.
    """

    stored: dict[str, Stored]
    units: Units
    known: dict[str, Call]
    _listings: Sequence[CallListing] = field(repr=False)
    _metrics: dict[str, dict[str, list[str]]] = field(repr=False, factory=dict)

    @classmethod
    def read(cls, store: Store, app_id: str) -> "WorkPlan":
        """Read the store's listing. Blocking."""
        rows = store.calls(app_id).select(["call_id", "finished", "destroyed_ts"])
        stored = {
            row["call_id"]: Stored(row["finished"], _epoch(row["destroyed_ts"])) for row in rows.to_pylist()
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

    def learn(self, calls: Iterable[Call]) -> None:
        """Keep the latest row of each call."""
        for call in calls:
            before = self.known.get(call.call_id)
            if before is None or call.finished or call.destroyed_ts > before.destroyed_ts:
                self.known[call.call_id] = call

    def is_done(self, call: Call) -> bool:
        """Return whether a call is in the tables, finished."""
        stored = self.stored.get(call.call_id)
        return stored is not None and stored.finished

    def is_fresh(self, call: Call, reach: Window) -> bool:
        """Return whether a call that goes on is in the tables as it was a moment ago."""
        stored = self.stored.get(call.call_id)
        return stored is not None and not call.finished and stored.destroyed_ts >= reach.end - _FRESH

    def live_metrics(self, call_id: str) -> list[str]:
        """Return the metrics units of a call that readers see."""
        return self._metrics["live"].get(call_id, [])

    def pending_metrics(self, call_id: str) -> list[str]:
        """Return the metrics units of a call that wait for the rest of it."""
        return self._metrics["pending"].get(call_id, [])

    def unlisted(self, wanted: Window) -> list[Unlisted]:
        """Return the windows that are still to be listed; listings that were interrupted come first."""
        begun = [
            Unlisted(Window(listing.start, listing.end), listing.pages, listing.resume)
            for listing in self._listings
            if not listing.whole and Window(listing.start, listing.end).intersection(wanted)
        ]
        covered_until = [Window(listing.start, listing.end) for listing in self._listings]
        return begun + [Unlisted(gap) for gap in gaps(wanted, covered_until)]

    def going_on(self, wanted: Window, reach: Window) -> list[Call]:
        """Return the calls that went on when they were seen a while ago, and are to be looked at again.

        One that was seen last before the reach rests: the listing of what is new has it, if it still goes on.
        """
        return [
            call
            for call in self.known.values()
            if not call.finished
            and not self.is_done(call)
            and reach.start <= self._last_seen(call) < reach.end - _FRESH
            and window_of(call, reach.end).intersection(wanted)
        ]

    def reopened(self, wanted: Window, reach: Window) -> list[Window]:
        """Return the windows to list again, because calls in them went on when they were seen a while ago."""
        moments = [
            min(max(call.created_ts, reach.start + _LEEWAY), self._last_seen(call))
            for call in self.going_on(wanted, reach)
        ]
        return merge_nearby(moments, apart=_TOGETHER)

    def due(self, wanted: Window) -> list[Call]:
        """Return the known calls of a window of which the tables have less than is known; the earliest first."""
        return sorted(
            (call for call in self.known.values() if self._is_due(call) and _within(call, wanted)),
            key=lambda call: (call.created_ts, call.call_id),
        )

    def done(self, wanted: Window) -> int:
        """Return how many known calls of a window are in the tables, finished."""
        return sum(self.is_done(call) and _within(call, wanted) for call in self.known.values())

    def _index(self) -> None:
        for state, units in (("live", self.units.live), ("pending", self.units.pending)):
            self._metrics[state] = defaultdict(list)
            for unit in units["metrics"]:
                self._metrics[state][call_of(unit)[0]].append(unit)
        for listing in self._listings:
            self.learn(calls_of(listing.rows))

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


def _within(call: Call, wanted: Window) -> bool:
    return window_of(call, wanted.end).intersection(wanted) is not None


def calls_of(rows: "pa.Table") -> list[Call]:
    """Return the calls that the rows of a listing hold."""
    return [_call(row) for row in rows.to_pylist()]


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _call(row: dict[str, Any]) -> Call:
    moments = {name: _epoch(row[name]) for name in ("created_ts", "destroyed_ts")}
    return Call(**(row | moments | {"extra": json.loads(row["extra"]) if row["extra"] else {}}))
