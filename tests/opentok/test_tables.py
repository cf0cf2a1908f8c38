"""Every listing as a table: typed columns, one row for each record, the same values."""

from collections.abc import Mapping
from datetime import datetime
from types import UnionType
from typing import Any, get_args, get_type_hints

import attrs
import pytest

from agora_analytics.opentok import (
    ERRORS,
    USAGE,
    Connection,
    Meeting,
    ProjectRow,
    Publisher,
    Session,
    SessionSummary,
    StreamSample,
    Subscriber,
)
from tests.opentok.harness import IDS, make_harness

pa = pytest.importorskip("pyarrow")

TYPES = {
    str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), datetime: pa.timestamp("ms", "UTC"),
}  # fmt: skip
FIELDS = (*USAGE[:2], ERRORS[0])
LISTINGS = {
    "summaries": (SessionSummary, lambda c: c.session_summaries("16d", minutes=True)),
    "sessions": (Session, lambda c: c.sessions(IDS, minutes=True)),
    "meetings": (Meeting, lambda c: c.meetings(IDS, minutes=True)),
    "connections": (Connection, lambda c: c.connections(IDS)),
    "publishers": (Publisher, lambda c: c.publishers(IDS)),
    "subscribers": (Subscriber, lambda c: c.subscribers(IDS)),
    "samples": (StreamSample, lambda c: c.stream_stats(IDS)),
    "project data": (
        ProjectRow,
        lambda c: c.project_data("9d", interval="DAILY", group_by="COUNTRY", fields=FIELDS),
    ),
}
NEVER_TOLD = {
    "project data": {"region", "sdk_type", "sdk_version", "browser", "browser_version", "extra"}
}  # no groups
NO_COLUMN = {"meetings", "values"}


def column_type(hint):
    """Return the column type of an attribute such as `float | None`."""
    if hint == Mapping[str, Any]:
        return pa.string()
    kinds = set(get_args(hint)) - {type(None)} if isinstance(hint, UnionType) else {hint}
    kind = kinds.pop()
    if attrs.has(kind):  # a struct of its attributes
        hints = get_type_hints(kind)
        return pa.struct([(one.name, column_type(hints[one.name])) for one in attrs.fields(kind)])
    return TYPES[kind]


@pytest.mark.parametrize("name", LISTINGS)
def test_table_of_each_listing(name):
    kind, listing = LISTINGS[name]

    async def job(client):
        return await listing(client).to_arrow(), await listing(client).collect()

    table, records = make_harness().run(job)
    assert table.num_rows == len(records) > 5
    more = FIELDS if kind is ProjectRow else ()
    hints = get_type_hints(kind)
    wanted = {
        one.name: column_type(hints[one.name]) for one in attrs.fields(kind) if one.name not in NO_COLUMN
    }
    wanted |= dict.fromkeys(more, pa.float64())
    assert {column.name: column.type for column in table.schema} == wanted
    assert table.column_names == list(wanted)
    for column in wanted:
        values = [one.values[column] if column in more else getattr(one, column) for one in records]
        if column == "extra":
            values = [one or None for one in values]
        values = [attrs.asdict(one) if attrs.has(type(one)) else one for one in values]
        assert table[column].to_pylist() == values
        empty = not any(value is not None for value in values)
        assert empty == (column in NEVER_TOLD.get(name, {"extra"}))


@pytest.mark.parametrize("name", sorted(set(LISTINGS) - {"summaries", "project data"}))
def test_empty_table_has_the_same_columns(name):
    """All meetings of the session have another id. A listing of sessions still has a row for the session."""
    kind, listing = LISTINGS[name]
    method = {"samples": "stream_stats"}.get(name, name)
    more = {} if kind is Session else {"meeting_id": "another"}

    async def job(client):
        full = await listing(client).to_arrow()
        return full, await getattr(client, method)(IDS[0], **more).to_arrow()

    full, few = make_harness().run(job)
    assert few.schema == full.schema
    assert few.num_rows == (1 if kind is Session else 0)
