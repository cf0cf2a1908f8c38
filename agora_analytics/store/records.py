"""What a `StoreWriter` returns about the state of a store: units, published calls, listings, repairs."""

from collections.abc import Mapping

import pyarrow as pa
from attrs import Factory, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.schemas import TABLES
from agora_analytics.store.layout import stored_id

_NO_UNITS = Factory(lambda: dict[str, dict[str, str]]((table, {}) for table in TABLES))


@frozen(kw_only=True)
class Units:
    """The stored units of work of one app, as a snapshot: the UTC day of each unit, by table. Empty by default.

    Attributes:
        live: units of published calls, including snapshots of ongoing calls: table -> unit -> day.
        pending: units that wait for the rest of their call: table -> unit -> day.
    """

    live: Mapping[str, Mapping[str, str]] = field(default=_NO_UNITS, repr=False)
    pending: Mapping[str, Mapping[str, str]] = field(default=_NO_UNITS, repr=False)

    def is_done(self, table: str, unit: str) -> bool:
        """Return whether a unit is stored, live or pending."""
        name = stored_id(unit)
        return name in self.live[table] or name in self.pending[table]


@frozen(kw_only=True)
class Published:
    """The published state of a call.

    Attributes:
        metrics: its published units of `metrics`.
        finished: whether the call had ended.
    """

    metrics: tuple[str, ...]
    finished: bool


@frozen(kw_only=True)
class CallListing:
    """The finished pages of one listing of calls.

    Attributes:
        start: start of the window, UTC epoch seconds.
        end: end of the window, UTC epoch seconds.
        pages: number of finished pages, counted from the first page to the first gap.
        resume: resume token of the next page, as written by the harvest; "" if there is none.
        rows: the calls of these pages, in the schema of `calls`.
    """

    start: int
    end: int
    pages: int
    resume: str
    rows: pa.Table = field(repr=False)

    @property
    def whole(self) -> bool:
        """True if no page is missing."""
        return self.pages > 0 and not self.resume


@frozen(kw_only=True)
class FileDamaged(Record):
    """A file of the store that was damaged or missing. Its rows are fetched again, as far as the vendor still has them.

    Attributes:
        path: the file, relative to the store's folder. A damaged file is kept below `_damaged`.
        reason: what is wrong with it.
    """

    path: str
    reason: str


@frozen(kw_only=True)
class Repair:
    """What a repair found, and what has to be fetched again since this or an earlier repair.

    Attributes:
        files: the files that this repair found.
        call_days: UTC days of calls that lost rows.
        points_days: UTC days of `points` that lost rows.
        listings: windows whose listing lost a page, each as (start, end) in UTC epoch seconds.
    """

    files: tuple[FileDamaged, ...] = ()
    call_days: frozenset[str] = frozenset()
    points_days: frozenset[str] = frozenset()
    listings: tuple[tuple[int, int], ...] = ()


@frozen(kw_only=True)
class Unreadable(Record):
    """A record that a harvest could not read, and left out.

    Attributes:
        unit: what the record is part of: a call, a page of a listing, a day of a metric.
        record: its id or its place in the response; the unit itself if nothing of it could be read.
        reason: what is wrong with it.
        resume: for a page of a listing, the resume token that lists the page again.
    """

    unit: str
    record: str
    reason: str
    resume: str = ""
