"""What a harvest needs of a store. The folder of Parquet is one; anything else that keeps these promises is another."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.store.layout import decode_id, encode_id
from agora_analytics.store.parquet_file import Rows


@frozen(kw_only=True)
class Units:
    """The finished units of work of one app, in one listing: for each table the UTC day of each unit.

    Attributes:
        live: units whose call is whole (or a snapshot of a call that goes on): table -> unit -> day.
        pending: units that wait for the rest of their call: table -> unit -> day.
    """

    live: Mapping[str, Mapping[str, str]] = field(repr=False)
    pending: Mapping[str, Mapping[str, str]] = field(repr=False)

    def is_done(self, table: str, unit: str) -> bool:
        """Return whether a unit is stored, live or pending."""
        name = decode_id(encode_id(unit))
        return name in self.live[table] or name in self.pending[table]


@frozen(kw_only=True)
class Published:
    """What the visible row of a call stands for: its units of samples, and whether the call had ended."""

    metrics: tuple[str, ...]
    finished: bool


@frozen(kw_only=True)
class CallListing:
    """The finished pages of one listing of calls.

    Attributes:
        start: start of the window, UTC epoch seconds.
        end: end of the window, UTC epoch seconds.
        pages: how many pages are finished, counted from the first without a gap.
        resume: where the next page starts, as the writer put it; "" when there is none.
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


class Store(Protocol):
    """Where a harvest puts its rows and reads back what is done. Blocking and thread-safe.

    An object is either there, whole, or not there: nobody sees half of one. A second write of a unit replaces
    the first. `ParquetStore` has the words for each method.
    """

    def writing(self) -> AbstractContextManager[None]:
        """Keep compaction out while the block runs."""
        ...

    def commit_lock(self) -> AbstractContextManager[None]:
        """Let nobody else show, drop or commit in turn while the block runs; may be nested."""
        ...

    def put(self, table: str, unit: str, rows: Rows, *, app_id: str, day: str, pending: bool) -> int:
        """Write one unit; return its number of rows."""
        ...

    def units(self, app_id: str) -> Units:
        """Return which units are done."""
        ...

    def read(self, table: str, unit: str, *, app_id: str, day: str) -> pa.Table | None:
        """Return the rows of a unit, or None if it is not there."""
        ...

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
        """Make a whole call visible, if what is visible of it is as it was before: metrics, sessions, its row last."""
        ...

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return what the visible row of a call stands for; None if there is no such row."""
        ...

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Remove units of samples that are visible though the call's row does not stand for them."""
        ...

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Drop pending units, given as (table, unit), that must not be used any more."""
        ...

    def compact(self, *, closed_before: str, app_id: str | None = None) -> object:
        """Turn the many small objects of days that are over into a few."""
        ...

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all visible calls of an app."""
        ...

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of a listing of calls."""
        ...

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app, as far as their pages go."""
        ...

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Forget a listing."""
        ...
