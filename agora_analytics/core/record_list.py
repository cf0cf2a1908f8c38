"""A list of records that shows itself as a table and can become one."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from agora_analytics.core.frames import Tabular, require
from agora_analytics.core.record import Record, json_text, json_value
from agora_analytics.core.record_table import pages_table

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Records(Tabular, list[T]):
    """A list of records: what `collect()` and `quota()` return.

    It is a `list` in every way; FastAPI returns it as a JSON array. It also prints as a table, and becomes one with
    `to_arrow()`, `to_pandas()` and `to_polars()`, with the columns of the listing that it comes from.

    Example:
        calls = await client.calls("6h", "now").collect()
        calls.to_pandas().groupby("cname").size()
    """

    def __init__(self, records: Iterable[T] = (), *, table: "Callable[[Sequence[Any]], pa.Table]") -> None:
        super().__init__(records)
        self._table = table

    @property
    def records(self) -> Sequence[T]:
        """The list itself, as `Page` and `Rows` have it."""
        return self

    def to_arrow(self) -> "pa.Table":
        """Return the records as an Arrow table with the columns of their listing.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed.
            DecodeError: an integer does not fit its column.
        """
        require("pyarrow", "to_arrow()")
        return self._table([self])

    def to_dicts(self) -> list[Any]:
        """Return the records as dicts of JSON types; see `Record.to_dict`."""
        return [json_value(record) for record in self]

    def to_json(self) -> str:
        """Return the records as a JSON array in one line of text."""
        return json_text(self.to_dicts())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), list(self), self._table)

    def __repr__(self) -> str:
        if not self._is_table():
            return super().__repr__()
        from agora_analytics.core.record_text import as_text

        return as_text(self)

    def _repr_html_(self) -> str | None:
        if not self._is_table():
            return None
        from agora_analytics.core.record_text import as_html

        return as_html(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(list[get_args(source) or (Any,)])  # type: ignore[misc] # only known at run time

    def _is_table(self) -> bool:
        return bool(self) and all(isinstance(each, Record) for each in self)


def records_of(kind: type[T], records: Iterable[T]) -> Records[T]:
    """Return a list of records whose table has a column for each value of `to_dict()`."""
    return Records(records, table=partial(pages_table, kind=kind))


def _restored(kind: type[Records[T]], records: list[T], table: Callable[[Sequence[Any]], Any]) -> Records[T]:
    return kind(records, table=table)
