"""The Arrow table of a class of records. Needs pyarrow when it is used."""

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agora_analytics.core.arrow_columns import arrow_column, json_cell
from agora_analytics.core.record import Record, json_types

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS = frozenset({"ts", "since", "until", "window_start_ts", "window_end_ts"})
FRACTIONAL_SECONDS = frozenset({"opens_at"})


def record_table(kind: type[Any], records: Sequence[Any], *, without: Container[str] = ()) -> "pa.Table":
    """Return records as a table: a column for each value of `to_dict()`, times in UTC, `extra` as JSON. Needs pyarrow.

    Args:
        kind: the class of the records.
        records: the records.
        without: values that have no column.

    Raises:
        DecodeError: an integer does not fit its column: more than 64 bits, or more than 53 in a column of rates.
    """
    import pyarrow as pa

    types = json_types(kind)
    schema = pa.schema((name, _column_type(name, types[name])) for name in types if name not in without)
    columns = [
        arrow_column(
            field.name, [_cell(field.name, getattr(each, field.name)) for each in records], field.type
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def pages_table(pages: Sequence[Any], *, kind: type[Any]) -> "pa.Table":
    """Return the records of pages as a table; see `record_table`."""
    return record_table(kind, [record for page in pages for record in page.records])


def _column_type(name: str, hint: Any) -> "pa.DataType":
    """Return the type of a column: float if a value may be one, int for counts, a struct for a record, otherwise text."""
    import pyarrow as pa

    if name in SECONDS:
        return pa.timestamp("s", "UTC")
    if name in FRACTIONAL_SECONDS:
        return pa.timestamp("ms", "UTC")
    kinds = {float: pa.float64(), bool: pa.bool_(), int: pa.int64(), datetime: pa.timestamp("ms", "UTC")}
    members = {getattr(each, "__supertype__", each) for each in getattr(hint, "__args__", (hint,))}
    for each in members:
        if isinstance(each, type) and issubclass(each, Record):
            return pa.struct((inner, _column_type(inner, kind)) for inner, kind in json_types(each).items())
    return next((column for each, column in kinds.items() if each in members), pa.string())


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return json_cell(value)
    return round(value * 1000) if name in FRACTIONAL_SECONDS else value
