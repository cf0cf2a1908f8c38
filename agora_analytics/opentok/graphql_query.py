"""GraphQL queries as data: fields, the collections among them, their node count and their text. Pure.

A collection is a field with `resources` in it that takes `first` and `endCursor`; "resource collection" is the vendor's
term. Values of a caller become GraphQL text only through the functions at the end of this file.

Source: Vonage, "Insights Dashboard & API", "Using Pagination in Queries".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.spec import NODE_LIMIT, most, usual

FieldPath = tuple[str, ...]
"""Where a field is in a query: the response keys from the root to it, without `resources`."""

OneOrMore = str | Sequence[str]
"""One text or several."""

_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)
_ENUM = re.compile(r"[A-Z][A-Z_0-9]*", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
PAGE_BUDGET = 100_000
"""Maximum number of nodes of one of our queries. Far below the server's limit, so that a response has few megabytes."""
IDENTITY_FIELDS = ("sessionId", "meetingId", "createdAt", "connectionId", "subscriberId")
"""Fields that identify a member of a collection when the collection is fetched again."""


@frozen
class Field:
    """A field of a query.

    Attributes:
        name: its name in the schema.
        arguments: their values as GraphQL text, by name.
        fields: the fields selected in it.
        alias: its name in the response, if that differs.
        directives: as GraphQL text.
    """

    name: str
    fields: "tuple[Field, ...]" = ()
    arguments: Mapping[str, str] = {}
    alias: str = ""
    directives: str = ""

    @property
    def key(self) -> str:
        """Its name in the response."""
        return self.alias or self.name

    @property
    def members(self) -> "Field | None":
        """The field `resources` of a collection; None for any other field."""
        return next((field for field in self.fields if field.name == "resources"), None)

    @property
    def inner(self) -> "tuple[Field, ...]":
        """The fields selected in it; for a collection, those of each member."""
        return self.fields if self.members is None else self.members.fields

    @property
    def first(self) -> int:
        """The largest number of members on a page of this collection."""
        given = self.arguments.get("first", "")
        return int(given) if given.isdecimal() else usual(self.name)

    def with_arguments(self, **arguments: str) -> "Field":
        """Return the field with further arguments."""
        return evolve(self, arguments={**self.arguments, **arguments})

    def with_inner(self, fields: "Iterable[Field]") -> "Field":
        """Return the field with other fields in it; for a collection, in each member."""
        inner = tuple(fields)
        if self.members is None:
            return evolve(self, fields=inner)
        members = evolve(self.members, fields=inner)
        return evolve(self, fields=tuple(members if f.name == "resources" else f for f in self.fields))

    def text(self) -> str:
        """Return the field as GraphQL text."""
        head = f"{self.alias}: {self.name}" if self.alias else self.name
        if self.arguments:
            head += f"({', '.join(f'{name}: {value}' for name, value in self.arguments.items())})"
        if self.directives:
            head += f" {self.directives}"
        return f"{head} {{ {' '.join(field.text() for field in self.fields)} }}" if self.fields else head


PAGE_INFO = Field("pageInfo", (Field("hasNextPage"), Field("endCursor")))


def leaf_fields(*names: str) -> tuple[Field, ...]:
    """Return fields without arguments; `stream.streamId` is the field `streamId` in the field `stream`."""
    nested: dict[str, list[str]] = {}
    for dotted in names:
        head, dot, rest = dotted.partition(".")
        if not _NAME.fullmatch(head):
            raise InvalidRequest(f"{head!r} is not a field name; pass one such as audioBitrateKbps")
        nested.setdefault(head, []).extend([rest] if dot else [])
    return tuple(Field(head, leaf_fields(*rest)) for head, rest in nested.items())


def merge_fields(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Return fields with those of the same response key merged, as GraphQL returns them."""
    merged: dict[str, Field] = {}
    for field in fields:
        first = merged.setdefault(field.key, field)
        if (first.name, first.arguments, first.directives) != (field.name, field.arguments, field.directives):
            raise InvalidRequest(f"{field.key} is selected in two ways; give one of them an alias")
        if first is not field:
            merged[field.key] = evolve(first, fields=merge_fields((*first.fields, *field.fields)))
    return tuple(merged.values())


def collection(name: str, *fields: Field, **arguments: str) -> Field:
    """Return a collection with `fields` in each member, its page information and its total count."""
    return Field(name, (PAGE_INFO, Field("totalCount"), Field("resources", fields)), arguments)


def count_nodes(field: Field) -> int:
    """Return the number of nodes of a field. For a collection: `first`, times one plus the nodes in each member.

    Example:
        >>> stats = collection("streamStatsCollection", first="50")
        >>> publishers = collection("publishers", stats, first="50")
        >>> 1 + count_nodes(collection("sessions", collection("meetings", publishers, first="10"), first="2"))
        51023
    """
    inside = sum(map(count_nodes, field.inner))
    return inside if field.members is None else field.first * (1 + inside)


def fit_pages(root: Field, budget: int = NODE_LIMIT) -> Field:
    """Return the query with a `first` for every collection, as large as the server and the budget allow.

    Smaller pages lose no rows: the members that a page does not hold are on the next one.
    """
    cap = most("")
    while count_nodes(capped := _cap_pages(root, cap)) >= budget:
        if cap == 1:
            raise InvalidRequest(
                f"the query has {count_nodes(capped):,} nodes even with pages of one; select fewer lists"
            )
        cap = -(-cap // 2)
    return capped


def _cap_pages(field: Field, cap: int) -> Field:
    capped = field.with_inner(_cap_pages(inner, cap) for inner in field.inner)
    if field.members is None:
        return capped
    given = field.arguments.get("first", "")
    wanted = int(given) if given.isdecimal() else most(field.name)
    capped = evolve(capped, fields=merge_fields((PAGE_INFO, *capped.fields)))
    return capped.with_arguments(first=str(max(1, min(wanted, most(field.name), cap))))


def next_page_query(
    root: Field, path: FieldPath, cursors: Mapping[FieldPath, str], sizes: Mapping[FieldPath, int]
) -> Field:
    """Return the query for another page of the collection at `path`, and of nothing else.

    Args:
        root: the query of the first page.
        path: the collection.
        cursors: the cursors of this collection and of those that contain it.
        sizes: the number of members of the collections that contain it; a smaller one leaves room for a larger page.
    """
    return fit_pages(_narrow(root, path, cursors, sizes, ()), PAGE_BUDGET)


def _narrow(
    field: Field,
    path: FieldPath,
    cursors: Mapping[FieldPath, str],
    sizes: Mapping[FieldPath, int],
    here: FieldPath,
) -> Field:
    if field.members is not None and here in cursors:
        field = field.with_arguments(endCursor=string(cursors[here]))
    if not path:
        return without_arguments(field, "first")
    if field.members is not None:
        field = field.with_arguments(first=str(sizes[here]))
    child = next(inner for inner in field.inner if inner.key == path[0])
    identity = [inner for inner in field.inner if inner.name in IDENTITY_FIELDS] if field.members else []
    return field.with_inner([*identity, _narrow(child, path[1:], cursors, sizes, (*here, path[0]))])


def without_arguments(field: Field, *names: str) -> Field:
    """Return a query without the arguments of these names, at every level."""
    kept = {name: value for name, value in field.arguments.items() if name not in names}
    return evolve(field.with_inner(without_arguments(inner, *names) for inner in field.inner), arguments=kept)


def camel_case(name: str) -> str:
    """Return a name as the API spells it: `audio_bitrate_kbps` becomes `audioBitrateKbps`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


# ---- literals


def string(value: str) -> str:
    """Return a string as a GraphQL literal, with the escapes of JSON."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{value!r} is not a string; pass text")
    try:
        value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{value!r} contains half of a surrogate pair; remove it") from None
    return json.dumps(value)


def as_list(given: OneOrMore) -> list[str]:
    """Return one text, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


def string_list(values: OneOrMore) -> str:
    """Return strings as a GraphQL list."""
    return f"[{', '.join(map(string, as_list(values)))}]"


def enum_value(value: str) -> str:
    """Return an enum value, documented or not; it must have the form of one."""
    if not _ENUM.fullmatch(value):
        raise InvalidRequest(f"{value!r} is not an enum value; pass one such as SDK_TYPE")
    return str(value)


def enum_list(values: OneOrMore) -> str:
    """Return enum values as a GraphQL list."""
    return f"[{', '.join(map(enum_value, as_list(values)))}]"


def project(project_id: str) -> str:
    """Return a project's id: an API key as a number, an application's id as a string."""
    if project_id.isascii() and project_id.isdecimal():
        return project_id
    if _UUID.fullmatch(project_id):
        return string(project_id)
    raise InvalidRequest(
        f"{project_id!r} is not a project id; pass an API key (digits) or an application id (UUID)"
    )
