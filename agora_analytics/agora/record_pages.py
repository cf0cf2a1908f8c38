"""Reads pages of records at the speed of the JSON parser.

The parser fills structs that are generated from the record classes. A struct accepts only the documented fields, each
with its documented type, and is converted to a record in one step. A body with anything else goes to `read_records`,
which decides what to tolerate and reports what is wrong. Both readers return the same records.

A table does not need records: `columns_of` builds its columns directly from the structs.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, Generic

import msgspec
from attrs import NOTHING, fields, fields_dict, frozen
from msgspec.structs import astuple

from agora_analytics.agora.judge import AgoraEnvelope, Opened, envelope_of
from agora_analytics.agora.records import R, Uid, read_records, roles_of
from agora_analytics.core.lenient_json import UNREADABLE, load_object
from agora_analytics.core.lenient_reader import LenientReader

_SENT_AS = {Uid: int | str, tuple[str, ...]: list[str] | str | int | None}
"""The JSON types of fields that the API sends in several forms."""
_ENVELOPE = ("code", "message", "requestId", "total_size", "page_no", "page_size", "has_more")
_RECORD_TYPES: dict[str, tuple[type, Callable[[Any], Any]]] = {"uid": (str, str), "roles": (list, roles_of)}
"""The same fields by name: their type in a record, and the conversion to it."""


@frozen(kw_only=True)
class RecordPage(Generic[R]):
    """The content of a response of a numbered listing. All fields but the records are as they were sent."""

    records: Sequence[R]
    total: Any = None
    page_size: Any = None
    has_more: Any = None
    request_id: Any = None


def open_page(body: bytes, *, record: type[R], items: str, as_rows: bool = False) -> Opened[RecordPage[Any]]:
    """Open a body that has records in the field `items`; with `as_rows`, they stay structs, for `columns_of`."""
    try:
        page = _row_reader(record, items)(body)  # type: ignore[arg-type] # a class is hashable
    except UNREADABLE:
        return open_leniently(body, record=record, items=items)

    def decode(reader: LenientReader) -> RecordPage[Any]:
        try:
            records = page.rows if as_rows else _records(page.rows, record)
        except UNREADABLE:
            return open_leniently(body, record=record, items=items).decode(reader)
        return RecordPage(
            records=records,
            total=page.total_size,
            page_size=page.page_size,
            has_more=page.has_more,
            request_id=page.requestId,
        )

    return Opened(AgoraEnvelope(page.code, page.message, page.requestId), decode)


def open_leniently(body: bytes, *, record: type[R], items: str) -> Opened[RecordPage[R]]:
    """Open a body with the lenient reader; the arguments as `open_page`."""
    fields = load_object(body)

    def decode(reader: LenientReader) -> RecordPage[R]:
        return RecordPage(
            records=read_records(record, fields.get(items), reader, path=f"$.{items}"),
            total=fields.get("total_size"),
            page_size=fields.get("page_size"),
            has_more=fields.get("has_more"),
            request_id=fields.get("requestId"),
        )

    return Opened(envelope_of(fields), decode)


def _records(rows: list[Any], kind: type[R]) -> list[R]:
    """Convert structs to records; raises `msgspec.ValidationError` if a value does not fit."""
    for name in _RECORD_TYPES.keys() & fields_dict(kind).keys():
        _convert_field(rows, name)
    return msgspec.convert(rows, list[kind], from_attributes=True)  # type: ignore[valid-type]


def columns_of(pages: Sequence[Sequence[Any]], names: Iterable[str]) -> dict[str, Sequence[Any]]:
    """Return the fields of pages column by column; each page has records, or structs, which have no `extra`."""
    rows = list(chain.from_iterable(pages))
    if rows and all(isinstance(page[0], msgspec.Struct) for page in pages if page):
        fields_of_rows = rows[0].__struct_fields__
        # One flat list: a tuple and an iterator for each row would keep the garbage collector busy.
        values = list(chain.from_iterable(map(astuple, rows)))
        columns: dict[str, Sequence[Any]] = {
            name: values[offset :: len(fields_of_rows)] for offset, name in enumerate(fields_of_rows)
        }
    else:
        columns = {name: list(map(attrgetter(name), rows)) for name in names}
    for name, (type_, convert) in _RECORD_TYPES.items():
        if name in columns and set(map(type, columns[name])) != {type_}:
            columns[name] = [value if type(value) is type_ else convert(value) for value in columns[name]]
    if "roles" in columns:  # a table has null for roles that the server did not send
        columns["roles"] = [roles or None for roles in columns["roles"]]
    return columns


def _convert_field(rows: Sequence[Any], name: str) -> None:
    """Convert a field of these structs to its type in a record."""
    type_, convert = _RECORD_TYPES[name]
    for row in rows:
        if type(value := getattr(row, name)) is not type_:
            setattr(row, name, convert(value))


@cache
def _row_reader(kind: Any, items: str) -> Callable[[bytes], Any]:
    """Return a parser of pages, with structs as `rows`. It raises `msgspec.ValidationError` for undocumented fields."""
    row = _struct_of(kind)
    page = msgspec.defstruct(
        "Page",
        [("rows", list[row]), *((name, Any, None) for name in _ENVELOPE)],  # type: ignore[valid-type]
        rename={"rows": items},
        forbid_unknown_fields=True,  # the parser does not check the values of fields that it skips
    )
    return msgspec.json.Decoder(page).decode


def _struct_of(kind: type[Any]) -> type[msgspec.Struct]:
    known = [field for field in fields(kind) if field.name != "extra"]
    types = [(field.name, _SENT_AS.get(field.type, field.type), field.default) for field in known]
    return msgspec.defstruct(
        kind.__name__,
        [(name, type_) if default is NOTHING else (name, type_, default) for name, type_, default in types],
        # The parser ignores a class attribute, and the conversion copies it. Without it, the conversion would spend
        # as much time on the missing `extra` as on all other fields together.
        namespace={"extra": {}},
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
