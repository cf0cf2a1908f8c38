"""Which units of work a store contains: as single files, inside compacted files, or listed by the row of a call."""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agora_analytics.errors import StoreDamaged
from agora_analytics.schemas import CALL_TABLES, TABLES
from agora_analytics.store import parquet_file
from agora_analytics.store.failures import retry_if_moved, translate_os_errors, translate_read_errors
from agora_analytics.store.layout import COMPACTED, Layout, parquet_names, partitions, unit_name
from agora_analytics.store.records import Published, Units

_CHILDREN = "agora_analytics.units"
_COMPACTED_UNITS = "agora_analytics.contains"
_SIBLINGS = "agora_analytics.compacted_with"
_REPLACED = "agora_analytics.replaces"
_INCOMPLETE = "agora_analytics.incomplete"


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
    """Return the file metadata for the row and the sessions of a call: its units, each as (table, unit)."""
    return {_CHILDREN: json.dumps(children)}


def incomplete_metadata() -> dict[str, str]:
    """Return the file metadata for rows that have to be fetched again."""
    return {_INCOMPLETE: "true"}


def is_incomplete(metadata: Mapping[str, str]) -> bool:
    """Return whether the rows of a file have to be fetched again."""
    return _INCOMPLETE in metadata


def children_of(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the units of a call, each as (table, unit), from the metadata of its row or its sessions."""
    return _pairs(metadata.get(_CHILDREN, "[]"))


def metrics_named_by(sessions: Path) -> set[str]:
    """Return the units of metrics that were published with a file of sessions; none if there is no such file."""
    with suppress(FileNotFoundError), translate_read_errors(sessions):
        children = children_of(parquet_file.read_metadata(sessions, "sessions"))
        return {unit for table, unit in children if table == "metrics"}
    return set()


def validate(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a file, which the functions of this module can read then. Raise ValueError or TypeError."""
    for read in (children_of, merged_units, replaced_files, sibling_files):
        read(metadata)
    return dict(metadata)


def row_state(row: Path) -> tuple[float | None, bool]:
    """Return when the call of a row began (UTC epoch seconds), and whether it was finished; (None, False) if unknown."""
    try:
        with translate_read_errors(row):
            rows, _ = parquet_file.read(row, "calls")
            (call,) = rows.select(["created_ts", "finished"]).to_pylist()
            return call["created_ts"].timestamp(), bool(call["finished"])
    except (FileNotFoundError, StoreDamaged, AttributeError):
        return None, False


def published_state(row: Path) -> Published | None:
    """Return the published state of a call from the file of its row; None if there is no such file."""
    try:
        with translate_read_errors(row):
            rows, metadata = parquet_file.read(row, "calls")
            children = children_of(metadata)
    except FileNotFoundError:
        return None
    return Published(
        metrics=tuple(unit for table, unit in children if table == "metrics"),
        finished=all(rows.column("finished").to_pylist()),
    )


def compacted_metadata(units: Iterable[str]) -> dict[str, str]:
    """Return the file metadata for a compacted file of `points`: the units that were merged into it."""
    return {_COMPACTED_UNITS: json.dumps(sorted(units))}


def merged_units(metadata: Mapping[str, str]) -> set[str]:
    """Return the units that were merged into a compacted file of `points`."""
    return set(json.loads(metadata.get(_COMPACTED_UNITS, "[]")))


def compaction_metadata(replaced: Iterable[Path], siblings: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the file metadata by which a missing file of a compacted day is found.

    Args:
        replaced: the files of the day's table before the compaction.
        siblings: for `calls`, the compacted files of the other tables, each as (table, name).
    """
    old = [path.name for path in replaced if path.name.startswith(COMPACTED)]
    return {_REPLACED: json.dumps(old), _SIBLINGS: json.dumps(list(siblings))}


def replaced_files(metadata: Mapping[str, str]) -> set[str]:
    """Return the names of the compacted files that a compacted file replaced."""
    return set(json.loads(metadata.get(_REPLACED, "[]")))


def sibling_files(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the compacted files of the other tables, each as (table, name), from the metadata of `calls`."""
    return _pairs(metadata.get(_SIBLINGS, "[]"))


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [(table, name) for table, name in json.loads(text)]
    if unknown := {table for table, _ in pairs} - set(CALL_TABLES):
        raise ValueError(f"it names a table that does not exist: {unknown.pop()}")
    return pairs


def compacted_names(table: str, folder: Path | str) -> set[str]:
    """Return the names in the compacted files of a day's folder: call ids for `calls`, units for `points`."""
    compacted: set[str] = set()
    for name in parquet_names(folder):
        if name.startswith(COMPACTED):
            path = Path(folder, name)
            if table == "calls":
                compacted |= call_ids(path)
            else:
                with translate_read_errors(path):
                    compacted |= merged_units(parquet_file.read_metadata(path, table))
    return compacted


def call_ids(path: Path) -> set[str]:
    """Return the ids of the calls in a file."""
    with translate_read_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        return set(file.read(columns=["call_id"], use_threads=False).column(0).to_pylist())


class CompactionIndex:
    """Caches the contents of compacted files until they change. Thread-safe.

    A writer consults it so that a harvest that began before a compaction does not write the same data again.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._guard = threading.Lock()
        self._changes: dict[str, int] = {}
        self._names: dict[str, dict[tuple[str, str], set[str]]] = {}

    def contains(self, table: str, name: str, *, app_id: str, day: str, changes: int) -> bool:
        """Return whether a compacted file contains a call (`calls`) or a unit of `points`.

        `changes` is the number of changes to the app's compacted files so far; a new number empties its cache.
        """
        with self._guard:
            if changes != self._changes.get(app_id):
                self._changes[app_id], self._names[app_id] = changes, {}
            names = self._names[app_id]
            if (table, day) not in names:
                names[table, day] = compacted_names(table, self._layout.day(table, app_id=app_id, day=day))
            return name in names[table, day]
