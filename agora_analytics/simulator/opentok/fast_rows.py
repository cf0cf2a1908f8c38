"""How rows are read: by their functions and values, and rows of nothing but values at once.

A page of statistics has tens of thousands of the latter.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import graphql

# graphql-core 3.3 has renamed it.
_Executor: Any = vars(graphql).get("Executor") or vars(graphql)["ExecutionContext"]


def resolve(source: Mapping[str, Any], info: Any, **asked: Any) -> Any:
    """Return a field of a row: what it holds, or what the function there gives; half the time of the library's own."""
    value = source.get(info.field_name)
    return value(info, **asked) if callable(value) else value


class LeafRow(dict[str, Any]):
    """A row whose fields are all scalars without arguments."""


class RowExecutor(_Executor):  # type: ignore[misc]
    """Executes as graphql-core does, but a `LeafRow` without its steps for each single field.

    That takes a fifth of the time, and gives the same answer as long as no field is made to fail.
    """

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, fields: Mapping[str, Iterable[Any]], *rest: Any
    ) -> Any:
        """Return the fields of a row."""
        if not isinstance(source_value, LeafRow) or self.field_resolver is not resolve:
            return super().execute_fields(parent_type, source_value, path, fields, *rest)
        row = {}
        for response_name, (first, *_) in fields.items():
            name = getattr(first, "node", first).name.value
            if name == "__typename":
                row[response_name] = parent_type.name
                continue
            value = source_value[name]
            row[response_name] = None if value is None else parent_type.fields[name].type.serialize(value)
        return row
