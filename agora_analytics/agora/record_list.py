"""The result of a query: a sequence of records, which can become an Arrow table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from attrs import field, frozen

from agora_analytics.core.frames import Tabular, require
from agora_analytics.core.record import Record, json_names, json_value
from agora_analytics.core.record_table import record_table
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine.pages import Meta

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@frozen(kw_only=True, repr=False)
class Rows(Record, Tabular, Sequence[T], Generic[T]):
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

    def keys(self) -> tuple[str, ...]:
        """Return the names of `to_dict()`, so that `dict(rows)` has them."""
        # FastAPI tries `dict()` first if a route has no return annotation, and it would take no rows for an empty object.
        return json_names(Rows)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    @overload
    def __getitem__(self, index: str) -> Any: ...
    def __getitem__(self, index: int | slice | str) -> Any:
        return json_value(getattr(self, index)) if isinstance(index, str) else self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[T]:
        return iter(self.records)

    def to_arrow(self) -> "pa.Table":
        """Return the records as a table: a column for each attribute, times in UTC seconds, `extra` as JSON.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed.
            DecodeError: an integer does not fit its column: more than 64 bits, or more than 53 in a column of rates.
        """
        require("pyarrow", "to_arrow()")
        return record_table(self._kind, self.records)

    def __repr__(self) -> str:
        from agora_analytics.core.record_text import as_text

        return as_text(self.records) if self.records else f"[no {self._kind.__name__}]"

    def _repr_html_(self) -> str | None:
        from agora_analytics.core.record_text import as_html

        return as_html(self.records) if self.records else None
