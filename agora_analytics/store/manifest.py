"""Which units the row of a call stands for, kept beside the row in its file."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from agora_analytics.store import parquet_file
from agora_analytics.store.failures import damaged
from agora_analytics.store.protocol import Published

_UNITS = "agora_analytics.units"


def notes_of(children: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return what is kept beside the row of a call: its units, each as (table, unit)."""
    return {_UNITS: json.dumps(children)}


def published_state(row: Path) -> Published | None:
    """Return what a call's row stands for; None if there is no such row.

    Raises:
        StoreError: if the row's file is damaged.
    """
    try:
        rows, notes = parquet_file.read(row, "calls")
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as problem:
        raise damaged(row, problem) from problem
    children = json.loads(notes.get(_UNITS, "[]"))
    return Published(
        metrics=tuple(unit for table, unit in children if table == "metrics"),
        finished=all(rows.column("finished").to_pylist()),
    )
