"""Executes GraphQL queries with ariadne and graphql-core: schema, resolvers, injected errors, and the vendor's error format.

Source: `schema.graphql` in this folder, a reconstruction: no official schema is public.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import graphql
from ariadne import ScalarType, graphql_sync, make_executable_schema
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse

from agora_analytics.simulator.opentok.dates import format_date
from agora_analytics.simulator.opentok.rules import OpenTokRefused, OpenTokUnauthorised

_LOGGER = logging.getLogger("agora_analytics.simulator.opentok")
_LOGGER.disabled = True  # a refusal is a response, not an error of the server
_CODES = (  # by the text of graphql-core's error
    (re.compile(r"is required, but|was not provided|to be provided"), 1013),
    (re.compile(r"Int cannot represent"), 1006),
    (re.compile(r"Enum .Interval. cannot represent .*: \["), 1003),
    (re.compile(r"cannot represent .*: \["), 1010),
    (re.compile(r"Unknown argument"), 1005),
    (re.compile(r"Syntax Error|Cannot query field|must be a string|JSON object"), 1004),
)
# graphql-core 3.3 renamed this class.
_Executor: Any = vars(graphql).get("Executor") or vars(graphql)["ExecutionContext"]


def resolve(source: Mapping[str, Any], info: Any, **args: Any) -> Any:
    """Return a field of a row: its value, or the result of its function. Takes half the time of the default resolver."""
    value = source.get(info.field_name)
    return value(info, **args) if callable(value) else value


class LeafRow(dict[str, Any]):
    """A row whose fields are all scalars without arguments."""


class RowExecutor(_Executor):  # type: ignore[misc]
    """Reads a `LeafRow` at once instead of field by field.

    A page of statistics has tens of thousands of such rows. This takes a fifth of the time of graphql-core, and returns
    the same unless an error is injected into a field.
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


def failing_once(field: str, code: int) -> Callable[..., Any]:
    """Return a field resolver that fails with an error code the first time that it resolves a field of this name."""
    failed = False

    def fail_or_resolve(source: Any, info: Any, **args: Any) -> Any:
        nonlocal failed
        if info.field_name == field and not failed:
            failed = True
            raise OpenTokRefused(code)
        return resolve(source, info, **args)

    return fail_or_resolve


def _text_or_integer(scalar: str, value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError(f"{scalar} cannot represent value: {value!r}")
    return value


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema, built once."""
    return make_executable_schema(
        Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"),
        # The field that takes a date interprets it.
        ScalarType("Date", serializer=format_date, value_parser=partial(_text_or_integer, "Date")),
        ScalarType("IntOrString", serializer=str, value_parser=partial(_text_or_integer, "IntOrString")),
    )


@lru_cache(maxsize=64)
def parse_query(query: str) -> DocumentNode:
    """Parse a query. The pages of a list share a query and differ in variables, so the result is cached."""
    return parse(query)


def format_error(error: GraphQLError, _debug: bool = False) -> dict[str, Any]:
    """Format an error as the vendor does: with `errorCode` next to the message, not in `extensions`."""
    cause = error.original_error
    # Raise what refuses the whole request, and errors of the simulator itself.
    is_partial = isinstance(cause, OpenTokRefused) and not isinstance(cause, OpenTokUnauthorised)
    if cause is not None and not is_partial and not isinstance(cause, GraphQLError):
        raise cause
    fields: dict[str, Any] = {"message": error.message}
    if error.locations:
        fields["locations"] = [location.formatted for location in error.locations]
    if error.path:
        fields["path"] = error.path
    if isinstance(cause, OpenTokRefused):
        code = cause.code
    else:
        code = next((code for text, code in _CODES if text.search(error.message)), 1022)
    return fields | {"errorCode": code}


def execute(
    data: Mapping[str, Any],
    root: Mapping[str, Any],
    *,
    introspection: bool,
    resolver: Callable[..., Any] = resolve,
) -> dict[str, Any]:
    """Execute a query and return the body of the response. Errors that refuse the whole request are raised."""
    _, body = graphql_sync(
        schema(),
        dict(data),
        root_value=dict(root),
        query_parser=lambda _context, sent: parse_query(sent["query"]),
        introspection=introspection,
        logger=_LOGGER,
        error_formatter=format_error,
        field_resolver=resolver,
        execution_context_class=RowExecutor,
    )
    result: dict[str, Any] = body
    return result
