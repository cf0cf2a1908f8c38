"""Converts values to columns of Arrow. An integer that a column cannot hold exactly is a `DecodeError`. Needs pyarrow."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.core.numbers import exact_float
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_column(name: str, values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """Return values as a column.

    Raises:
        DecodeError: an integer has more than 64 bits, or more than 53 bits in a column of float64.
    """
    import pyarrow as pa

    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError) as error:
        integers = [value for value in values if isinstance(value, int)]
        if not integers:
            raise
        if pa.types.is_floating(kind) and None not in map(exact_float, integers):
            # Arrow refuses every integer above 2^53, also those that a float holds exactly.
            return pa.array([value if value is None else float(value) for value in values], kind)
        problem = f"use the records instead of a table: {max(integers, key=abs)} does not fit {kind}"
        raise DecodeError(problem, path=f"column {name}") from error


def arrow_table(rows: Iterable[Mapping[str, Any]], schema: "pa.Schema") -> "pa.Table":
    """Return rows as a table; a missing key is a null. Raises as `arrow_column`."""
    import pyarrow as pa

    rows = list(rows)
    columns = [
        arrow_column(field.name, [row.get(field.name) for row in rows], field.type) for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def json_cell(fields: Mapping[str, Any] | None) -> str | None:
    """Return unknown fields as the JSON of a column of text; None if there are none."""
    return json.dumps(fields, separators=(",", ":"), sort_keys=True) if fields else None
