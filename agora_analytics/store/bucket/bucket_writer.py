"""Writes a store in a bucket. Used by harvests; the counterpart of `StoreWriter`, which writes a folder."""

import functools
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from attrs import define, field

from agora_analytics.errors import StoreConflict, StoreDamaged, StoreError
from agora_analytics.logs import logger_of
from agora_analytics.schemas import TABLES
from agora_analytics.store import listings, parquet_file, unreadable
from agora_analytics.store.bucket import bucket_compaction, keys, publisher
from agora_analytics.store.bucket.app_state import AppState
from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.delta_tables import (
    POINTS_UNIT,
    DeltaTables,
    call_of_unit,
    condition,
    day_scalar,
    files_of,
)
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.bucket.ready import ReadyCall, points_of_key
from agora_analytics.store.compaction import CompactReport
from agora_analytics.store.layout import LISTING, decode_id, stored_id, unit_name
from agora_analytics.store.parquet_file import Rows
from agora_analytics.store.records import CallListing, Published, Repair, Units, Unreadable

_log = logger_of("store")

_COMMIT_INTERVAL = 30.0
_COMMIT_ATTEMPTS = 5


@functools.cache
def _commit_lock(url: str) -> threading.Lock:  # noqa: ARG001 - the key of the cache
    """Return the lock of all publishers of a store in this process: each publishes the calls of all of them."""
    return threading.Lock()


@define
class BucketWriter:
    """Writes the objects of a store in a bucket, and returns which units are done. Methods block and are thread-safe.

    The methods are those of `StoreWriter`. Differences:

    - A published call becomes visible with the next `commit`, of this or another process.
    - Nothing locks the bucket. Two harvests of the same app may run at once by mistake; the first publisher of a call
      wins, and the other harvest may have spent requests in vain.
    - `repair` finds nothing: an object is complete or absent, and the bucket verifies its checksums.
    """

    _objects: Objects
    _tables: DeltaTables
    _states: dict[str, AppState] = field(init=False, factory=dict, repr=False)
    _lock: threading.RLock = field(init=False, factory=threading.RLock, repr=False)
    _committing: threading.Lock = field(init=False, repr=False)

    @_committing.default
    def _lock_of_process(self) -> threading.Lock:
        return _commit_lock(self._tables.location.url)

    @property
    def commit_interval(self) -> float:
        """Seconds between the commits of a harvest."""
        return _COMMIT_INTERVAL

    @contextmanager
    def commit_lock(self, app_id: str) -> Iterator[None]:  # noqa: ARG002 - one lock serves all apps
        """Keep the other threads of this process from publishing and discarding while the block runs."""
        with self._lock:
            yield

    def repair(self, app_id: str, *, refetch_from: float, verify: bool = False) -> Repair:
        """Return that nothing is damaged."""
        del app_id, refetch_from, verify
        return Repair()

    def forget_repair(self, app_id: str, repaired: Repair) -> None:
        """Do nothing, because `repair` finds nothing."""

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
        """Write one unit of work as one object. See `StoreWriter.put`.

        A unit of `metrics` is written once, to its final key. A unit of `points` that is not pending replaces its rows
        with the next `commit`. The rows and the sessions of calls are written by `publish`.
        """
        del incomplete  # the mark in `_pending` says it
        content, written = parquet_file.encode(table, rows, metadata={"app_id": app_id, "day": day})
        if table == "metrics":
            return (
                written
                if self._objects.create(keys.metrics_unit(unit, app_id=app_id, day=day), content)
                else 0
            )
        if pending:
            self._objects.put(keys.pending_unit(table, unit, app_id=app_id, day=day), content)
            return written
        if table != "points":
            raise StoreError(f"cannot write {table} of {unit} alone; publish the call")
        if not written:
            self._objects.put(keys.empty_unit(unit, app_id=app_id, day=day), b"")
        # the clock of another host may be ahead, and the newest rows replace the others
        earlier = [points_of_key(key)[1] for key in self._ready_points(unit, app_id=app_id, day=day)]
        number = max([time.time_ns(), *(number + 1 for number in earlier)])
        self._objects.put(keys.ready_points(unit, number, app_id=app_id, day=day), content)
        return written

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
        """Declare a call complete, with one object. See `StoreWriter.publish`."""
        with self._lock:
            state = self._state(app_id)
            current = state.published.get(call)
        if current is None or not current.finished:
            if current != before:
                raise StoreConflict(
                    f"call {call}: another harvest has changed it in the store meanwhile; run the same command again"
                )
            ready = ReadyCall(
                app_id=app_id, call_id=call, day=day, row=row, sessions=sessions, units=tuple(metrics)
            )
            # if the object exists, an interrupted run or another harvest has published this state
            self._objects.create(ready.key, ready.encode())
            with self._lock:
                state.add(ready)
        # last, because the next harvest continues an interrupted one with this list
        self._objects.delete([keys.pending_unit("sessions", call, app_id=app_id, day=day)])
        _log.debug("call %s of %s with %d files of metrics is ready", call, day, len(metrics))

    def published(self, call: str, *, app_id: str, day: str) -> Published | None:
        """Return the published state of a call, as far as this process knows; None if it has none."""
        del day
        with self._lock:
            return self._state(app_id).published.get(call)

    def unpublish(self, call: str, units: Sequence[str], *, app_id: str, day: str) -> None:
        """Do nothing: an interrupted publish leaves no live units, because the next publisher completes it."""

    def discard(self, *, app_id: str, day: str, pending: Sequence[tuple[str, str]]) -> None:
        """Delete pending units of other tables than `metrics`.

        An object of `metrics` stays: it is invisible while it is not in the log, and another harvest may publish it at
        any time. `put` finds it again, because units of the same name have the same rows.
        """
        self._objects.delete(
            [
                keys.pending_unit(table, unit, app_id=app_id, day=day)
                for table, unit in pending
                if table != "metrics"
            ]
        )

    def commit(self) -> None:
        """Make everything that is published visible to readers, also what other processes have published.

        Another process may do the same at the same time; each row is added once.

        Raises:
            StoreError: if the bucket cannot be reached.
        """
        self._commit()

    def _commit(self) -> bool:
        with self._committing:
            wait = 0.0
            for attempt in range(_COMMIT_ATTEMPTS):
                # without a random wait, publishers that began together overtake each other again and again
                time.sleep(wait * random.random())  # noqa: S311
                began = time.monotonic()
                if publisher.publish(self._objects, self._tables):
                    return True
                wait = (time.monotonic() - began) * 2 ** (attempt + 1)
            _log.warning(
                "other publishers were faster %d times; a later commit adds the rest", _COMMIT_ATTEMPTS
            )
            return False

    def compact(
        self,
        *,
        closed_before: str,
        app_id: str | None = None,
        calls_expired_before: float = -math.inf,
        points_expired_before: float = -math.inf,
    ) -> CompactReport:
        """Merge the many files of each closed day into a few; delete objects that have not been in use for seven days.

        A day with calls that are fetched again, or that are not committed yet, is skipped. Nothing is merged while other
        publishers keep this one from committing. The arguments are those of `StoreWriter.compact`.
        """
        del points_expired_before  # the rows of incomplete units are replaced in compacted files too
        if not self._commit():
            return CompactReport()
        return bucket_compaction.compact(
            self._objects,
            self._tables,
            closed_before=closed_before,
            app_id=app_id,
            calls_expired_before=calls_expired_before,
        )

    def put_listing(self, app_id: str, start: int, end: int, seq: int, rows: Rows, resume: str) -> None:
        """Write one finished page of the listing of a window. See `StoreWriter.put_listing`."""
        content, _ = parquet_file.encode("calls", rows, metadata={listings.RESUME: resume})
        self._objects.put(keys.listing_page(app_id, start, end, seq), content)

    def remove_listing(self, app_id: str, start: int, end: int) -> None:
        """Delete the listing of a window, last page first."""
        names = map(keys.file_name, self._objects.list(keys.app_folder(LISTING, app_id)))
        for seq in sorted(listings.numbers_of(names).get((start, end), []), reverse=True):
            self._objects.delete([keys.listing_page(app_id, start, end, seq)])

    def listings(self, app_id: str) -> list[CallListing]:
        """Return the listings of an app; of each, the pages up to the first gap."""
        names = map(keys.file_name, self._objects.list(keys.app_folder(LISTING, app_id)))
        numbers = {ends: listings.without_gap(found) for ends, found in listings.numbers_of(names).items()}
        wanted = [
            keys.listing_page(app_id, *ends, seq) for ends, found in sorted(numbers.items()) for seq in found
        ]
        contents = self._objects.get_all(wanted)
        found = []
        for (start, end), sequence in sorted(numbers.items()):
            page_keys = [keys.listing_page(app_id, start, end, seq) for seq in sequence]
            pages = [_decode(key, contents[key], "calls") for key in page_keys if key in contents]
            if pages and len(pages) == len(page_keys):
                found.append(listings.join_pages(start, end, pages))
        return found

    def unreadable(self, app_id: str) -> dict[str, tuple[Unreadable, ...]]:
        """Return the records that harvests could not read, by the file name of their unit."""
        contents = self._objects.get_all(self._objects.list(keys.skipped_unit(app_id)))
        names = {keys.file_name(key): content.decode("utf-8", "replace") for key, content in contents.items()}
        return {name.removesuffix(".json"): unreadable.decode(name, text) for name, text in names.items()}

    def put_unreadable(self, app_id: str, unit: str, records: Sequence[Unreadable]) -> None:
        """Replace the unreadable records of a unit; without records, forget the unit."""
        key = keys.skipped_unit(app_id, unit)
        if records:
            self._objects.put(key, unreadable.encode(records).encode())
        else:
            self._objects.delete([key])

    def units(self, app_id: str) -> Units:
        """Return the stored units of an app.

        `calls` and `sessions` have no live units: `calls` returns the published calls.
        """
        # listed before the state is read, because a publisher makes listed objects live
        listed = self._objects.list(keys.app_folder("metrics", app_id))
        marks = self._objects.list(keys.pending_folder(app_id))
        points = self._stored_points(app_id)
        with self._lock:
            live = dict(self._state(app_id).live)
        metrics = {unit_name(keys.file_name(key)): keys.day_of(key) for key in listed}
        pending = {
            table: {
                unit_name(keys.file_name(key)): keys.day_of(key)
                for key in marks
                if key.split("/")[2] == table
            }
            for table in TABLES
        }
        pending["metrics"] = {
            unit: day for unit, day in metrics.items() if unit not in live and call_of_unit(unit) is not None
        }
        return Units(
            live={table: {} for table in TABLES} | {"metrics": live, "points": points}, pending=pending
        )

    def _stored_points(self, app_id: str) -> dict[str, str]:
        ready = self._objects.list(keys.app_folder(keys.READY_POINTS, app_id))
        empty = self._objects.list(keys.app_folder("_empty", app_id))
        units = {decode_id(points_of_key(key)[0]): keys.day_of(key) for key in ready}
        units |= {decode_id(keys.file_name(key)): keys.day_of(key) for key in empty}
        table = self._tables.load("points")
        if files_of(table, app_id=app_id).num_rows:
            with bucket_errors("cannot read", self._tables.url("points")):
                rows = table.to_pyarrow_dataset().to_table(
                    columns=[POINTS_UNIT, "day"], filter=condition(app_id=app_id)
                )
            for pair in rows.group_by([POINTS_UNIT, "day"]).aggregate([]).to_pylist():
                units[pair[POINTS_UNIT]] = pair["day"].isoformat()
        return units

    def read(self, table: str, unit: str, *, app_id: str, day: str, pending: bool) -> pa.Table | None:
        """Return the rows of a unit; of `calls` and `sessions`, the published rows of a call. None if there are none."""
        if pending or table == "metrics":
            key = (
                keys.metrics_unit(unit, app_id=app_id, day=day)
                if table == "metrics"
                else keys.pending_unit(table, unit, app_id=app_id, day=day)
            )
            content = self._objects.get(key)
            return None if content is None else _decode(key, content, table)[0]
        if table == "points":
            return self._read_points(unit, app_id=app_id, day=day)
        with self._lock:
            state = self._state(app_id)
            if unit not in state.published:
                return None
            ready = state.ready.get(unit)
        if ready and (content := self._objects.get(ready)) is not None:
            call = ReadyCall.decode(ready, content)
            return call.row if table == "calls" else call.sessions
        return self._read_log(table, app_id=app_id, day=day, call_id=unit)

    def _read_points(self, unit: str, *, app_id: str, day: str) -> pa.Table | None:
        for key in sorted(self._ready_points(unit, app_id=app_id, day=day), key=points_of_key, reverse=True):
            if (content := self._objects.get(key)) is not None:
                return _decode(key, content, "points")[0]
        rows = self._read_log("points", app_id=app_id, day=day, **{POINTS_UNIT: stored_id(unit)})
        if rows.num_rows or self._objects.get(keys.empty_unit(unit, app_id=app_id, day=day)) is not None:
            return rows
        return None

    def _ready_points(self, unit: str, *, app_id: str, day: str) -> list[str]:
        name = keys.file_name(keys.empty_unit(unit, app_id=app_id, day=day))
        listed = self._objects.list(keys.day_folder(keys.READY_POINTS, app_id, day))
        return [key for key in listed if points_of_key(key)[0] == name]

    def _read_log(self, table: str, *, app_id: str, day: str, **values: str) -> pa.Table:
        wanted = condition(app_id=app_id, day=day_scalar(day), **values)
        with bucket_errors("cannot read", self._tables.url(table)):
            dataset = self._tables.load(table).to_pyarrow_dataset()
            return dataset.to_table(columns=TABLES[table].names, filter=wanted).cast(TABLES[table])

    def calls(self, app_id: str) -> pa.Table:
        """Return the rows of all published calls of an app, with `app_id` and `day`. Reads the bucket again."""
        state = AppState.read(self._objects, self._tables, app_id)
        with self._lock:
            self._states[app_id] = state
        return state.rows

    def _state(self, app_id: str) -> AppState:
        if app_id not in self._states:
            self._states[app_id] = AppState.read(self._objects, self._tables, app_id)
        return self._states[app_id]


def _decode(key: str, content: bytes, table: str) -> tuple[pa.Table, dict[str, str]]:
    try:
        return parquet_file.decode(content, table)
    except (pa.ArrowException, OSError, ValueError, TypeError) as problem:
        raise StoreDamaged(
            f"cannot read {key}: it is not a complete Parquet file; delete the object and run the harvest again"
        ) from problem
