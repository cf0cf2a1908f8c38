"""Checks whether a day is complete, so that it can be compacted."""

import math
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from agora_analytics.schemas import CALL_TABLES
from agora_analytics.store.failures import translate_read_errors
from agora_analytics.store.layout import COMPACTED, Layout, encode_id, parquet_names, short_id, unit_name
from agora_analytics.store.units import compacted_metadata, compacted_names


class DayIncomplete(Exception):
    """A day cannot be compacted yet; the message is the reason."""


class Day(ABC):
    """One app's day in the tables that are compacted together. Compaction holds the exclusive lock meanwhile.

    Attributes:
        tables: the tables, in the order in which their new files become visible.
        app_id: the app.
        day: the UTC day.
        expired_before: what was last seen before this second cannot be fetched again (UTC epoch seconds).
        expired: whether the whole day cannot be fetched again, so that it stays as it is.
    """

    tables: ClassVar[tuple[str, ...]]

    def __init__(self, layout: Layout, *, app_id: str, day: str, expired_before: float = -math.inf) -> None:
        self._layout = layout
        self.app_id = app_id
        self.day = day
        self.expired_before = expired_before
        end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
        self.expired = end.timestamp() <= expired_before

    def folder(self, table: str, *, pending: bool = False) -> Path:
        """Return the day's folder in a table."""
        return self._layout.day(table, app_id=self.app_id, day=self.day, pending=pending)

    def files(self, table: str, *, pending: bool = False) -> list[Path]:
        """Return the day's files in a table, sorted by name: unit after unit."""
        folder = self.folder(table, pending=pending)
        return [folder / name for name in parquet_names(folder)]

    def units(self, table: str) -> list[Path]:
        """Return the files that are not compacted yet."""
        return [path for path in self.files(table) if not path.name.startswith(COMPACTED)]

    @abstractmethod
    def require_complete(self) -> None:
        """Check that nothing is missing or duplicated; raise `DayIncomplete` otherwise."""

    def require_complete_calls(self, table: str, calls: set[str]) -> None:
        """Check that the rows of a table belong only to complete calls; raise `DayIncomplete` otherwise."""
        del table, calls  # without tables of calls, every unit is complete

    def metadata(self) -> dict[str, str]:
        """Return the metadata for the compacted files of each table, apart from `compaction_metadata`."""
        return {}


class CallsDay(Day):
    """A day's calls with their sessions and samples."""

    tables = tuple(CALL_TABLES)[::-1]

    def __init__(self, layout: Layout, *, app_id: str, day: str, expired_before: float = -math.inf) -> None:
        super().__init__(layout, app_id=app_id, day=day, expired_before=expired_before)
        self._calls: frozenset[str] = frozenset()

    def require_complete(self) -> None:
        """Check that all calls are finished, that none is duplicated, and that no unit waits for its call."""
        calls: set[str] = set()
        for path in self.files("calls"):
            for call_id, finished, last_seen in _columns(path, ["call_id", "finished", "destroyed_ts"]):
                # A call may last longer than its day is kept; only what was last seen too early cannot be updated.
                expired = last_seen is not None and last_seen.timestamp() < self.expired_before
                if not finished and not expired:
                    raise DayIncomplete(
                        f"call {call_id} was ongoing when it was fetched; harvest it again first"
                    )
                if call_id in calls:
                    raise DayIncomplete(f"call {call_id} is stored twice; remove its newer file, {path}")
                calls.add(call_id)
        self._calls = frozenset(calls)
        for leftover in self._leftovers():
            leftover.unlink(missing_ok=True)

    def require_complete_calls(self, table: str, calls: set[str]) -> None:
        """Check that each call has a row in `calls`. It has none if a harvest ended before it wrote that row."""
        if (orphans := calls - self._calls) and not self.expired:
            raise DayIncomplete(
                f"{table} has rows of call {min(orphans)}, which is incomplete; run the harvest again first"
            )

    def _leftovers(self) -> list[Path]:
        # If two harvests fetch the same call and one of them is interrupted, its pending units remain although the
        # other harvest has published the call. They will never be published.
        leftovers = []
        for table in CALL_TABLES:
            live = {path.name for path in self.files(table)}
            for path in self.files(table, pending=True):
                if path.name not in live:
                    ids = self._calls_of(path)
                    if not ids or not ids <= self._calls:
                        if self.expired:
                            continue
                        raise DayIncomplete(
                            f"{table} has units of an incomplete call; run the harvest again first"
                        )
                leftovers.append(path)
        return leftovers

    def _calls_of(self, path: Path) -> set[str]:
        """Return the ids of the calls of a unit; a unit without rows begins with the id of its call."""
        ids = {call_id for (call_id,) in _columns(path, ["call_id"])}
        return ids or {call for call in self._calls if path.name.startswith(f"{encode_id(short_id(call))}.")}


class PointsDay(Day):
    """A day's `points`. The metadata of compacted files lists the units that were merged into them."""

    tables = ("points",)

    def require_complete(self) -> None:
        """Check that no unit has to be fetched again, and that none is duplicated."""
        for path in self.files("points", pending=True):
            if self.expired:
                path.unlink(missing_ok=True)
                continue
            raise DayIncomplete(
                f"{unit_name(path.name)} was incomplete when it was fetched; run the harvest again first"
            )
        single, compacted = self._stored_units()
        if duplicates := single & compacted:
            raise DayIncomplete(
                f"{min(duplicates)} is stored twice; remove its own file, which is the newer one"
            )

    def metadata(self) -> dict[str, str]:
        """Return the metadata that lists all units."""
        single, compacted = self._stored_units()
        return compacted_metadata(single | compacted)

    def _stored_units(self) -> tuple[set[str], set[str]]:
        single = {unit_name(path.name) for path in self.units("points")}
        return single, compacted_names("points", self.folder("points"))


def _columns(path: Path, columns: list[str]) -> list[tuple[Any, ...]]:
    with translate_read_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        rows = file.read(columns=columns, use_threads=False)
    return list(zip(*(rows.column(name).to_pylist() for name in columns), strict=True))
