"""Which units of work a store contains: as single files, inside compacted files, or listed by the row of a call."""

import json
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agora_analytics.schemas import TABLES
from agora_analytics.store import parquet_file
from agora_analytics.store.failures import retry_if_moved, translate_os_errors, translate_read_errors
from agora_analytics.store.layout import COMPACTED, Layout, parquet_names, partitions, unit_name
from agora_analytics.store.protocol import Published, Units

_CHILDREN = "agora_analytics.units"
_COMPACTED_UNITS = "agora_analytics.contains"


def stored_units(layout: Layout, app_id: str) -> Units:
    """Return the stored units of an app.

    The order of the reads matters, because a unit may move meanwhile from pending to live to a compacted file.
    """
    with translate_os_errors("cannot list", layout.folder):
        pending = {table: _single_units(layout.app(table, app_id, pending=True)) for table in TABLES}
        live = {table: _single_units(layout.app(table, app_id)) for table in TABLES}

    def read_compacted() -> dict[str, str]:
        days = partitions(layout.app("points", app_id), "day")
        return {unit: day for day, folder in days for unit in compacted_names("points", folder)}

    compacted = retry_if_moved(read_compacted)
    return Units(live=live | {"points": compacted | live["points"]}, pending=pending)


def _single_units(app: Path) -> dict[str, str]:
    return {
        unit_name(name): day
        for day, folder in partitions(app, "day")
        for name in parquet_names(folder)
        if not name.startswith(COMPACTED)
    }


def call_metadata(children: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the file metadata for the row of a call: its units, each as (table, unit)."""
    return {_CHILDREN: json.dumps(children)}


def published_state(row: Path) -> Published | None:
    """Return the published state of a call from the file of its row; None if there is no such file."""
    try:
        with translate_read_errors(row):
            rows, metadata = parquet_file.read(row, "calls")
    except FileNotFoundError:
        return None
    children = json.loads(metadata.get(_CHILDREN, "[]"))
    return Published(
        metrics=tuple(unit for table, unit in children if table == "metrics"),
        finished=all(rows.column("finished").to_pylist()),
    )


def compacted_metadata(units: Iterable[str]) -> dict[str, str]:
    """Return the file metadata for a compacted file of `points`: the units that were merged into it."""
    return {_COMPACTED_UNITS: json.dumps(sorted(units))}


def compacted_names(table: str, folder: Path | str) -> set[str]:
    """Return the names in the compacted files of a day's folder: call ids for `calls`, units for `points`."""
    compacted: set[str] = set()
    for name in parquet_names(folder):
        if name.startswith(COMPACTED):
            path = Path(folder, name)
            compacted |= _call_ids(path) if table == "calls" else _merged_units(path)
    return compacted


def _call_ids(path: Path) -> set[str]:
    with translate_read_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        return set(file.read(columns=["call_id"], use_threads=False).column(0).to_pylist())


def _merged_units(path: Path) -> set[str]:
    with translate_read_errors(path):
        metadata = pq.read_metadata(path).metadata or {}
    return set(json.loads(metadata.get(_COMPACTED_UNITS.encode(), b"[]")))


class CompactionIndex:
    """Caches the contents of compacted files until the next compaction. Thread-safe.

    A writer consults it so that a harvest that began before a compaction does not write the same data again.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._guard = threading.Lock()
        self._compactions = -1
        self._names: dict[tuple[str, str, str], set[str]] = {}

    def contains(self, table: str, name: str, *, app_id: str, day: str, compactions: int) -> bool:
        """Return whether a compacted file contains a call (`calls`) or a unit of `points`.

        `compactions` is the number of compactions so far; a new number empties the cache.
        """
        with self._guard:
            if compactions != self._compactions:
                self._compactions, self._names = compactions, {}
            key = (table, app_id, day)
            if key not in self._names:
                self._names[key] = compacted_names(table, self._layout.day(table, app_id=app_id, day=day))
            return name in self._names[key]
