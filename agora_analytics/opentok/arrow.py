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
    """Return the columns of a record. An attribute that is neither a number, a time nor a truth value is a string."""
    return pa.schema(
        [
            pa.field(attribute.name, _TYPES.get(attribute.converter, pa.string()))
            for attribute in attrs.fields(kind)
            if attribute.name not in _NO_COLUMN
        ]
    )


def table(kind: type[attrs.AttrsInstance], records: Sequence[Any]) -> pa.Table:
    """Return records as a table, one row each. `extra` is a JSON object, or null if it is empty."""
    schema = schema_of(kind)
    columns = {name: [getattr(record, name) for record in records] for name in schema.names}
    if "extra" in columns:
        columns["extra"] = [
            msgspec.json.encode(extra).decode() if extra else None for extra in columns["extra"]
        ]
    return pa.table(
        [pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema
    )


def project_table(rows: Sequence[ProjectRow], names: Iterable[str]) -> pa.Table:
    """Return project data as a table: the interval, the group, and a float64 column for each name."""
    grouped = table(ProjectRow, rows)
    for name in names:
        grouped = grouped.append_column(name, pa.array([row.values.get(name) for row in rows], pa.float64()))
    return grouped
