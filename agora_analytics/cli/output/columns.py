"""What a listing is made of: its columns as programs get them, and what a table for people shows of a row."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from attrs import evolve, frozen

from agora_analytics.instants import iso

Row = Mapping[str, Any]
"""One row by column name; times are UTC epoch seconds, rates fractions of 1."""

NOTHING = "-"


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"
    TEXTS = "texts"
    OBJECT = "object"


@frozen
class Shown:
    """A column of a table for people: its title, and the text that it shows of a row.

    Attributes:
        title: what stands above.
        text: what it shows of a row.
        right: numbers stand to the right.
        least: a text may be cut to so many characters where the terminal is narrow; 0: never.
    """

    title: str
    text: Callable[[Row], str]
    right: bool = False
    least: int = 0


@frozen(kw_only=True)
class Listing:
    """A kind of rows.

    Attributes:
        name: what the rows are, as in "12 calls".
        columns: the columns, in order, as csv and Parquet have them.
        shown: what a table shows; where not all fit, the last ones are left out.
    """

    name: str
    columns: Mapping[str, Kind]
    shown: tuple[Shown, ...]

    def with_columns(self, columns: Mapping[str, Kind]) -> "Listing":
        """Return the same with other columns for programs."""
        return evolve(self, columns=columns)


def number(name: str, decimals: int = 0) -> Callable[[Row], str]:
    """Return what shows a number with thousands separated."""

    def text(row: Row) -> str:
        value = row.get(name)
        return NOTHING if value is None else f"{value:,.{decimals}f}"

    return text


def percent(name: str) -> Callable[[Row], str]:
    """Return what shows a fraction of 1 as percent."""

    def text(row: Row) -> str:
        value = row.get(name)
        return NOTHING if value is None else f"{value:.2%}".replace("%", " %")

    return text


def moment(name: str) -> Callable[[Row], str]:
    """Return what shows a time: `2026-11-20 08:00:00Z`."""

    def text(row: Row) -> str:
        value = row.get(name)
        return NOTHING if value is None else iso(value).replace("T", " ")

    return text


def length(start: str, end: str, finished: str) -> Callable[[Row], str]:
    """Return what shows the time between two columns as a clock does, with a `+` while it goes on."""

    def text(row: Row) -> str:
        return as_clock(row[end] - row[start]) + ("" if row[finished] else "+")

    return text


def as_clock(seconds: float) -> str:
    """Return a length of time as `12:30` (minutes and seconds), or `1:02:30` from an hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plain(name: str) -> Callable[[Row], str]:
    """Return what shows a value as it is, on one line."""

    def text(row: Row) -> str:
        value = row.get(name)
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        return NOTHING if value is None or value == "" else " ".join(str(value).split())

    return text


@contextmanager
def saying_what_came(count: Callable[[], int], name: str, where: str = "") -> Iterator[None]:
    """Let an error say how many rows came before it: they have been written, and were paid for."""
    try:
        yield
    except Exception as error:
        if rows := count():
            error.add_note(f"{rows:,} {name} came before that{where}")
        raise
