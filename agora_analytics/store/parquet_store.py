"""The embedded store: a folder of Parquet in which every object is whole or not there, and the listing is the progress."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from agora_analytics.errors import StoreConflict
from agora_analytics.schemas import TABLES
from agora_analytics.store import (
    compaction,
    format_version,
    listings,
    parquet_file,
    query,
    reading,
    units,
)
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import Layout
from agora_analytics.store.locks import CommitLock, FolderLock
from agora_analytics.store.manifest import notes_of, published_state
from agora_analytics.store.object_writer import ObjectWriter
from agora_analytics.store.parquet_file import Rows
from agora_analytics.store.protocol import CallListing, Published, Units


def open_store(path: str | Path, *, create: bool = False, durable: bool = False) -> "ParquetStore":
    """Open a store.

    Args:
        path: its folder.
        create: make the folder if it is not there.
        durable: flush every object to the disk before it counts as written. Without it what is written outlives the
            process, however that ends, but the last seconds may not outlive a power failure.

    Raises:
        StoreVersionError: if another version wrote the folder.
        StoreError: if the folder is no store, holds other things, or cannot be made.

    Example:
        >>> store = open_store("/tmp/calls", create=True)
        >>> store.sql("select count(*) from calls").rows()
        [(0,)]
    """
    folder = Path(path).expanduser().absolute()
    format_version.ensure(folder, create=create)
    return ParquetStore(folder, durable=durable)


class ParquetStore:
    """A folder of Parquet. Made by `open_store`; blocking; every method may be called from any thread.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path = path
        self._layout = Layout(path)
        self._lock = FolderLock(self._layout.lock)
        self._commit_lock = CommitLock(self._layout.commit_lock)
        self._compacted = units.CompactionIndex(self._layout)
        self._writer = ObjectWriter(self._layout.staging, durable=durable)

    def __repr__(self) -> str:
        return f"ParquetStore({str(self.path)!r})"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep compaction out while the block runs. Waits for a compaction that is under way; may be nested.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._lock.shared():
            yield

    @contextmanager
    def commit_lock(self) -> Iterator[None]:
        """Let nobody else show, drop or commit in turn while the block runs. For a moment only; may be nested."""
        with self.writing(), self._commit_lock.taken():
            yield

    def put(self, table: str, unit: str, rows: Rows, *, app_id: str, day: str, pending: bool) -> int:
        """Write one unit of work as one object: aside first, then renamed, so that nobody sees a part of it.

        Args:
            table: `calls`, `sessions`, `metrics` or `points`.
            unit: the name, a pure function of the work. A second write under the same name replaces the first;
                a unit of `points` that was compacted meanwhile is whole, and stays as it is.
            rows: with the columns of the table's schema, without `app_id` and `day`. May be empty.
            app_id: the app.
            day: the UTC day on which the call was created, as `2026-11-20`.
            pending: put it where readers do not look yet; `publish` shows it.

        Returns:
            The number of rows written.

        Raises:
            StoreError: if the rows do not fit, the disk is full, or the folder cannot be written.

        Example:
            >>> store.put("calls", "c1", pa.table({"call_id": ["c1"]}), app_id="a", day="2026-11-20", pending=False)
            1
        """
        target = self._layout.unit(table, unit, app_id=app_id, day=day, pending=pending)
        with self.writing():
            if table == "points" and self._is_compacted("points", unit, app_id=app_id, day=day):
                return 0
            return self._write(target, table, rows)

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
        """Show a whole call: move its pending units to the tables, metrics before sessions, and write its row last.

        So a call in `calls` has all its sessions and samples, whenever the process ends. Running it again finishes
        what was begun. A call that another harvest has brought whole stays as it is: what was fetched again is dropped.

        Args:
            app_id: the app.
            day: the UTC day on which the call was created.
            metrics: all units of samples of the call.
            sessions: its unit of sessions.
            call: the unit of its own row.
            row: that row, in the schema of `calls`.
            before: what was `shown` of the call when its units were begun; what `metrics` lacks of it is removed.

        Raises:
            StoreConflict: another harvest has changed the call since; nothing is shown.
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, app_id=app_id, day=day)
        children = [("metrics", unit) for unit in metrics] + [("sessions", sessions)]
        target = path("calls", call)
        with self.commit_lock():
            seen = published_state(target)
            if self._is_compacted("calls", call, app_id=app_id, day=day) or (seen and seen.finished):
                self._drop([path(table, unit, pending=True) for table, unit in children])
                return
            places = [(path(*child, pending=True), path(*child)) for child in children]
            gone = [pending for pending, live in places if not (pending.exists() or live.exists())]
            if gone or seen != before:
                raise StoreConflict(
                    f"call {call}: another harvest has changed it in the store meanwhile; run the same command again"
                )
            self._drop(
                [path("metrics", unit) for unit in (before.metrics if before else ()) if unit not in metrics]
            )
            for pending, live in places:
                self._writer.publish(pending, live)
            self._write(target, "calls", row, notes=notes_of(children))

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return what the visible row of a call stands for; None if there is no such row, or it is compacted.

        Raises:
            StoreError: if the row's file is damaged.
        """
        return published_state(self._layout.unit("calls", call, app_id=app_id, day=day))

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Remove units of samples that readers see though the call's row does not stand for them.

        A harvest that ends in the middle of `publish` leaves such units.

        Raises:
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, "metrics", app_id=app_id, day=day)
        with self.commit_lock():
            shown = self.published(call, app_id=app_id, day=day)
            self._drop([path(unit) for unit in units if shown is None or unit not in shown.metrics])

    def _is_compacted(self, table: str, name: str, *, app_id: str, day: str) -> bool:
        compactions = self._lock.times_held_alone()
        return self._compacted.contains(table, name, app_id=app_id, day=day, compactions=compactions)

    def _drop(self, paths: Sequence[Path]) -> None:
        for path in paths:
            with translate_os_errors("cannot remove", path):
                path.unlink(missing_ok=True)

    def _write(self, target: Path, table: str, rows: Rows, notes: Mapping[str, str] | None = None) -> int:
        with self.writing():
            return self._writer.write(target, table, rows, notes)

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Drop pending units that must not be used any more, such as those of a call that has grown since.

        Args:
            app_id: the app.
            day: the UTC day on which the call was created.
            pending: the units, each as (table, unit). Units that are not there are passed over.

        Raises:
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, app_id=app_id, day=day, pending=True)
        with self.commit_lock():
            self._drop([path(table, unit) for table, unit in pending])

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of the listing of a window.

        Args:
            app_id: the app.
            start: start of the window, UTC epoch seconds.
            end: end of the window, UTC epoch seconds.
            seq: number of the page, from 0. Remove an old listing before a new page 0.
            rows: the calls on the page, in the schema of `calls`.
            resume: where the next page starts; "" on the last page.

        Raises:
            StoreError: if the folder cannot be written.
        """
        target = self._layout.listing(app_id, start, end, seq)
        self._write(target, "calls", rows, notes={listings.RESUME: resume})

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Forget the listing of a window, if there is one.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self.writing():
            listings.remove(self._layout, app_id, start, end)

    def units(self, app_id: str) -> Units:
        """Return which units of an app are done, in one listing of the folder.

        CompactionIndex days have no units of calls any more: their calls are in `calls`.

        Raises:
            StoreError: if the folder cannot be read, or a compacted file is damaged.
        """
        return units.with_those_of(reading.units(self._layout, app_id), self._layout, app_id)

    def read(self, table: str, unit: str, *, app_id: str, day: str) -> pa.Table | None:
        """Return the rows of a unit in the table's schema, or None if it is neither live nor pending.

        A pending unit comes before a live one: it is the later.

        Raises:
            StoreError: if the file is damaged or cannot be read.
        """
        for pending in (
            True,
            False,
            True,
        ):  # again: it may have been published, or replaced, between the two looks
            path = self._layout.unit(table, unit, app_id=app_id, day=day, pending=pending)
            with suppress(FileNotFoundError), reading.translate_read_errors(path):
                return parquet_file.read(path, table)[0]
        return None

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all calls of an app that are visible, with `app_id` and `day`.

        Raises:
            StoreError: if the folder cannot be read.
        """
        return query.calls(self._layout, app_id)

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app in the order of their windows; of each, the pages up to the first gap.

        Raises:
            StoreError: if the folder cannot be read.
        """
        return listings.read(self._layout, app_id)

    def files(self, table: str) -> list[Path]:
        """Return the files of a table, sorted.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.
        """
        return reading.files(self._layout, table)

    def dataset(self, table: str) -> ds.Dataset:
        """Return a table as a pyarrow dataset, to filter it or to read it in batches.

        It names the files of this moment: a compaction later on makes a scan of it fail with `FileNotFoundError`
        (never show wrong rows); ask for a new one then.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.

        Example:
            >>> store.dataset("metrics").to_table(filter=ds.field("mid") == 20003)
        """
        return reading.dataset(self._layout, table)

    def table(self, table: str) -> pa.Table:
        """Return a whole table in memory, in `table_schema(table)`; or `quality`, the view over all vendors.

        Raises:
            StoreError: if there is no such table, or a file is damaged.

        Example:
            >>> store.table("sessions").to_pandas()
        """
        return self.sql("from quality").arrow() if table == "quality" else reading.table(self._layout, table)

    def sql(self, text: str) -> query.Result:
        """Run one SQL query (DuckDB) over the views `calls`, `sessions`, `metrics`, `points`, and `quality`,
        which is all vendors in one. Times are UTC.

        Args:
            text: a `select`, `describe`, `explain` or the like; nothing that writes.

        Raises:
            InvalidRequest: if the query is wrong, or is no query.
            StoreError: if a file is damaged or cannot be read.

        Example:
            >>> store.sql("select mid, avg(value) from metrics group by mid order by mid").rows()
        """
        return query.run(self._layout, text)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, from the files' footers.

        Raises:
            StoreError: if a file is damaged or cannot be read.
        """
        counted = self.sql(
            " union all ".join(f"select '{name}' t, count(*) n from {name}" for name in TABLES)
        )
        return {str(name): int(count) for name, count in counted.rows()}

    def compact(self, *, closed_before: str, app_id: str | None = None) -> compaction.CompactReport:
        """CommitLock the many files of each closed day into a few. No reader sees a row twice or misses one.

        Args:
            closed_before: days before this one (UTC, `2026-11-20`) are closed: nothing comes to them any more.
            app_id: only this app.

        Returns:
            What was compacted, and what was left alone and why.

        Raises:
            StoreError: if the disk is full, a file is damaged, or the copy is not equal; the tables are as before.
        """
        return compaction.compact(self._layout, self._lock, closed_before=closed_before, app_id=app_id)
