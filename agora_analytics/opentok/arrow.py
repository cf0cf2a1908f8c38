"""Records of Insights as Arrow tables. Needs the extra `[arrow]`."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import msgspec
import pyarrow as pa

from agora_analytics.opentok.records import ProjectRow, flag, moment, number, whole
from agora_analytics.schemas import UTC_MILLISECONDS

_TYPES = {flag: pa.bool_(), moment: UTC_MILLISECONDS, number: pa.float64(), whole: pa.int64()}
_NO_COLUMN = ("meetings", "values")


def schema_of(kind: type[attrs.AttrsInstance]) -> pa.Schema:
    """Return the columns of a record, in its order; what is text, or has no converter, is a string."""
    return pa.schema(
        [
            pa.field(one.name, _TYPES.get(one.converter, pa.string()))
            for one in attrs.fields(kind)
            if one.name not in _NO_COLUMN
        ]
    )


def table(kind: type[attrs.AttrsInstance], records: Sequence[Any]) -> pa.Table:
    """Return records as a table, one row each; `extra` is a JSON object, null if there is nothing in it."""
    schema = schema_of(kind)
    columns = {name: [getattr(one, name) for one in records] for name in schema.names}
    if "extra" in columns:
        columns["extra"] = [msgspec.json.encode(one).decode() if one else None for one in columns["extra"]]
    return pa.table(
        [pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema
    )


def project_table(rows: Sequence[ProjectRow], names: Iterable[str]) -> pa.Table:
    """Return project data as a table: the interval, the group, and a float64 column for each name."""
    made = table(ProjectRow, rows)
    for name in names:
        made = made.append_column(name, pa.array([row.values.get(name) for row in rows], pa.float64()))
    return made
