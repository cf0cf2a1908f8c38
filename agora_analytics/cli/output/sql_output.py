"""Rows of a query as a table for people, and as CSV and JSON for programs."""

import base64
import csv
import itertools
import json
import math
from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from agora_analytics.store.query import Result

_WIDEST = (60, 32, 20, 12)  # characters of a text that a table shows: the first with which all columns fit
_BETWEEN = 3  # characters between two columns
_EMPTY = "-"
_DECIMALS = 4


def write_csv(file: TextIO, result: "Result") -> None:
    """Write a header and every row. Null is empty; times are ISO 8601, those with a zone in UTC with Z."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([_in_csv(value) for value in row] for row in result)


def write_json(file: TextIO, result: "Result") -> None:
    """Write an array of objects, one a line. NaN and null are null; a column name that comes again gets a number."""
    names = _distinct(result.columns)
    file.write("[")
    for number, row in enumerate(result):
        file.write(",\n " if number else "")
        plain = dict(zip(names, map(_in_json, row), strict=True))
        file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False))
    file.write("]\n")


def show_table(console: Console, result: "Result", *, most: int, indent: int = 0, told: bool = True) -> None:
    """Write a table as wide as the terminal, numbers to the right; say what is not shown.

    Args:
        console: where to.
        result: the rows.
        most: rows to show at most; 0: all.
        indent: blanks in front of each line.
        told: whether to say how many rows there are.
    """
    rows = list(itertools.islice(result, most or None))
    decimals = [_decimals(column) for column in zip(*rows, strict=True)]
    shown = [list(map(_in_table, row, decimals)) for row in rows]
    kinds = [column.type for column in result.arrow().schema]
    names = result.columns
    natural = [max(len(name), *(len(row[place]) for row in shown), 1) for place, name in enumerate(names)]
    # A number or a time with its end cut off would be a lie; a text is not.
    least = [
        len(name) if _is_text(kind) else width
        for name, kind, width in zip(names, kinds, natural, strict=True)
    ]
    widths = _widths(natural, least, console.width - indent if console.is_terminal else None)
    fitting = _fitting(widths, console.width - indent) if console.is_terminal else len(names)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for name, is_number in itertools.islice(zip(names, map(_is_number, kinds), strict=True), fitting):
        table.add_column(
            Text(name), justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis"
        )
    for row in shown:
        table.add_row(*map(_cut, row[:fitting], widths))
    # Where nothing is known of the width, nothing is cut.
    width = None if console.is_terminal else sum(widths) + _BETWEEN * len(widths) + indent
    console.print(Padding(table, (0, 0, 0, indent), expand=False), width=width)
    if told:
        console.print(_told(len(shown), len(result), fitting, len(names)), style="faint")


def _told(shown: int, rows: int, fitting: int, columns: int) -> str:
    told = f"{rows:,} row{'' if rows == 1 else 's'}"
    if shown < rows:
        told += f", the first {shown:,} shown (--rows 0, --format csv: all)"
    if fitting < columns:
        told += f"; {fitting} of {columns} columns fit (--format csv: all)"
    return told


def _widths(natural: list[int], least: list[int], room: int | None) -> list[int]:
    """Return the width of each column: texts are cut shorter step by step until all columns fit, or cannot."""
    widths = natural
    for widest in _WIDEST:
        widths = [min(width, max(widest, low)) for width, low in zip(natural, least, strict=True)]
        if room is None or _fitting(widths, room) == len(widths):
            break
    return widths


def _cut(text: str, width: int) -> Text:
    return Text(text if len(text) <= width else text[: width - 1] + "…")


def _fitting(widths: list[int], width: int) -> int:
    """Return how many columns fit, at least one."""
    ends = itertools.accumulate(each + _BETWEEN for each in widths)
    return max(1, sum(end - _BETWEEN <= width for end in ends))


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as kinds

    return not (_is_number(kind) or kinds.is_temporal(kind))


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _in_json(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return _moment(value)
        case date() | time():
            return value.isoformat()
        case dict():
            return {str(key): _in_json(item) for key, item in value.items()}
        case bytes():
            return base64.b64encode(value).decode()
        case tuple() if hasattr(value, "_fields"):  # an interval
            return str(value)
        case list() | tuple():
            return [_in_json(item) for item in value]
        case _:
            return str(value)


def _in_csv(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float() | Decimal() | str():
            return value
        case _:
            plain = _in_json(value)
            return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _decimals(column: tuple[Any, ...]) -> int:
    """Return how many decimals the numbers of a column need, at most four, so that their points stand in line."""
    fractions = [
        f"{value:.{_DECIMALS}f}".rstrip("0").partition(".")[2] for value in column if isinstance(value, float)
    ]
    return max(map(len, fractions), default=0)


def _in_table(value: Any, decimals: int) -> str:
    match value:
        case None:
            return _EMPTY
        case float():
            return f"{value:.{decimals}f}"
        case datetime():
            return _moment(value).replace("T", " ")
        case _:
            return " ".join(str(_in_csv(value)).split())


def _distinct(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct
