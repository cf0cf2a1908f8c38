"""Reads records one by one, and decides what of a response is lost. All vendors share it.

A field is read whatever form it has: a number as text, an integer as a float, a truth value as a number. Null counts as
missing. An optional field that cannot be read keeps its default, and `extra` has what was sent. A record without a
readable required field is skipped, and named in `LenientReader.skipped`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from operator import eq
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from attrs import NOTHING, fields, frozen

from agora_analytics.core.field_types import LONGEST_ID
from agora_analytics.core.numbers import INT64, exact_float, number_of, truth_of, whole_number
from agora_analytics.core.verdicts import Done, Fail, SkippedRecord
from agora_analytics.errors import DecodeError

if TYPE_CHECKING:
    import cattrs

R = TypeVar("R")
Row = Mapping[str, Any]

_MOST_LEVELS = 100
"""Lists and objects within each other in a field. Python writes no more than 1,000 as JSON."""
_repr = Repr()
_repr.maxstring = _repr.maxlong = _repr.maxother = 60
show = _repr.repr
"""Returns a value as an error shows it: shortened."""


class LenientReader:
    """Reads the records of one response; `skipped` has those that could not be read."""

    def __init__(self) -> None:
        self.skipped: list[SkippedRecord] = []

    def skip(self, path: str, reason: str, key: str | None = None) -> None:
        """Note that the record at a path of the response is left out."""
        self.skipped.append(SkippedRecord(path=path, key=key, reason=reason))

    def inner_list(self, value: Any, path: str, key: str | None = None) -> list[Any]:
        """Return a list within a record. One that is something else is skipped, and costs the record nothing more."""
        if isinstance(value, list | None):
            return value or []
        self.skip(path, f"expected a list, found {kind_of(value)}", key)
        return []

    def records(
        self,
        kind: type[R],
        rows: Any,
        path: str,
        *,
        names: Mapping[str, Sequence[str]] = {},
        known: Mapping[str, Any] = {},
        present: Iterable[str] = (),
        instead: Callable[[Row], Row] = lambda _: {},
    ) -> list[R]:
        """Return the rows of a list as records.

        Args:
            kind: the attrs class of the records.
            rows: the rows.
            path: where the list is in the response.
            names: the API's names of attributes, the preferred one first. By default, the name of the attribute.
            known: values of attributes that are not in the rows.
            present: attributes that may be null, but must be sent.
            instead: returns values for attributes of a row that are missing or cannot be read.

        Raises:
            DecodeError: the value is not a list. Null is an empty one.
        """
        layout = _layout_of(kind, names, known)
        each = (
            self._read(layout, row, f"{path}[{i}]", known, present, instead)
            for i, row in enumerate(list_of(rows, path))
        )
        return [record for record in each if record is not None]

    def record(
        self,
        kind: type[R],
        row: Any,
        path: str,
        *,
        names: Mapping[str, Sequence[str]] = {},
        known: Mapping[str, Any] = {},
    ) -> R | None:
        """Return one row as a record; None if it is skipped. The arguments are those of `records`."""
        layout = _layout_of(kind, names, known)
        record: R | None = self._read(layout, row, path, known, (), lambda _: {})
        return record

    def _read(
        self,
        layout: "_Layout",
        row: Any,
        path: str,
        known: Row,
        present: Iterable[str],
        instead: Callable[[Row], Row],
    ) -> Any:
        if not isinstance(row, dict):
            self.skip(path, f"expected an object, found {kind_of(row)}")
            return None
        sent: dict[str, str] = {}
        for name, spelled in layout.spellings.items():
            for each in spelled:
                if row.get(each) is not None:
                    sent[name] = each
                    break
        extra = {name: value for name, value in row.items() if name not in layout.used}
        # Also a field with an attribute, because a value that cannot be read goes to `extra`.
        problems = [f"{name} is nested too deeply" for name, value in row.items() if _is_deep(value)]
        problems += [
            f"{layout.spellings[name][0]} is missing"
            for name in present
            if not row.keys() & layout.spellings[name]
        ]
        fallback = {**layout.nullable, **instead(row)}
        values = {**fallback, **{name: row[each] for name, each in sent.items()}, **known}
        while not problems:
            try:
                return layout.structure({**values, "extra": extra}, layout.kind)
            except layout.invalid as error:
                for reason, note in error.group_exceptions()[0]:
                    name = note.name
                    if name not in values:
                        problems.append(f"{layout.spellings[name][0]} is missing")
                    elif name in sent and (name in layout.defaulted or name in fallback):
                        extra[sent.pop(name)] = values.pop(name)
                        values |= {name: fallback[name]} if name in fallback else {}
                    else:
                        problems.append(f"{sent.get(name, name)}: {reason}")
        required = layout.spellings.keys() - layout.defaulted - fallback.keys()
        key = next((values[name] for name in layout.spellings if name in sent and name in required), None)
        readable = isinstance(key, str | int) and not isinstance(key, bool) and key != ""
        self.skip(path, "; ".join(problems), str(key)[:LONGEST_ID] if readable else None)
        return None


@frozen
class _Layout:
    """How a class of records is read.

    Attributes:
        kind: the class.
        spellings: the API's names of the attributes that a row may have.
        used: all of these names.
        defaulted: the attributes that have a default.
        nullable: those without a default that may be None.
        structure: makes a record.
        invalid: what `structure` raises.
    """

    kind: type[Any]
    spellings: Mapping[str, Sequence[str]]
    used: frozenset[str]
    defaulted: frozenset[str]
    nullable: Mapping[str, None]
    structure: Callable[[Any, Any], Any]
    invalid: "type[cattrs.ClassValidationError]"


def _layout_of(kind: type[Any], names: Mapping[str, Sequence[str]], known: Row) -> _Layout:
    named = tuple((name, tuple(spelled)) for name, spelled in names.items())
    return _cached_layout(kind, named, frozenset(known))  # type: ignore[arg-type] # a class is hashable


@lru_cache(maxsize=1_000)
def _cached_layout(
    kind: type[Any], names: tuple[tuple[str, tuple[str, ...]], ...], known: frozenset[str]
) -> _Layout:
    from cattrs import ClassValidationError
    from cattrs.gen import make_dict_structure_fn, override

    attributes = {each.name: each for each in fields(kind)}
    if "extra" not in attributes:
        raise TypeError(
            f"{kind.__name__} has no attribute extra, so values that cannot be read would be lost"
        )
    as_they_are = dict.fromkeys((*known, "extra"), override(struct_hook=lambda value, _: value))
    named, read = dict(names), attributes.keys() - as_they_are.keys()
    spellings = {name: named.get(name, (name,)) for name in attributes if name in read}
    defaulted = frozenset(name for name in read if attributes[name].default is not NOTHING)
    nullable = [name for name in read - defaulted if type(None) in get_args(attributes[name].type)]
    return _Layout(
        kind=kind,
        spellings=spellings,
        used=frozenset(chain.from_iterable(spellings.values())),
        defaulted=defaulted,
        nullable=dict.fromkeys(nullable),
        structure=make_dict_structure_fn(kind, _converter(), **as_they_are),  # type: ignore[arg-type] # overrides only
        invalid=ClassValidationError,
    )


def _is_deep(value: Any, levels: int = _MOST_LEVELS) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deep(each, levels - 1) for each in inner)


def decoded(decode: Callable[[LenientReader], R], request_id: str | None) -> Done[R] | Fail:
    """Return the verdict on a good response: what `decode` returns, or the `DecodeError` that it raises."""
    reader = LenientReader()
    try:
        return Done(decode(reader), request_id, tuple(reader.skipped))
    except DecodeError as error:
        error.request_id = request_id
        return Fail(error=error)


def list_of(value: Any, path: str) -> list[Any]:
    """Return a list of a response. Null, or a missing field, is an empty list.

    Raises:
        DecodeError: the value is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise DecodeError(f"expected a list, found {kind_of(value)}", path=path)
    return value


def kind_of(value: Any) -> str:
    """Return what a value of a response is, for an error."""
    return "null" if value is None else type(value).__name__


def read_text(value: Any, _: object = None) -> str:
    """Return a text, which may be sent as a number."""
    if type(value) is str:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{show(value)} is not text")  # noqa: TRY004 - one kind of error for all values
    return str(value)


def read_id(value: Any, _: object = None) -> str:
    """Return an id, which may be sent as a whole number. A float of 2^53 or more may be the id of another object."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        raise ValueError(f"{show(value)} is not an id")
    return read_text(value)


def read_whole(value: Any, _: object = None) -> int:
    """Return an integer of 64 bits, which may be sent as text or as a float."""
    whole = value if type(value) is int and value in INT64 else whole_number(value)
    if whole is None:
        raise ValueError(f"{show(value)} is not an integer of 64 bits")
    return whole


def _read_number(value: Any, _: object = None) -> int | float | None:
    if value is None:
        return None
    number = number_of(value)
    if number is None or (isinstance(number, int) and number not in INT64):
        raise ValueError(f"{show(value)} is not a number")
    return number


def _read_float(value: Any, _: object = None) -> float:
    number = exact_float(value)
    if number is None:
        raise ValueError(f"{show(value)} is not a number that a float holds")
    return number


def _read_truth(value: Any, _: object = None) -> bool:
    truth = value if type(value) is bool else truth_of(value)
    if truth is None:
        raise ValueError(f"{show(value)} is not true or false")
    return truth


def reader_of_bounded(kind: Any) -> Callable[[Any, Any], Any]:
    """Return the hook of a type in `field_types`."""
    bounds = kind.__metadata__[0]

    def read_bounded_id(value: Any, _: object) -> str:
        text = read_id(value)
        if not bounds.min_length <= len(text) <= bounds.max_length:
            raise ValueError(f"an id has 1 to {bounds.max_length} characters, not {len(text)}")
        return text

    def read_bounded_whole(value: Any, _: object) -> int:
        whole = read_whole(value)
        if not bounds.ge <= whole <= bounds.le:
            raise ValueError(f"{whole} is outside of {bounds.ge} to {bounds.le}")
        return whole

    return read_bounded_id if kind.__origin__ is str else read_bounded_whole


READERS: dict[Any, Callable[[Any, Any], Any]] = {
    str: read_text,
    int: read_whole,
    float: _read_float,
    bool: _read_truth,
    int | float | None: _read_number,
}
"""The reader of each type of attribute. Vendors add their own types when they are imported."""


def _converter() -> "cattrs.Converter":
    """Return a new converter of `READERS`, which by now has the types of the class whose layout is made."""
    from cattrs import Converter

    converter = Converter()
    converter.register_structure_hook_factory(lambda kind: hasattr(kind, "__metadata__"), reader_of_bounded)
    for kind, read in READERS.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, read)
        else:
            converter.register_structure_hook_func(partial(eq, kind), read)
    return converter
