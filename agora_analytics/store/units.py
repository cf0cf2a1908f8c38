"""What compacted files hold: a writer that began before a compaction must not bring the same once more."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import evolve

from agora_analytics.store.layout import COMPACTED, SUFFIX, Layout, decode_id
from agora_analytics.store.protocol import Units
from agora_analytics.store.reading import parquet_names, partitions, retry_if_moved, translate_read_errors

_HOLDS = "agora_analytics.contains"


def notes_of(held: Iterable[str]) -> dict[str, str]:
    """Return what is kept beside the rows of a compacted file: the units of `points` that it was made of."""
    return {_HOLDS: json.dumps(sorted(held))}


def held_in(table: str, folder: Path | str) -> set[str]:
    """Return what the compacted files in a day's folder hold: the ids of calls, or the units of `points`.

    Raises:
        StoreError: if a file is damaged.
    """
    held: set[str] = set()
    for name in parquet_names(folder):
        if name.startswith(COMPACTED):
            held |= _calls(Path(folder, name)) if table == "calls" else _units(Path(folder, name))
    return held


def with_those_of(units: Units, layout: Layout, app_id: str) -> Units:
    """Return units together with those of an app's `points` that lie in compacted files.

    Looked up behind the others: so none is missed that is compacted between the two.

    Raises:
        StoreError: if a file is damaged.
    """

    def attempt() -> dict[str, str]:
        days = partitions(layout.app("points", app_id), "day")
        return {unit: day for day, folder in days for unit in held_in("points", folder)}

    held = retry_if_moved(attempt, lambda problem: isinstance(problem, FileNotFoundError))
    return evolve(units, live={**units.live, "points": held | dict(units.live["points"])})


def unit_name(file: str) -> str:
    """Return the name of the unit that a file contains."""
    return decode_id(file.removesuffix(SUFFIX))


def _calls(path: Path) -> set[str]:
    with translate_read_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        return set(file.read(columns=["call_id"], use_threads=False).column(0).to_pylist())


def _units(path: Path) -> set[str]:
    with translate_read_errors(path):
        notes = pq.read_metadata(path).metadata or {}
    return set(json.loads(notes.get(_HOLDS.encode(), b"[]")))


class CompactionIndex:
    """Remembers what a store's compacted files hold, from one compaction to the next. Thread-safe.

    Attributes:
        layout: the store's paths.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._guard = threading.Lock()
        self._compactions = -1
        self._held: dict[tuple[str, str, str], set[str]] = {}

    def contains(self, table: str, name: str, *, app_id: str, day: str, compactions: int) -> bool:
        """Return whether a call (`calls`), or a unit of `points`, lies in a compacted file.

        Args:
            table: `calls` or `points`.
            name: the call's id, or the unit.
            app_id: the app.
            day: the UTC day.
            compactions: how many there have been; what was seen before the latest one is looked up again.

        Raises:
            StoreError: if a file is damaged.
        """
        with self._guard:
            if compactions != self._compactions:
                self._compactions, self._held = compactions, {}
            key = (table, app_id, day)
            if key not in self._held:
                self._held[key] = held_in(table, self.layout.day(table, app_id=app_id, day=day))
            return name in self._held[key]
