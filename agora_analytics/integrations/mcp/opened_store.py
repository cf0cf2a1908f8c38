"""The store that a server reads, opened once. Each query sees its current files."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.store import open_store
from agora_analytics.store.sql_guard import quoted, spellings
from agora_analytics.store.stream import reader

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

Row = dict[str, Any]


class OpenedStore:
    """A store with the queries of tools.

    Attributes:
        store: a folder or a bucket.
    """

    def __init__(self, store: "ParquetStore | BucketStore") -> None:
        self.store = store

    @classmethod
    def open(cls, place: str) -> "OpenedStore":
        """Open the store. The errors are those of `open_store`."""
        return cls(open_store(place))

    def rows(self, text: str) -> list[Row]:
        """Return the rows of a query of this package."""
        rows: list[Row] = reader(self.store)(text).to_pylist()
        return rows

    def without_path(self, text: str) -> str:
        """Return a message with `the store` in place of the store's path, which may have the name of a person."""
        path = getattr(self.store, "path", None)
        if path is None:
            return text
        for spelling in sorted({*spellings(path), str(path)}, key=len, reverse=True):
            text = text.replace(spelling, "<store>")
        return text


def all_of(*conditions: str | None) -> str:
    """Return the SQL that all conditions are true; None is no condition."""
    return " AND ".join(each for each in conditions if each) or "true"


def equals(column: str, value: str | None) -> str | None:
    """Return the SQL that a column has a value; None without a value."""
    return None if value is None else f"{column} = {quoted(value)}"


def matches(column: str, pattern: str | None) -> str | None:
    """Return the SQL that a column matches a pattern in which `*` stands for any text.

    Example:
        >>> matches("uid", "7"), matches("cname", "stand*")
        ("uid = '7'", "cname LIKE 'stand%' ESCAPE '!'")
    """
    if pattern is None or "*" not in pattern:
        return equals(column, pattern)
    text = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_").replace("*", "%")
    return f"{column} LIKE {quoted(text)} ESCAPE '!'"


def timestamp(moment: Instant, name: str, *, now: float) -> str:
    """Return a time of a caller as SQL."""
    return f"make_timestamptz({round(epoch_seconds(moment, now=now, name=name) * 1e6)})"


def time_text(moment: datetime | None) -> str | None:
    """Return a time of a row as ISO 8601 in UTC; milliseconds only if it has some.

    Example:
        >>> time_text(datetime(2026, 11, 20, 8, tzinfo=UTC))
        '2026-11-20T08:00:00Z'
    """
    if moment is None:
        return None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
