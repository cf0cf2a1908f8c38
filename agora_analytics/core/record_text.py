"""How records look in a terminal and in a notebook."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from agora_analytics.core.record import json_names
from agora_analytics.core.record_table import FRACTIONAL_SECONDS, SECONDS

_ROWS = 20
_WIDTH = 120
_CELL = 36


def as_text(records: Sequence[Any]) -> str:
    """Return the first records as a table of text, at most 120 characters wide."""
    names, rows = _shown(records)
    rows = [[_cut(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    fitting = 1
    while fitting < len(names) and sum(widths[: fitting + 1]) + 2 * fitting <= _WIDTH:
        fitting += 1
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths[:fitting], strict=False)).rstrip()
        for row in (names, *rows)
    ]
    left_out = names[fitting:]
    return "\n".join([*lines, *_notes(records, f"more columns: {', '.join(left_out)}" if left_out else "")])


def as_html(records: Sequence[Any]) -> str:
    """Return the first records as an HTML table, for a notebook."""
    names, rows = _shown(records)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(records, ""))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _notes(records: Sequence[Any], columns: str) -> list[str]:
    kind = type(records[0]).__name__
    count = f"{len(records):,} x {kind}" + (f", the first {_ROWS} shown" if len(records) > _ROWS else "")
    return [f"[{'; '.join(filter(None, (count, columns)))}]"]


def _shown(records: Sequence[Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns that have a value in the first records, and their cells."""
    first = [record.to_dict() for record in records[:_ROWS]]
    names = [name for name in json_names(type(records[0])) if any(_has_value(row.get(name)) for row in first)]
    return names, [[_text(name, row.get(name)) for name in names] for row in first]


def _has_value(value: Any) -> bool:
    return value is not None and value != "" and value != {} and value != []


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    is_time = name in SECONDS | FRACTIONAL_SECONDS or name.endswith("_ts")
    if is_time and isinstance(value, int | float):
        return time_text(value, "%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value):,} values"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def time_text(seconds: float, layout: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a time in UTC as text; the number if it is not the time of a calendar, since a server may send any."""
    try:
        return format(datetime.fromtimestamp(seconds, UTC), layout)
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def visible(text: str) -> str:
    """Return a text with escapes, as `repr` writes them, for characters that change a terminal or are not seen."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _cut(cell: str) -> str:
    line = visible(" ".join(cell.split()))
    return line if len(line) <= _CELL else f"{line[: _CELL - 1]}…"
