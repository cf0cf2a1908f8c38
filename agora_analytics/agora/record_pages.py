"""A page of records, at the parser's speed.

The parser fills structs that are made from the records' own classes, and those become the records in one step. A
struct takes the fields that its class names and no other, each of the type that the class names. An answer with
anything else in it goes to `read_records`, which knows what may be tolerated and says what is wrong with the rest.
So every page gives the same records either way.

A table needs no records: `columns_of` makes its columns of the structs themselves.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, Generic

import msgspec
from attrs import NOTHING, evolve, fields, fields_dict, frozen
from msgspec.structs import astuple

from agora_analytics.agora.judge import UNREADABLE
from agora_analytics.agora.records import R, Uid, read_records, roles_of
from agora_analytics.errors import DecodeError

_SENT_AS = {Uid: int | str, tuple[str, ...]: list[str] | str | int | None}
"""Fields that the API sends in more shapes than one."""
_ENVELOPE = ("code", "message", "requestId", "total_size", "page_no", "page_size", "has_more")
_ONE_SHAPE: dict[str, tuple[type, Callable[[Any], Any]]] = {"uid": (str, str), "roles": (list, roles_of)}
"""The same fields by name: what their values are in a record, and what makes them so."""


@frozen(kw_only=True)
class RecordPage(Generic[R]):
    """What an answer of a numbered listing holds; all but the records as it was sent."""

    records: Sequence[R]
    total: Any = None
    page_size: Any = None
    has_more: Any = None
    request_id: Any = None


def read_page(kind: type[R], items: str, body: bytes) -> RecordPage[R]:
    """Read an answer whose records of a kind stand in the field `items`.

    Raises:
        DecodeError: with the path of the first field that cannot be read.
    """
    try:
        page = _row_reader(kind, items)(body)  # type: ignore[arg-type] # a class can be hashed
        for name in _ONE_SHAPE.keys() & fields_dict(kind).keys():
            _unify(page.records, name)
        return evolve(page, records=msgspec.convert(page.records, list[kind], from_attributes=True))  # type: ignore[valid-type]
    except UNREADABLE:
        return read_page_carefully(kind, items, body)


def read_rows(kind: type[R], items: str, body: bytes) -> RecordPage[Any]:
    """Do the same as `read_page` for a table: the `records` are structs, for `columns_of`.

    Where the parser is not sure they are records, all of a page.
    """
    try:
        return _row_reader(kind, items)(body)  # type: ignore[arg-type]
    except UNREADABLE:
        return read_page_carefully(kind, items, body)


def read_page_carefully(kind: type[R], items: str, body: bytes) -> RecordPage[R]:
    """Do the same as `read_page`, the slow way that decides what is wrong and what is tolerated."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except UNREADABLE as error:
        raise DecodeError(f"the answer cannot be read: {error}") from error
    return RecordPage(
        records=read_records(kind, found.get(items), path=f"$.{items}"),
        total=found.get("total_size"),
        page_size=found.get("page_size"),
        has_more=found.get("has_more"),
        request_id=found.get("requestId"),
    )


def columns_of(pages: Sequence[Sequence[Any]], names: Iterable[str]) -> dict[str, Sequence[Any]]:
    """Return the fields of pages column by column, each page of records or of structs; structs have no `extra`."""
    rows = list(chain.from_iterable(pages))
    if rows and all(isinstance(page[0], msgspec.Struct) for page in pages if page):
        fields_of_rows = rows[0].__struct_fields__
        # in one list: a tuple that lives for each row, and an iterator over it, would keep the garbage collector busy
        values = list(chain.from_iterable(map(astuple, rows)))
        columns: dict[str, Sequence[Any]] = {
            name: values[place :: len(fields_of_rows)] for place, name in enumerate(fields_of_rows)
        }
    else:
        columns = {name: list(map(attrgetter(name), rows)) for name in names}
    for name, (shape, convert) in _ONE_SHAPE.items():
        if name in columns and set(map(type, columns[name])) != {shape}:
            columns[name] = [value if type(value) is shape else convert(value) for value in columns[name]]
    if "roles" in columns:  # to a table, no roles are roles that nobody told
        columns["roles"] = [roles or None for roles in columns["roles"]]
    return columns


def _unify(rows: Sequence[Any], name: str) -> None:
    """Give a field its one shape in each of these structs."""
    shape, convert = _ONE_SHAPE[name]
    for row in rows:
        if type(value := getattr(row, name)) is not shape:
            setattr(row, name, convert(value))


@cache
def _row_reader(kind: Any, items: str) -> Callable[[bytes], RecordPage[Any]]:
    """Return a reader that raises `msgspec.ValidationError` where it is not sure."""
    row = _struct_of(kind)
    envelope = msgspec.defstruct(
        "Envelope",
        [
            ("rows", list[row]),  # type: ignore[valid-type]
            *((name, Any, None) for name in _ENVELOPE),
        ],
        rename={"rows": items},
        forbid_unknown_fields=True,  # the parser passes over what it does not know, broken or not
    )
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(envelope)

    def read(body: bytes) -> RecordPage[Any]:
        page = decoder.decode(body)
        return RecordPage(
            records=page.rows,
            total=page.total_size,
            page_size=page.page_size,
            has_more=page.has_more,
            request_id=page.requestId,
        )

    return read


def _struct_of(kind: type[Any]) -> type[msgspec.Struct]:
    known = [field for field in fields(kind) if field.name != "extra"]
    types = [(field.name, _SENT_AS.get(field.type, field.type), field.default) for field in known]
    return msgspec.defstruct(
        kind.__name__,
        [(name, type_) if default is NOTHING else (name, type_, default) for name, type_, default in types],
        # The parser passes over a class attribute; the conversion copies it, and would take as long as all other
        # fields together to find out that there is none.
        namespace={"extra": {}},
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
