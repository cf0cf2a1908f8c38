"""Writes a store: atomic writes of Parquet files, whose names record which work is done. Used by harvests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pyarrow as pa

from agora_analytics.errors import StoreConflict
from agora_analytics.logs import logger_of
from agora_analytics.store import compaction, listings, parquet_file, query, unreadable
from agora_analytics.store.app_access import Apps
from agora_analytics.store.failures import translate_os_errors, translate_read_errors
from agora_analytics.store.layout import Layout, stored_id
from agora_analytics.store.parquet_file import Rows
from agora_analytics.store.records import CallListing, Published, Repair, Units, Unreadable
from agora_analytics.store.recovery import Recovery, forget
from agora_analytics.store.rollups.build import RollupReport, build_rollups
from agora_analytics.store.units import (
    CompactionIndex,
    call_metadata,
    incomplete_metadata,
    metrics_named_by,
    published_state,
    stored_units,
)

_log = logger_of("store")


class StoreWriter:
    """Writes the files of a store, and returns which units are done. Methods block and are thread-safe."""

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self._layout = layout
        self._durable = durable
        self._apps = Apps(self._layout, durable=durable)
        self._compacted = CompactionIndex(self._layout)

    @contextmanager
    def writing(self, app_id: str) -> Iterator[None]:
        """Keep compaction of an app out while the block runs. Waits for a running compaction; may be nested.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._apps[app_id].lock.shared():
            yield

    @contextmanager
    def commit_lock(self, app_id: str) -> Iterator[None]:
        """Keep all other publishing and discarding of an app out while the block runs. Hold it briefly; may be nested."""
        with self.writing(app_id), self._apps[app_id].commit_lock.taken():
            yield

    def repair(self, app_id: str, *, refetch_from: float, verify: bool = False) -> Repair:
        """Find damaged and missing files of an app, and move what needs them out of the tables.

        A harvest calls it first. Damaged files are kept below `_damaged`, which also records what has to be fetched
        again until `forget_repair`.

        Args:
            app_id: the app.
            refetch_from: calls that began at this second (UTC epoch) or later can be fetched again. Earlier ones keep
                the rows that are intact.
            verify: read every page and its checksum, not only the footers and the small files.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self.commit_lock(app_id):
            recovery = Recovery(self._layout, self._apps[app_id].objects, app_id, refetch_from, verify)
            try:
                repaired = recovery.run()
            finally:
                if recovery.moved_compacted:
                    self._apps[app_id].lock.count_change()
        for file in repaired.files:
            _log.warning("%s is damaged: %s; its rows are fetched again", file.path, file.reason)
        if days := sorted(repaired.call_days | repaired.points_days):
            _log.info("recovery: the damaged data of %s has to be fetched again", ", ".join(days))
        return repaired

    def forget_repair(self, app_id: str, repaired: Repair) -> None:
        """Delete the damaged files of these days and listings, because their rows are stored again."""
        with self.commit_lock(app_id):
            forget(self._layout, app_id, repaired)
        if repaired.call_days or repaired.points_days or repaired.listings:
            _log.info("recovery: the damaged data is stored again")

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
        """Write one unit of work atomically as one object.

        Args:
            table: `calls`, `sessions`, `metrics` or `points`.
            unit: the name, a pure function of the work. Writing the same name again replaces the unit, with two
                exceptions. A unit of `points` that was compacted meanwhile is complete. A unit of `metrics` is never
                replaced, because a later response may lack samples that have left the retention since.
            rows: with the columns of the table's schema, without `app_id` and `day`. May be empty.
            app_id: the app.
            day: the UTC day on which the call was created, as `2026-11-20`.
            pending: keep the unit invisible to readers until `publish` moves it to its table.
            incomplete: note in the file that the rows have to be fetched again, in addition to the unit's mark.

        Returns:
            The number of rows written; 0 if the unit is not replaced.

        Raises:
            StoreError: if the rows do not fit the table, the disk is full, or the folder cannot be written.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> rows = pa.table({"call_id": ["c1"]})
            >>> with TemporaryDirectory() as folder:
            ...     writer = StoreWriter(Layout(Path(folder)))
            ...     writer.put("calls", "c1", rows, app_id="a", day="2026-11-20", pending=False)
            1
        """
        target = self._layout.unit(table, unit, app_id=app_id, day=day, pending=pending)
        with self.writing(app_id):
            if table == "points" and self._is_compacted("points", stored_id(unit), app_id=app_id, day=day):
                return 0
            if table == "metrics" and any(
                self._layout.unit(table, unit, app_id=app_id, day=day, pending=place).exists()
                for place in (True, False)
            ):
                return 0
            return self._write(app_id, target, table, rows, incomplete_metadata() if incomplete else None)

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
        """Publish a complete call: write its sessions, move its pending metrics to their table, and write its row last.

        A call in `calls` therefore has all its sessions and metrics, even if the process is killed. A repeated publish
        completes an interrupted one. If another harvest has already published the finished call, the published call
        stays unchanged and the pending units are deleted.

        The file of the sessions names all units, as the row does. So a publish with other units removes those that an
        interrupted one has made visible.

        The sessions are not taken from their pending unit, because another harvest may have replaced that with another
        list, which does not fit the metrics.

        Args:
            app_id: the app.
            day: the UTC day on which the call was created.
            metrics: all units of `metrics` of the call. Their names determine their content.
            sessions: its rows of `sessions`.
            call: the unit of its row and of its sessions.
            row: that row, in the schema of `calls`.
            before: the published state of the call before its units were fetched.

        Raises:
            StoreConflict: if another harvest has changed the call since; nothing is published.
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, app_id=app_id, day=day)
        target, live_sessions = path("calls", call), path("sessions", call)
        pending_sessions = path("sessions", call, pending=True)
        moves = [(path("metrics", unit, pending=True), path("metrics", unit)) for unit in metrics]
        with self.commit_lock(app_id):
            current = published_state(target)
            is_finished = current is not None and current.finished
            if is_finished or self._is_compacted("calls", call, app_id=app_id, day=day):
                self._remove([*(pending for pending, _ in moves), pending_sessions])
                return
            missing = [pending for pending, live in moves if not (pending.exists() or live.exists())]
            if missing or current != before:
                raise StoreConflict(
                    f"call {call}: another harvest has changed it in the store meanwhile; run the same command again"
                )
            outdated = sorted(metrics_named_by(live_sessions).difference(metrics))
            self._remove([path("metrics", unit) for unit in outdated])
            manifest = call_metadata([*(("metrics", unit) for unit in metrics), ("sessions", call)])
            self._write(app_id, live_sessions, "sessions", sessions, manifest)
            self._apps[app_id].objects.publish(moves)
            self._write(app_id, target, "calls", row, manifest)
            # last, because the next harvest completes an interrupted publish with this list
            self._remove([pending_sessions])
        _log.debug("published call %s of %s with %d files of metrics", call, day, len(metrics))

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return the published state of a call; None if it has no published row. A compacted call is final.

        Raises:
            StoreError: if the row's file is damaged.
        """
        state = published_state(self._layout.unit("calls", call, app_id=app_id, day=day))
        if state is None:
            with self.writing(app_id):
                if self._is_compacted("calls", call, app_id=app_id, day=day):
                    return Published(metrics=(), finished=True)
        return state

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Remove live units of `metrics` that do not belong to the published state of their call.

        An interrupted `publish` leaves such units.

        Raises:
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, "metrics", app_id=app_id, day=day)
        with self.commit_lock(app_id):
            current = self.published(call, app_id=app_id, day=day)
            self._remove([path(unit) for unit in units if current is None or unit not in current.metrics])

    def _is_compacted(self, table: str, name: str, *, app_id: str, day: str) -> bool:
        changes = self._apps[app_id].lock.changes()
        return self._compacted.contains(table, name, app_id=app_id, day=day, changes=changes)

    def _remove(self, paths: Sequence[Path]) -> None:
        for path in paths:
            with translate_os_errors("cannot remove", path):
                path.unlink(missing_ok=True)

    def _write(
        self, app_id: str, target: Path, table: str, rows: Rows, metadata: Mapping[str, str] | None = None
    ) -> int:
        with self.writing(app_id):
            return self._apps[app_id].objects.write(target, table, rows, metadata)

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Delete pending units that must not be used, such as those of a call that has grown since.

        Args:
            app_id: the app.
            day: the UTC day on which the call was created.
            pending: the units, each as (table, unit). Missing units are ignored.

        Raises:
            StoreError: if the folder cannot be written.
        """
        path = partial(self._layout.unit, app_id=app_id, day=day, pending=True)
        with self.commit_lock(app_id):
            self._remove([path(table, unit) for table, unit in pending])

    @property
    def commit_interval(self) -> None:
        """None: a published call is visible at once."""

    def commit(self) -> None:
        """Do nothing."""

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of the listing of a window.

        Args:
            app_id: the app.
            start: start of the window, UTC epoch seconds.
            end: end of the window, UTC epoch seconds.
            seq: number of the page, from 0. Remove an old listing before writing a new page 0.
            rows: the calls on the page, in the schema of `calls`.
            resume: resume token of the next page; "" on the last page.

        Raises:
            StoreError: if the folder cannot be written.
        """
        target = self._layout.listing(app_id, start, end, seq)
        self._write(app_id, target, "calls", rows, {listings.RESUME: resume})

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Delete the listing of a window, if there is one.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self.writing(app_id):
            listings.remove(self._layout, app_id, start, end)

    def unreadable(self, app_id: str) -> dict[str, tuple[Unreadable, ...]]:
        """Return the records that harvests could not read, by the file name of their unit.

        Raises:
            StoreError: if the folder cannot be read.
        """
        return unreadable.read(self._layout, app_id)

    def put_unreadable(self, app_id: str, unit: str, records: Sequence[Unreadable]) -> None:
        """Replace the unreadable records of a unit; without records, forget the unit.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self.writing(app_id):
            unreadable.write(self._layout, app_id, unit, records, durable=self._durable)

    def units(self, app_id: str) -> Units:
        """Return the stored units of an app.

        A compacted day has no units of `calls`, `sessions` and `metrics`; its calls are in the table `calls`.

        Raises:
            StoreError: if the folder cannot be read, or a compacted file is damaged.
        """
        return stored_units(self._layout, app_id)

    def read(self, table: str, unit: str, *, app_id: str, day: str, pending: bool) -> pa.Table | None:
        """Return the rows of a unit in the table's schema, or None if there is no such unit.

        Args:
            table: `calls`, `sessions`, `metrics` or `points`.
            unit: its name.
            app_id: the app.
            day: its UTC day.
            pending: the pending unit (True), or the one that readers see (False).

        Raises:
            StoreError: if the file is damaged or cannot be read.
        """
        path = self._layout.unit(table, unit, app_id=app_id, day=day, pending=pending)
        with suppress(FileNotFoundError), translate_read_errors(path):
            return parquet_file.read(path, table)[0]
        return None

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all published calls of an app, with `app_id` and `day`.

        Raises:
            StoreError: if a file is damaged or cannot be read.
        """
        return query.calls(self._layout, app_id)

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app in the order of their windows; of each, the pages up to the first gap.

        Raises:
            StoreError: if the folder cannot be read, or a page is damaged.
        """
        return listings.read(self._layout, app_id)

    def compact(
        self,
        *,
        closed_before: str,
        app_id: str | None = None,
        calls_expired_before: float = -math.inf,
        points_expired_before: float = -math.inf,
    ) -> compaction.CompactReport:
        """Merge the many files of each closed day into a few. Concurrent readers see every row exactly once.

        Then the roll-ups of the day are written, as by `build_rollups`.

        Args:
            closed_before: days before this one (UTC, `2026-11-20`) are closed: no new calls are added to them.
            app_id: only this app.
            calls_expired_before: a call that was last seen before this second (UTC epoch) cannot be fetched any more, so
                that it does not keep its day from being compacted although it is unfinished.
            points_expired_before: likewise for incomplete units of days that ended before this second.

        Returns:
            The compacted days, and the skipped days with the reasons.

        Raises:
            StoreError: if the disk is full, or the verification fails; the tables are unchanged.
        """
        return compaction.compact(
            self._layout,
            lambda app_id: self._apps[app_id].lock,
            closed_before=closed_before,
            app_id=app_id,
            calls_expired_before=calls_expired_before,
            points_expired_before=points_expired_before,
        )

    def build_rollups(self, *, app_id: str | None = None, rebuild: bool = False) -> RollupReport:
        """Write the roll-ups of compacted days that are missing, outdated or damaged. Readers and harvests may continue.

        Args:
            app_id: only this app.
            rebuild: write those that are valid, too.

        Raises:
            StoreError: if the folder cannot be locked.
        """
        return build_rollups(self._layout, lambda app: self._apps[app].lock, app_id=app_id, rebuild=rebuild)
