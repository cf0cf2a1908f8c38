"""What a harvest needs of a store: `StoreWriter` implements it in a folder, `BucketWriter` in a bucket."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pyarrow as pa

from agora_analytics.store.parquet_file import Rows
from agora_analytics.store.records import CallListing, Published, Repair, Units, Unreadable

if TYPE_CHECKING:
    from agora_analytics.store.compaction import CompactReport


@runtime_checkable
class HarvestWriter(Protocol):
    """The methods that harvests write through. They block and are thread-safe. `StoreWriter` documents each.

    A unit of work has a name that is a pure function of the work. `put` stores it, in one atomic step; `publish`
    declares a call complete. Readers see it after `commit` at the latest.
    """

    @property
    def commit_interval(self) -> float | None:
        """Seconds between the commits of a harvest; None if what is published is visible at once."""

    def commit_lock(self, app_id: str) -> AbstractContextManager[None]:
        """Keep all other publishing and discarding of an app out while the block runs."""

    def repair(self, app_id: str, *, refetch_from: float, verify: bool = False) -> Repair:
        """Find damaged objects of an app, and move what needs them out of the tables."""

    def forget_repair(self, app_id: str, repaired: Repair) -> None:
        """Delete the damaged objects, because their rows are stored again."""

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
        """Write one unit of work as one object; return the number of rows written."""

    def publish(
        self,
        *,
        app_id: str,
        day: str,
        metrics: Sequence[str],
        sessions: pa.Table,
        call: str,
        row: pa.Table,
        before: Published | None = None,
    ) -> None:
        """Publish a complete call: its pending units, its sessions and its row."""

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return the published state of a call; None if it has none."""

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Remove live units of `metrics` that do not belong to the published state of their call."""

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Delete pending units, each as (table, unit)."""

    def commit(self) -> None:
        """Make everything that is published visible to readers."""

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of the listing of a window."""

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Delete the listing of a window."""

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app; of each, the pages up to the first gap."""

    def unreadable(self, app_id: str) -> dict[str, tuple[Unreadable, ...]]:
        """Return the records that harvests could not read, by unit."""

    def put_unreadable(self, app_id: str, unit: str, records: Sequence[Unreadable]) -> None:
        """Replace the unreadable records of a unit."""

    def units(self, app_id: str) -> Units:
        """Return the stored units of an app."""

    def read(self, table: str, unit: str, *, app_id: str, day: str, pending: bool) -> pa.Table | None:
        """Return the rows of a unit; None if there is no such unit."""

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all published calls of an app."""

    def compact(
        self,
        *,
        closed_before: str,
        app_id: str | None = None,
        calls_expired_before: float = -math.inf,
        points_expired_before: float = -math.inf,
    ) -> "CompactReport":
        """Merge the many files of each closed day into a few."""


@runtime_checkable
class Store(Protocol):
    """A store that a harvest can write: `ParquetStore` and `BucketStore`."""

    @property
    def writer(self) -> HarvestWriter:
        """The methods that harvests write through."""
