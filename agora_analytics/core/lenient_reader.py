"""Reads records one by one, and decides what of a response is lost. All vendors share it.

A field is read whatever form it has: a number as text, an integer as a float, a truth value as a number. Null counts as
missing. An optional field that cannot be read keeps its default, and `extra` has what was sent. A record without a
readable required field is skipped, and named in `LenientReader.skipped`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from reprlib import Repr
from typing import Annotated, Any, TypeVar, get_args, get_origin

import cattrs
from attrs import NOTHING, fields
from cattrs.gen import make_dict_structure_fn, override

from agora_analytics.core.field_types import LONGEST_ID
from agora_analytics.core.numbers import number_of, truth_of, whole_number
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.errors import DecodeError

R = TypeVar("R")

_MOST_LEVELS = 100
"""Lists and objects within each other in an undocumented field. Python writes no more than 1,000 as JSON."""
_repr = Repr()
_repr.maxstring = _repr.maxlong = _repr.maxother = 60
show = _repr.repr


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

    def records(self, kind: type[R], rows: Any, path: str, **how: Any) -> list[R]:
        """Return the rows of a list as records; `how` as `record`.

        Raises:
            DecodeError: the value is not a list. Null is an empty one.
        """
        each = (self.record(kind, row, f"{path}[{i}]", **how) for i, row in enumerate(list_of(rows, path)))
        return [record for record in each if record is not None]

    def record(
        self,
        kind: type[R],
        row: Any,
        path: str,
        *,
        names: Mapping[str, Sequence[str]] = {},
        known: Mapping[str, Any] = {},
        instead: Mapping[str, Any] = {},
        present: Iterable[str] = (),
    ) -> R | None:
        """Return a row as a record; None if it is skipped.

        Args:
            kind: the attrs class of the record.
            row: the row.
            path: where the row is in the response.
            names: the API's names of attributes, the preferred one first. By default, the name of the attribute.
            known: values of attributes that are not in the row.
            instead: values of attributes that are missing or cannot be read.
            present: attributes that may be null, but must be sent.
        """
        if not isinstance(row, dict):
            self.skip(path, f"expected an object, found {kind_of(row)}")
            return None
        optional, nullable, structure = _layout(kind, frozenset(known))
        instead = {**nullable, **instead}
        spellings = {name: names.get(name, (name,)) for name in optional}
        sent: dict[str, str] = {}
        for name, spelled in spellings.items():
            if (found := next((each for each in spelled if row.get(each) is not None), None)) is not None:
                sent[name] = found
        values = {**instead, **{name: row[found] for name, found in sent.items()}, **known}
        used = {each for spelled in spellings.values() for each in spelled}
        extra = {name: value for name, value in row.items() if name not in used}
        problems = [
            f"{spellings[name][0]} is missing" for name in present if not row.keys() & spellings[name]
        ]
        problems += [f"{name} is nested too deeply" for name, value in extra.items() if _is_deep(value)]
        while not problems:
            try:
                record: R = structure({**values, "extra": extra}, kind)
            except cattrs.ClassValidationError as error:
                for reason, note in error.group_exceptions()[0]:
                    name = note.name
                    if name not in values:
                        problems.append(f"{spellings[name][0]} is missing")
                    elif name in sent and (optional[name] or name in instead):
                        extra[sent[name]] = values.pop(name)
                        values |= {name: instead[name]} if name in instead else {}
                        del sent[name]
                    else:
                        problems.append(f"{sent.get(name, name)}: {reason}")
            else:
                return record
        key = next((values[name] for name in spellings if name in values), None)
        readable = isinstance(key, str | int) and not isinstance(key, bool) and key != ""
        self.skip(path, "; ".join(problems), str(key)[:LONGEST_ID] if readable else None)
        return None


@cache
def _layout(
    kind: type[Any], known: frozenset[str]
) -> tuple[Mapping[str, bool], Mapping[str, None], Callable[[Any, Any], Any]]:
    """Return how a class of records is read, given the attributes that are known.

    These are the attributes that a row may have, each with whether it has a default; those without a default that may be
    None; and the function that makes a record.
    """
    optional = {each.name: each.default is not NOTHING for each in fields(kind)}
    nullable = {each.name: None for each in fields(kind) if type(None) in get_args(each.type)}
    if "extra" not in optional:
        raise TypeError(
            f"{kind.__name__} has no attribute extra, so values that cannot be read would be lost"
        )
    as_they_are = {name: override(struct_hook=lambda value, _: value) for name in (*known, "extra")}
    structure = make_dict_structure_fn(kind, converter, **as_they_are)
    read = {name: optional[name] for name in optional if name not in as_they_are}
    return read, {name: None for name in nullable if read.get(name) is False}, structure


def _is_deep(value: Any, levels: int = _MOST_LEVELS) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deep(each, levels - 1) for each in inner)


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
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{show(value)} is not text")  # noqa: TRY004 - one kind of error for all values
    return str(value)


def read_id(value: Any, _: object = None) -> str:
    """Return an id, which may be sent as a whole number."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{show(value)} is not an id")
    return read_text(value)


def read_whole(value: Any, _: object = None) -> int:
    """Return an integer of 64 bits, which may be sent as text or as a float."""
    whole = whole_number(value)
    if whole is None:
        raise ValueError(f"{show(value)} is not an integer of 64 bits")
    return whole


def _read_number(value: Any, _: object = None) -> int | float | None:
    if value is None:
        return None
    number = number_of(value)
    if number is None or (isinstance(number, int) and whole_number(number) is None):
        raise ValueError(f"{show(value)} is not a number")
    return number


def _read_float(value: Any, _: object = None) -> float:
    number = number_of(value)
    if number is None:
        raise ValueError(f"{show(value)} is not a number")
    return float(number)


def _read_truth(value: Any, _: object = None) -> bool:
    truth = truth_of(value)
    if truth is None:
        raise ValueError(f"{show(value)} is not true or false")
    return truth


def _read_bounded(value: Any, kind: Any) -> int | str:
    """Read a value of a type in `field_types`."""
    bounds = kind.__metadata__[0]
    if kind.__origin__ is str:
        text = read_id(value)
        if not bounds.min_length <= len(text) <= bounds.max_length:
            raise ValueError(f"an id has 1 to {bounds.max_length} characters, not {len(text)}")
        return text
    whole = read_whole(value)
    if not bounds.ge <= whole <= bounds.le:
        raise ValueError(f"{whole} is outside of {bounds.ge} to {bounds.le}")
    return whole


converter = cattrs.Converter()
"""Vendors add the hooks of their own types."""
converter.register_structure_hook(str, read_text)
converter.register_structure_hook(int, read_whole)
converter.register_structure_hook(float, _read_float)
converter.register_structure_hook(bool, _read_truth)
converter.register_structure_hook_func(lambda kind: kind == int | float | None, _read_number)
converter.register_structure_hook_func(lambda kind: get_origin(kind) is Annotated, _read_bounded)
