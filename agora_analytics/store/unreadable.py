"""Remembers the records that harvests could not read, one JSON file for each unit that they belong to."""

import json
from collections.abc import Sequence
from pathlib import Path

from attrs import asdict

from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import Layout, encode_id, stored_id
from agora_analytics.store.object_writer import write_text
from agora_analytics.store.records import Unreadable

_SUFFIX = ".json"


def read(layout: Layout, app_id: str) -> dict[str, tuple[Unreadable, ...]]:
    """Return the remembered records by unit, in the form of `stored_id`."""
    folder = layout.skipped(app_id)
    with translate_os_errors("cannot read", folder):
        paths = sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
        return {path.name.removesuffix(_SUFFIX): _read_file(path) for path in paths}


def write(layout: Layout, app_id: str, unit: str, records: Sequence[Unreadable], *, durable: bool) -> None:
    """Replace the remembered records of a unit; without records, forget the unit."""
    target = layout.skipped(app_id) / f"{encode_id(unit)}{_SUFFIX}"
    with translate_os_errors("cannot write", target):
        if not records:
            target.unlink(missing_ok=True)
            return
        write_text(target, encode(records), durable=durable)


def encode(records: Sequence[Unreadable]) -> str:
    """Return the text of a file."""
    return json.dumps([asdict(record) for record in records])


def _read_file(path: Path) -> tuple[Unreadable, ...]:
    return decode(path.name, path.read_text("utf-8", "replace"))


def decode(file: str, text: str) -> tuple[Unreadable, ...]:
    """Return the records in a file, given its name and its text."""
    name = stored_id(file.removesuffix(_SUFFIX))
    try:
        return tuple(Unreadable(**record) for record in json.loads(text))
    except (ValueError, TypeError):  # a crash cut the file; its name says which unit it was about
        return (Unreadable(unit=name, record=name, reason="unknown, because the note of it is damaged"),)
