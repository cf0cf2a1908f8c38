"""Queries as data: fields, the lists among them, how many nodes they ask for, and their text. Pure.

A list is what the vendor calls a resource collection: a field with `resources` in it, that takes `first` and
`endCursor`. Whatever a caller gives becomes text through the functions `text`, `enum`, `name` and `project` only.

Source: `reference/opentok-insights.md`, sections 2 and 3; `reference/opentok_schema.graphql`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve, frozen

from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.spec import NODE_LIMIT, most, usual

Path = tuple[str, ...]
"""Where a field is: the keys from the root to it, without `resources` and without places in lists."""

_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)
_ENUM = re.compile(r"[A-Z][A-Z_0-9]*", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
PAGE_BUDGET = 100_000
"""Nodes that one query of ours asks for: far below the server's limit, so that an answer stays some megabytes."""
IDENTITY_FIELDS = ("sessionId", "meetingId", "createdAt", "connectionId", "subscriberId")
"""Fields by which the members of a list are known again when the list is asked for once more."""


@frozen
class Field:
    """A field of a query.

    Attributes:
        name: as the schema spells it.
        arguments: their values as GraphQL text, by name.
        fields: what is asked for of it.
        alias: what it is called in the answer, if that is another name.
        directives: as GraphQL text.
    """

    name: str
    fields: "tuple[Field, ...]" = ()
    arguments: Mapping[str, str] = {}
    alias: str = ""
    directives: str = ""

    @property
    def key(self) -> str:
        """What it is called in the answer."""
        return self.alias or self.name

    @property
    def members(self) -> "Field | None":
        """The field `resources`, if this is a list."""
        return next((field for field in self.fields if field.name == "resources"), None)

    @property
    def inner(self) -> "tuple[Field, ...]":
        """What is asked for of it, or, of a list, of each member."""
        return self.fields if self.members is None else self.members.fields

    @property
    def first(self) -> int:
        """How many members a page of this list has at most."""
        given = self.arguments.get("first", "")
        return int(given) if given.isdecimal() else usual(self.name)

    def with_arguments(self, **arguments: str) -> "Field":
        """Return the same with further arguments."""
        return evolve(self, arguments={**self.arguments, **arguments})

    def with_inner(self, fields: "Iterable[Field]") -> "Field":
        """Return the same with other fields, of each member if it is a list."""
        inner = tuple(fields)
        if self.members is None:
            return evolve(self, fields=inner)
        members = evolve(self.members, fields=inner)
        return evolve(self, fields=tuple(members if f.name == "resources" else f for f in self.fields))

    def text(self) -> str:
        """Return it as GraphQL."""
        head = f"{self.alias}: {self.name}" if self.alias else self.name
        if self.arguments:
            head += f"({', '.join(f'{name}: {value}' for name, value in self.arguments.items())})"
        if self.directives:
            head += f" {self.directives}"
        return f"{head} {{ {' '.join(field.text() for field in self.fields)} }}" if self.fields else head


PAGE_INFO = Field("pageInfo", (Field("hasNextPage"), Field("endCursor")))


def plain(*names: str) -> tuple[Field, ...]:
    """Return fields without anything in them; `stream.streamId` is a field in a field."""
    made: dict[str, list[str]] = {}
    for one in names:
        head, dot, rest = one.partition(".")
        made.setdefault(name(head), []).extend([rest] if dot else [])
    return tuple(Field(head, plain(*rest)) for head, rest in made.items())


def merged(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Return fields with those of the same key as one, which is how GraphQL answers them.

    Raises:
        InvalidRequest: if they are asked for in different ways.
    """
    made: dict[str, Field] = {}
    for one in fields:
        known = made.setdefault(one.key, one)
        if (known.name, known.arguments, known.directives) != (one.name, one.arguments, one.directives):
            raise InvalidRequest(f"{one.key} is asked for in two ways; give one of them an alias")
        if known is not one:
            made[one.key] = evolve(known, fields=merged((*known.fields, *one.fields)))
    return tuple(made.values())


def listing(kind: str, *fields: Field, **arguments: str) -> Field:
    """Return a list: its members' fields, and what its pages and their completeness are known by."""
    return Field(kind, (PAGE_INFO, Field("totalCount"), Field("resources", fields)), arguments)


def nodes(field: Field) -> int:
    """Return how many nodes a field asks for: of lists, their `first` times one and what is in each member.

    Example:
        >>> stats = listing("streamStatsCollection", first="50")
        >>> publishers = listing("publishers", stats, first="50")
        >>> 1 + nodes(listing("sessions", listing("meetings", publishers, first="10"), first="2"))
        51023
    """
    inside = sum(map(nodes, field.inner))
    return inside if field.members is None else field.first * (1 + inside)


def fit_pages(root: Field, budget: int = NODE_LIMIT) -> Field:
    """Return the query with a `first` for every list, as large as is allowed and the budget bears.

    Pages are cut smaller, never rows: what a page does not hold comes on the next one.

    Raises:
        InvalidRequest: if even pages of one member ask for too many nodes.
    """
    cap = most("")
    while nodes(made := _capped(root, cap)) >= budget:
        if cap == 1:
            raise InvalidRequest(
                f"the query asks for {nodes(made):,} nodes even with pages of one; ask for fewer lists"
            )
        cap = -(-cap // 2)
    return made


def _capped(field: Field, cap: int) -> Field:
    made = field.with_inner(_capped(inner, cap) for inner in field.inner)
    if field.members is None:
        return made
    given = field.arguments.get("first", "")
    wanted = int(given) if given.isdecimal() else most(field.name)
    made = evolve(made, fields=merged((PAGE_INFO, *made.fields)))
    return made.with_arguments(first=str(max(1, min(wanted, most(field.name), cap))))


def next_page_query(root: Field, path: Path, cursors: Mapping[Path, str], came: Mapping[Path, int]) -> Field:
    """Return the query for another page of the list at `path`, with nothing beside it and every list at its cursor.

    The lists above it have as many members as came, so its own page may be all the larger.
    """
    return fit_pages(_narrowed(root, path, cursors, came, ()), PAGE_BUDGET)


def _narrowed(
    field: Field, left: Path, cursors: Mapping[Path, str], came: Mapping[Path, int], here: Path
) -> Field:
    if field.members is not None and here in cursors:
        field = field.with_arguments(endCursor=text(cursors[here]))
    if not left:
        return without(field, "first")
    if field.members is not None:
        field = field.with_arguments(first=str(came[here]))
    ahead = next(inner for inner in field.inner if inner.key == left[0])
    known_by = [inner for inner in field.inner if inner.name in IDENTITY_FIELDS] if field.members else []
    return field.with_inner([*known_by, _narrowed(ahead, left[1:], cursors, came, (*here, left[0]))])


def without(field: Field, *arguments: str) -> Field:
    """Return a query without the arguments of these names, at every level."""
    left = {name: value for name, value in field.arguments.items() if name not in arguments}
    return evolve(field.with_inner(without(inner, *arguments) for inner in field.inner), arguments=left)


def lists_of(field: Field, here: Path = ()) -> Iterator[tuple[Path, Field]]:
    """Yield every list of a query with its path, the outer ones first."""
    if field.members is not None:
        yield here, field
    for inner in field.inner:
        yield from lists_of(inner, (*here, inner.key))


def camel(name: str) -> str:
    """Return a name as the API spells it.

    Example:
        >>> camel("audio_bitrate_kbps")
        'audioBitrateKbps'
    """
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


# ---- literals


def text(value: str) -> str:
    """Return a string as a GraphQL literal. JSON's escapes are GraphQL's.

    Raises:
        InvalidRequest: if it is none, or has half a character (a surrogate) in it.

    Example:
        >>> text('a"b')
        '"a\\\\"b"'
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{value!r} is no text")
    try:
        value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{value!r} cannot be sent: half a character is in it") from None
    return json.dumps(value)


def texts(values: Iterable[str]) -> str:
    """Return strings as a GraphQL list."""
    return f"[{', '.join(map(text, values))}]"


def enum(value: str) -> str:
    """Return an enum value, known or not.

    Raises:
        InvalidRequest: if it cannot be one.
    """
    if not _ENUM.fullmatch(value):
        raise InvalidRequest(f"{value!r} cannot be an enum value; they look like SDK_TYPE")
    return str(value)


def enums(values: Iterable[str]) -> str:
    """Return enum values as a GraphQL list."""
    return f"[{', '.join(map(enum, values))}]"


def name(value: str) -> str:
    """Return a field's name.

    Raises:
        InvalidRequest: if it cannot be one.
    """
    if not _NAME.fullmatch(value):
        raise InvalidRequest(f"{value!r} cannot be a field's name")
    return value


def project(project_id: str) -> str:
    """Return a project's id: an API key as a number, an application's id as a string.

    Raises:
        InvalidRequest: if it is neither.
    """
    if project_id.isascii() and project_id.isdecimal():
        return project_id
    if _UUID.fullmatch(project_id):
        return text(project_id)
    raise InvalidRequest(
        f"{project_id!r} is no project: give an API key (digits) or an application id (UUID)"
    )
