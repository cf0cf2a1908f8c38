"""Whether what a day has is whole and finished, so that it may be compacted."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agora_analytics.schemas import CALL_TABLES
from agora_analytics.store.layout import COMPACTED, Layout
from agora_analytics.store.reading import parquet_names, translate_read_errors
from agora_analytics.store.units import held_in, notes_of, unit_name


class DayIncomplete(Exception):
    """Why a day cannot be compacted yet."""


class Day(ABC):
    """One app's day in the tables that are compacted together, while compaction holds the lock.

    Attributes:
        tables: their names; readers must see the new files of each before those of the ones behind it.
        app_id: the app.
        day: the UTC day.
    """

    tables: ClassVar[tuple[str, ...]]

    def __init__(self, layout: Layout, *, app_id: str, day: str) -> None:
        self._layout = layout
        self.app_id = app_id
        self.day = day

    def folder(self, table: str, *, pending: bool = False) -> Path:
        """Return the day's folder in a table."""
        return self._layout.day(table, app_id=self.app_id, day=self.day, pending=pending)

    def files(self, table: str, *, pending: bool = False) -> list[Path]:
        """Return the day's files in a table, sorted by name: unit after unit."""
        folder = self.folder(table, pending=pending)
        return [folder / name for name in parquet_names(folder)]

    def units(self, table: str) -> list[Path]:
        """Return those files that are single units still."""
        return [path for path in self.files(table) if not path.name.startswith(COMPACTED)]

    @abstractmethod
    def require_whole(self) -> None:
        """Check that nothing is missing, or there twice.

        Raises:
            DayIncomplete: if something is.
            StoreError: if a file is damaged.
        """

    @abstractmethod
    def require_known(self, table: str, calls: set[str]) -> None:
        """Check the calls that the rows of a table belong to.

        Raises:
            DayIncomplete: if one of them is not known to be whole.
        """

    @abstractmethod
    def notes(self) -> dict[str, str]:
        """Return what is to be kept beside the rows of each table."""


class CallsDay(Day):
    """A day's calls with their sessions and samples."""

    tables = tuple(CALL_TABLES)[::-1]

    def __init__(self, layout: Layout, *, app_id: str, day: str) -> None:
        super().__init__(layout, app_id=app_id, day=day)
        self._calls: frozenset[str] = frozenset()

    def require_whole(self) -> None:
        """Check that the calls are all finished, that none is there twice, and that nothing waits for its call.

        Raises:
            DayIncomplete: if one of these does not hold.
            StoreError: if a file is damaged.
        """
        seen: set[str] = set()
        for path in self.files("calls"):
            for call_id, finished in _columns(path, ["call_id", "finished"]):
                if not finished:
                    raise DayIncomplete(
                        f"call {call_id} was still going on when it was fetched; harvest it again first"
                    )
                if call_id in seen:
                    raise DayIncomplete(f"call {call_id} is there twice; remove the newer file of it, {path}")
                seen.add(call_id)
        self._calls = frozenset(seen)
        for leftover in self._leftovers():
            leftover.unlink(missing_ok=True)

    def require_known(self, table: str, calls: set[str]) -> None:
        """Check that rows belong to calls that are whole.

        Raises:
            DayIncomplete: if there is no row of a call in `calls`: a harvest ended between its children and the call itself.
        """
        if orphans := calls - self._calls:
            raise DayIncomplete(
                f"{table} has rows of call {min(orphans)}, which is not whole; run the harvest again first"
            )

    def notes(self) -> dict[str, str]:
        """Return nothing: the rows say which calls they belong to."""
        return {}

    def _leftovers(self) -> list[Path]:
        # Two harvests may fetch one call; the one that ends in the middle leaves units of a call that the other has
        # finished. Nobody will ever publish them.
        left = []
        for table in CALL_TABLES:
            shown = {path.name for path in self.files(table)}
            for path in self.files(table, pending=True):
                if path.name not in shown:
                    ids = {call_id for (call_id,) in _columns(path, ["call_id"])}
                    if not ids or not ids <= self._calls:
                        raise DayIncomplete(
                            f"{table} has units of a call that is not whole; run the harvest again first"
                        )
                left.append(path)
        return left


class PointsDay(Day):
    """A day's `points`. CompactionIndex files name the units that they were made of."""

    tables = ("points",)

    def require_whole(self) -> None:
        """Check that no unit has to be fetched again, and that none is there twice.

        Raises:
            DayIncomplete: if one of these does not hold.
            StoreError: if a file is damaged.
        """
        for path in self.files("points", pending=True):
            raise DayIncomplete(
                f"{unit_name(path.name)} was not whole when it was fetched; run the harvest again first"
            )
        for unit in sorted(self._single() & self._held()):
            raise DayIncomplete(f"{unit} is there twice; remove its own file, which is the newer one")

    def require_known(self, table: str, calls: set[str]) -> None:
        """Accept them all: a meeting is one unit, so it is whole."""

    def notes(self) -> dict[str, str]:
        """Return the names of all units."""
        return notes_of(self._single() | self._held())

    def _single(self) -> set[str]:
        return {unit_name(path.name) for path in self.units("points")}

    def _held(self) -> set[str]:
        return held_in("points", self.folder("points"))


def distinct_calls(rows: pa.Table) -> set[str]:
    """Return the ids of the calls that the rows belong to."""
    return set(pc.unique(rows.column("call_id")).to_pylist())


def _columns(path: Path, columns: list[str]) -> list[tuple[Any, ...]]:
    with translate_read_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        rows = file.read(columns=columns, use_threads=False)
    return list(zip(*(rows.column(name).to_pylist() for name in columns), strict=True))
