"""The base class of the values that clients return: records, pages, quotas, reports and events, as JSON."""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from functools import cache
from math import isfinite
from typing import Any, ClassVar, get_args, get_type_hints

from attrs import fields


class Record:
    """Base class of the attrs classes that can become JSON.

    FastAPI and pydantic serialize a record as `to_dict()` does, with or without a return annotation.
    """

    __slots__ = ()

    _IN_JSON: ClassVar[tuple[str, ...]] = ()
    """Properties that `to_dict()` has in addition to the attributes."""
    _NOT_IN_JSON: ClassVar[frozenset[str]] = frozenset()
    """Attributes that `to_dict()` leaves out. Private attributes are always left out."""

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dict of JSON types, nested objects included.

        - Times stay what their names say: `created_ts` is a number of seconds. A datetime is ISO 8601 text.
        - `extra` is kept as the server sent it.
        - NaN and infinities are None, because JSON does not have them.
        - Integers are exact. JavaScript and other readers that use doubles round them above 2^53.
        - The response body of a page (`Page.raw`) is left out.

        Example:
            json.dumps([call.to_dict() for call in calls])
        """
        return {name: json_value(getattr(self, name)) for name in json_names(type(self))}

    def to_json(self) -> str:
        """Return `to_dict()` as a JSON object in one line of text."""
        return json_text(self.to_dict())

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        # FastAPI encodes an object of an unknown class, such as one that a route without a return annotation returns,
        # by its `vars()`. A class with slots has none.
        return self.to_dict()

    def __dir__(self) -> list[str]:
        return dir(type(self))  # `object.__dir__` computes `__dict__`, which takes a second for a large page

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic import PydanticSchemaGenerationError
        from pydantic_core import core_schema, to_jsonable_python

        def schema_of(hint: Any) -> Any:
            try:
                return handler.generate_schema(hint)
            except PydanticSchemaGenerationError:  # such as a memoryview
                return core_schema.any_schema()

        def refuse(_: Any) -> Any:
            raise ValueError(f"{cls.__name__} is a result of this library, and is not read from JSON")

        def serialize(value: Any, info: Any) -> Any:
            return to_jsonable_python(json_value(value), include=info.include, exclude=info.exclude)

        types = {name: schema_of(hint) for name, hint in json_types(cls, get_args(source)).items()}
        described = core_schema.typed_dict_schema(
            {name: core_schema.typed_dict_field(kind) for name, kind in types.items()}
        )
        # pydantic applies `exclude_none` to a typed dict, and leaves `include` and `exclude` to the function.
        values = dict.fromkeys(types, core_schema.typed_dict_field(core_schema.any_schema(), required=False))
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(refuse, described),
            python_schema=core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                serialize, info_arg=True, return_schema=core_schema.typed_dict_schema(values)
            ),
            ref=_reference(cls) + "".join(f"[{_reference(each)}]" for each in get_args(source)),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        described = handler(schema["json_schema"])
        described |= {"title": cls.__name__, "description": (cls.__doc__ or "").partition("\n")[0]}
        return described


def _reference(kind: Any) -> str:
    """Return a unique name for pydantic, which makes `Page_Call_` of `module.Page:1[module.Call:2]`."""
    return f"{kind.__module__}.{kind.__qualname__}:{id(kind)}" if isinstance(kind, type) else str(kind)


def json_text(value: Any) -> str:
    """Return JSON types as JSON in one line."""
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_value(value: Any) -> Any:
    """Return a value as JSON types; see `Record.to_dict`.

    Example:
        >>> json_value({"rate": float("nan"), "roles": ("host",), "id": 2**63})
        {'rate': None, 'roles': ['host'], 'id': 9223372036854775808}
    """
    match value:
        case Enum():
            return value.value
        case None | str() | int():  # true and false are integers
            return value
        case float():
            return value if isfinite(value) else None
        case Record():
            return value.to_dict()
        case Mapping():
            return {str(name): json_value(each) for name, each in value.items()}
        case date():  # a datetime is a date
            return value.isoformat()
        case Iterable():
            return [json_value(each) for each in value]
        case _:
            return str(value)


def json_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names that `to_dict()` of a class has: attributes, then properties."""
    return _json_names(kind)  # type: ignore[arg-type] # a class is hashable


@cache
def _json_names(kind: type[Any]) -> tuple[str, ...]:
    left_out = getattr(kind, "_NOT_IN_JSON", ())
    names = [each.name for each in fields(kind) if each.name not in left_out and each.name[0] != "_"]
    return (*names, *getattr(kind, "_IN_JSON", ()))


def json_types(kind: type[Any], arguments: tuple[Any, ...] = ()) -> Mapping[str, Any]:
    """Return the annotations of what `to_dict()` has; `arguments` are those of a generic class such as `Page[Call]`."""
    hints = get_type_hints(kind)
    parameters = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
    types = {}
    for name in json_names(kind):
        member = getattr(kind, name, None)
        hint = get_type_hints(member.fget).get("return", Any) if isinstance(member, property) else hints[name]
        if variables := getattr(hint, "__parameters__", ()):
            hint = hint[tuple(parameters.get(each, Any) for each in variables)]
        types[name] = hint
    return types
