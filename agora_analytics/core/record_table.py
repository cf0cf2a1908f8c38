"""The Arrow table of a class of records. Needs pyarrow when it is used."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agora_analytics.core.arrow_columns import arrow_table
from agora_analytics.core.record import json_names, json_types

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS = frozenset({"ts", "since", "until", "window_start_ts", "window_end_ts"})
FRACTIONAL_SECONDS = frozenset({"opens_at"})


def record_table(kind: type[Any], records: Iterable[Any]) -> "pa.Table":
    """Return records as a table: a column for each value of `to_dict()`, times in UTC, `extra` as JSON. Needs pyarrow.

    Raises:
        DecodeError: an integer does not fit its column: more than 64 bits, or more than 53 in a column of rates.
    """
    import pyarrow as pa

    types, names = json_types(kind), json_names(kind)
    schema = pa.schema((name, _column_type(name, types[name])) for name in names)
    return arrow_table(
        ({name: _cell(name, getattr(record, name)) for name in names} for record in records), schema
    )


def _column_type(name: str, hint: Any) -> "pa.DataType":
    """Return the type of a column: float if a value may be one, int for counts, otherwise text."""
    import pyarrow as pa

    if name in SECONDS:
        return pa.timestamp("s", "UTC")
    if name in FRACTIONAL_SECONDS:
        return pa.timestamp("ms", "UTC")
    kinds = {float: pa.float64(), bool: pa.bool_(), int: pa.int64()}
    members = {getattr(each, "__supertype__", each) for each in getattr(hint, "__args__", (hint,))}
    return next((column for each, column in kinds.items() if each in members), pa.string())


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return json.dumps(value, separators=(",", ":"), sort_keys=True) if value else None
    return round(value * 1000) if name in FRACTIONAL_SECONDS else value
