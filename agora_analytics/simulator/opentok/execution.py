"""Executes GraphQL queries with ariadne and graphql-core: schema, resolvers, injected errors, and the vendor's error format.

Source: `schema.graphql` in this folder, a reconstruction: no official schema is public.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import graphql
from ariadne import ScalarType, graphql_sync, make_executable_schema
from attrs import frozen
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse

from agora_analytics.simulator.opentok.dates import format_date, parse_date
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


@frozen
class InjectedError:
    """An error of the vendor that one request returns. `at` is the name of the field that fails; None: the whole request."""

    code: int
    at: str | None

    def raise_early(self) -> None:
        """Refuse the request before its query is executed, if the whole request fails.

        Raises:
            OpenTokUnauthorised: the whole request fails.
        """
        if self.at is None:
            raise OpenTokUnauthorised(self.code)

    def resolver(self) -> Callable[..., Any]:
        """Return a field resolver that fails the first time that it resolves the field."""
        raised = False

        def fail_or_resolve(source: Any, info: Any, **args: Any) -> Any:
            nonlocal raised
            if info.field_name == self.at and not raised:
                raised = True
                raise OpenTokRefused(self.code)
            return resolve(source, info, **args)

        return fail_or_resolve


def _project_id(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError(f"IntOrString cannot represent value: {value!r}")
    return value


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema, built once."""
    return make_executable_schema(
        Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"),
        ScalarType("Date", serializer=format_date, value_parser=parse_date),
        ScalarType("IntOrString", serializer=str, value_parser=_project_id),
    )


@lru_cache(maxsize=64)
def parse_query(query: str) -> DocumentNode:
    """Parse a query. The pages of a list share a query and differ in variables, so the result is cached."""
    return parse(query)


def format_error(error: GraphQLError, _debug: bool = False) -> dict[str, Any]:
    """Format an error as the vendor does: with `errorCode` next to the message, not in `extensions`.

    Raises:
        Exception: an error of the simulator itself, which is not part of the API.
    """
    cause = error.original_error
    if cause is not None and not isinstance(cause, OpenTokRefused | GraphQLError):
        raise cause
    fields: dict[str, Any] = {"message": error.message}
    if error.locations:
        fields["locations"] = [location.formatted for location in error.locations]
    if error.path:
        fields["path"] = error.path
    return fields | {"errorCode": cause.code if isinstance(cause, OpenTokRefused) else _code(error.message)}


def execute(
    data: Mapping[str, Any],
    root: Mapping[str, Any],
    *,
    introspection: bool,
    resolver: Callable[..., Any] = resolve,
) -> tuple[bool, dict[str, Any]]:
    """Execute a query. Return whether it is valid, and the body of the response.

    Raises:
        OpenTokUnauthorised: a field refuses the whole request.
    """

    def format_or_refuse(error: GraphQLError, debug: bool = False) -> dict[str, Any]:
        if isinstance(error.original_error, OpenTokUnauthorised):
            raise error.original_error
        return format_error(error, debug)

    _, body = graphql_sync(
        schema(),
        dict(data),
        root_value=dict(root),
        query_parser=lambda _context, sent: parse_query(sent["query"]),
        introspection=introspection,
        logger=_LOGGER,
        error_formatter=format_or_refuse,
        field_resolver=resolver,
        execution_context_class=RowExecutor,
    )
    return body.get("data") is not None, body


def _code(message: str) -> int:
    return next((code for text, code in _CODES if text.search(message)), 1022)
