"""The interface through which a harvest writes a store. `ParquetStoreWriter` is the included implementation."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa
from attrs import Factory, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.schemas import TABLES
from agora_analytics.store.layout import stored_id
from agora_analytics.store.parquet_file import Rows

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


class StoreWriter(Protocol):
    """Stores the rows of a harvest, and returns which units are done. Blocking and thread-safe.

    Writes are atomic: a reader sees a complete object or none. Writing a unit again replaces it.
    `ParquetStoreWriter` documents each method.
    """

    def writing(self) -> AbstractContextManager[None]:
        """Keep compaction out while the block runs."""

    def commit_lock(self) -> AbstractContextManager[None]:
        """Keep all other publishing and discarding out while the block runs; may be nested."""

    def repair(self, app_id: str, *, refetch_from: float, verify: bool = False) -> Repair:
        """Move damaged files away, so that their rows count as not stored."""

    def forget_repair(self, app_id: str, repaired: Repair) -> None:
        """Delete the damaged files of a repair, because their rows are stored again."""

    def put(
        self,
        table: str,
        unit: str,
        rows: Rows,
        *,
        app_id: str,
        day: str,
        pending: bool,
        incomplete: bool = False,
    ) -> int:
        """Write one unit; return its number of rows."""

    def units(self, app_id: str) -> Units:
        """Return the stored units."""

    def read(self, table: str, unit: str, *, app_id: str, day: str) -> pa.Table | None:
        """Return the rows of a unit, or None if it is not stored."""

    def publish(
        self,
        *,
        app_id: str,
        day: str,
        metrics: Sequence[str],
        sessions: str,
        call: str,
        row: pa.Table,
        before: Published | None = None,
    ) -> None:
        """Publish a complete call if its published state is still `before`: metrics, sessions, its row last."""

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return the published state of a call; None if it has no published row."""

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Remove live units of `metrics` that do not belong to the published state of their call."""

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Delete pending units, each given as (table, unit)."""

    def compact(
        self,
        *,
        closed_before: str,
        app_id: str | None = None,
        calls_expired_before: float = ...,
        points_expired_before: float = ...,
    ) -> object:
        """Merge the many small objects of each closed day into a few."""

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all published calls of an app."""

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of a listing of calls."""

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app; of each, the pages up to the first gap."""

    def unreadable(self, app_id: str) -> dict[str, tuple[Unreadable, ...]]:
        """Return the records that harvests could not read, by the file name of their unit."""

    def put_unreadable(self, app_id: str, unit: str, records: Sequence[Unreadable]) -> None:
        """Replace the unreadable records of a unit."""

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Delete a listing."""
