"""Finds the files that a crash or a fault of the disk left damaged or missing, so that a harvest fetches them again.

A damaged file moves to `_damaged`, under the path that it had, and everything that needs it becomes unfinished work:

- The row of a call moves with its damaged sessions or metrics, so that the call counts as not stored.
- A damaged unit of `points` gets a mark in `_pending`, as a unit that was incomplete when it was fetched.
- Compacted files of a day depend on each other, so they move together.
- A listing ends before its first damaged page.

`_damaged` also records what has to be fetched again, until a harvest has done so.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from attrs import define, field

from agora_analytics.errors import StoreDamaged
from agora_analytics.instants import epoch_seconds
from agora_analytics.schemas import CALL_TABLES, TABLES
from agora_analytics.store import listings, parquet_file, query
from agora_analytics.store.failures import translate_os_errors, translate_read_errors
from agora_analytics.store.layout import (
    COMPACTED,
    DAMAGED,
    LISTING,
    PENDING,
    SUFFIX,
    Layout,
    encode_id,
    parquet_names,
    partitions,
)
from agora_analytics.store.object_writer import ObjectWriter
from agora_analytics.store.records import FileDamaged, Repair
from agora_analytics.store.units import (
    call_ids,
    children_of,
    is_incomplete,
    merged_units,
    replaced_files,
    row_state,
    sibling_files,
    validate,
)

_POINTS = "points"
_File: TypeAlias = tuple[str, str]
"""A file of a day: its table and its name."""


@define
class Recovery:
    """Checks the files of one app and moves the damaged ones. The caller holds the commit lock.

    Attributes:
        layout: the layout of the store.
        writer: writes marks.
        app_id: the app.
        refetch_from: calls that began at this second (UTC epoch) or later can be fetched again; others keep the rows
            that are intact.
        verify: read every page, instead of footers and the small files only.
        moved_compacted: whether a compacted file was moved.
    """

    layout: Layout
    writer: ObjectWriter
    app_id: str
    refetch_from: float
    verify: bool
    moved_compacted: bool = False
    _found: list[FileDamaged] = field(factory=list)

    def run(self) -> Repair:
        """Check all files, and return what was found and what has to be fetched again."""
        with translate_os_errors("cannot repair", self.layout.folder):
            self._check_pending()
            for day in self._days(*CALL_TABLES):
                self._check_calls_day(day)
            for day in self._days(_POINTS):
                self._check_points_day(day)
            self._check_listings()
            return Repair(
                files=tuple(self._found),
                call_days=frozenset(_recorded_days(self.layout, self.app_id, CALL_TABLES)),
                points_days=frozenset(_recorded_days(self.layout, self.app_id, (_POINTS,))),
                listings=tuple(_recorded_listings(self.layout, self.app_id)),
            )

    def _days(self, *tables: str) -> list[str]:
        return sorted(
            {day for table in tables for day, _ in partitions(self.layout.app(table, self.app_id), "day")}
        )

    def _folder(self, table: str, day: str, *, pending: bool = False) -> Path:
        return self.layout.day(table, app_id=self.app_id, day=day, pending=pending)

    def _metadata(self, path: Path, table: str, *, whole: bool = False) -> dict[str, str] | str:
        """Return the metadata of a file, or the reason why it is damaged."""
        try:
            with translate_read_errors(path):
                if not (whole or self.verify):
                    return validate(parquet_file.read_metadata(path, table))
                metadata = validate(parquet_file.read(path, table)[1])
                if self.verify:
                    query.check_file(path)
                return metadata
        except FileNotFoundError:
            return {}
        except StoreDamaged as damage:
            cause = damage.__cause__
            return "it is empty" if not path.stat().st_size else str(cause).split("\n", 1)[0]

    def _move(self, path: Path, reason: str = "") -> None:
        """Move a file to `_damaged`, and report it if there is a reason."""
        target = self.layout.damaged(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        if reason:
            self._report(path, reason)

    def _report(self, path: Path, reason: str) -> None:
        self._found.append(FileDamaged(path=path.relative_to(self.layout.folder).as_posix(), reason=reason))

    def _mark(self, table: str, day: str, name: str) -> None:
        """Write the pending object that makes a harvest fetch a unit of `points`, or a whole call, again."""
        self.writer.write(self._folder(table, day, pending=True) / name, table, TABLES[table].empty_table())

    # ---- pending units

    def _check_pending(self) -> None:
        for table in TABLES:
            for day, folder in partitions(self.layout.app(table, self.app_id, pending=True), "day"):
                for name in parquet_names(folder):
                    path = Path(folder, name)
                    metadata = self._metadata(path, table, whole=True)
                    if isinstance(metadata, str):
                        self._report(path, metadata)
                        if table in {"calls", _POINTS}:  # a mark has no content
                            self._mark(table, day, name)
                        else:
                            self._move(path)

    # ---- calls

    def _check_calls_day(self, day: str) -> None:
        present = {table: set(parquet_names(self._folder(table, day))) for table in CALL_TABLES}
        metadata: dict[_File, dict[str, str]] = {}
        damage: dict[_File, str] = {}
        for table, name in [(table, name) for table, names in present.items() for name in sorted(names)]:
            # rows are read whole, because they decide what is fetched; they are small before a compaction
            whole = table == "calls" and not name.startswith(COMPACTED)
            found = self._metadata(self._folder(table, day) / name, table, whole=whole)
            if isinstance(found, str):
                damage[table, name] = found
            else:
                metadata[table, name] = found
        damage |= self._missing_compacted(day, present, metadata)
        compacted = self._compacted_damage(day, present, damage)
        damage = compacted | damage
        for (table, name), values in metadata.items():
            if table == "calls" and not name.startswith(COMPACTED):
                self._check_row(day, name, values, present, damage)
        # the calls last, because their compacted file names the others: a repair may be interrupted
        for table, name in sorted(damage, key=lambda file: (list(CALL_TABLES)[::-1].index(file[0]), file[1])):
            reason = damage[table, name]
            path = self._folder(table, day) / name
            if not path.exists():
                self._report(path, reason)
                continue
            if table == "calls" and not name.startswith(COMPACTED):
                self._mark("calls", day, name)
            self._move(path, reason)

    def _compacted_damage(
        self, day: str, present: Mapping[str, set[str]], damage: Mapping[_File, str]
    ) -> dict[_File, str]:
        """Return the compacted files to move. All of a day move together if its calls are fetched again."""
        moved = {file: reason for file, reason in damage.items() if file[1].startswith(COMPACTED)}
        self.moved_compacted |= bool(moved)
        if any(table == "calls" for table, _ in moved) or (
            moved and epoch_seconds(day, now=0) >= self.refetch_from
        ):
            for table, names in present.items():
                for name in [name for name in names if name.startswith(COMPACTED)]:
                    moved.setdefault((table, name), "")
                    names.remove(name)
        return moved

    def _check_row(
        self,
        day: str,
        name: str,
        metadata: Mapping[str, str],
        present: Mapping[str, Collection[str]],
        damage: Mapping[_File, str],
    ) -> None:
        """Move the row of a call if one of the call's units is damaged or missing."""
        children = {(table, f"{encode_id(unit)}{SUFFIX}") for table, unit in children_of(metadata)}
        missing = {(table, unit) for table, unit in children if unit not in present[table]}
        if any(name.startswith(COMPACTED) for table in ("sessions", "metrics") for name in present[table]):
            missing = set()  # a compaction was interrupted, so the units may be in its files
        if not missing and children.isdisjoint(damage):
            return
        row = self._folder("calls", day) / name
        created, finished = row_state(row)
        if created is not None and created < self.refetch_from:
            return
        for table, unit in sorted(missing):
            self._report(self._folder(table, day) / unit, "it is missing")
        if not finished:
            self._mark("calls", day, name)
        self._move(row)

    def _missing_compacted(
        self,
        day: str,
        present: Mapping[str, Collection[str]],
        metadata: Mapping[_File, Mapping[str, str]],
    ) -> dict[_File, str]:
        """Return the compacted files of a day that others name and that do not exist."""
        known = {table: set(names) for table, names in present.items()}
        for (table, _), values in metadata.items():
            known[table] |= replaced_files(values)  # an interrupted compaction has not replaced the calls
        missing = {
            (table, name): "it is missing"
            for (owner, _), values in metadata.items()
            if owner == "calls"
            for table, name in sibling_files(values)
            if name not in known[table]
        }
        others = [
            self._folder(table, day) / name
            for table, name in metadata
            if table == "sessions" and name.startswith(COMPACTED)
        ]
        if others and not any(name.startswith(COMPACTED) for name in present["calls"]):
            rows = {name.removesuffix(SUFFIX) for name in present["calls"]}
            with translate_os_errors("cannot read", self._folder("sessions", day)):
                if any(encode_id(call) not in rows for path in others for call in call_ids(path)):
                    missing["calls", f"{COMPACTED}*{SUFFIX}"] = "it is missing"
        return missing

    # ---- points

    def _check_points_day(self, day: str) -> None:
        folder = self._folder(_POINTS, day)
        compacted, units, damaged = list[Path](), set[str](), False
        for name in parquet_names(folder):
            path = folder / name
            metadata = self._metadata(path, _POINTS)
            if name.startswith(COMPACTED):
                compacted.append(path)
                damaged |= isinstance(metadata, str)
                if isinstance(metadata, str):
                    self._report(path, metadata)
                else:
                    units |= merged_units(metadata)
            elif isinstance(metadata, str):
                self._mark(_POINTS, day, name)
                self._move(path, metadata)
            elif is_incomplete(metadata):
                self._require_mark(day, name)
        if damaged:
            self.moved_compacted = True
            for unit in units:
                self._mark(_POINTS, day, f"{encode_id(unit)}{SUFFIX}")
            for path in reversed(compacted):  # the first file names the units, so it moves last
                self._move(path)

    def _require_mark(self, day: str, name: str) -> None:
        mark = self._folder(_POINTS, day, pending=True) / name
        if not mark.exists():
            self._report(mark, "it is missing")
            self._mark(_POINTS, day, name)

    # ---- listings

    def _check_listings(self) -> None:
        for (start, end), numbers in listings.page_numbers(self.layout.listings(self.app_id)).items():
            usable = True
            for position, seq in enumerate(sorted(numbers)):
                path = self.layout.listing(self.app_id, start, end, seq)
                if usable and position != seq:
                    self._report(self.layout.listing(self.app_id, start, end, position), "it is missing")
                    usable = False
                metadata = self._metadata(path, "calls", whole=True) if usable else ""
                if isinstance(metadata, str):
                    usable = False
                    self._move(path, metadata)


def forget(layout: Layout, app_id: str, repaired: Repair) -> None:
    """Delete the damaged files whose rows were fetched again."""
    app = f"app_id={encode_id(app_id)}"
    root = layout.folder / DAMAGED
    for tables, days in ((CALL_TABLES, repaired.call_days), ((_POINTS,), repaired.points_days)):
        for folder in [
            base / table / app / f"day={day}"
            for base in (root, root / PENDING)
            for table in tables
            for day in days
        ]:
            shutil.rmtree(folder, ignore_errors=True)
    for (start, end), numbers in listings.page_numbers(root / LISTING / app).items():
        if (start, end) in repaired.listings:
            for seq in numbers:
                layout.damaged(layout.listing(app_id, start, end, seq)).unlink(missing_ok=True)


def _recorded_days(layout: Layout, app_id: str, tables: Collection[str]) -> Iterator[str]:
    root = layout.folder / DAMAGED
    for base in (root, root / PENDING):
        for table in tables:
            yield from (day for day, _ in partitions(base / table / f"app_id={encode_id(app_id)}", "day"))


def _recorded_listings(layout: Layout, app_id: str) -> Iterator[tuple[int, int]]:
    folder = layout.folder / DAMAGED / LISTING / f"app_id={encode_id(app_id)}"
    yield from sorted(listings.page_numbers(folder))
