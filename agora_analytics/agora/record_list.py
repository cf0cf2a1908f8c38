"""The result of a query: a sequence of records, which can become an Arrow table."""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints, overload

from attrs import asdict, field, fields, frozen

from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_TIMES = frozenset({"ts", "since", "until", "window_start_ts", "window_end_ts"})


@frozen(kw_only=True)
class Rows(Sequence[T], Generic[T]):
    """The records of one or several responses, in order.

    Attributes:
        records: the records.
        meta: where the records came from, one for each request.
        skipped: the records of the responses that could not be read. They are not among `records`.

    Example:
        rows = await client.insights.usage("userCount", "7d")
        print(rows[0].at, rows[0].value, len(rows.meta))
    """

    records: tuple[T, ...]
    meta: tuple[Meta, ...] = field(repr=False)
    _kind: type[T] = field(repr=False)
    skipped: tuple[SkippedRecord, ...] = ()

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[T]:
        return iter(self.records)

    def to_arrow(self) -> "pa.Table":
        """Return the records as a table: a column for each attribute, times in UTC seconds, `extra` as JSON.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed.
        """
        if find_spec("pyarrow") is None:
            raise ConfigurationError("to_arrow() needs pyarrow: pip install 'agora-analytics[arrow]'")
        import pyarrow as pa

        kinds = {int: pa.int64(), str: pa.string(), float: pa.float64()}
        schema = pa.schema(
            (name, pa.timestamp("s", "UTC") if name in _TIMES else kinds[_arrow_kind(hint)])
            for name, hint in _hints(self._kind).items()
        )
        return pa.Table.from_pylist([_row(record) for record in self.records], schema=schema)


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {attribute.name: hints[attribute.name] for attribute in fields(kind)}


def _arrow_kind(hint: Any) -> type:
    """Return the type of a column: float if a value may be one, int for counts, otherwise text."""
    members = {getattr(member, "__supertype__", member) for member in getattr(hint, "__args__", (hint,))}
    if float in members:
        return float
    return int if int in members else str


def _row(record: Any) -> dict[str, Any]:
    row = asdict(record, recurse=False)
    row["extra"] = json.dumps(row["extra"], separators=(",", ":"), sort_keys=True) if row["extra"] else None
    return row
