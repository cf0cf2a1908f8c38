"""The schema, executed by ariadne and graphql-core, and errors as the vendor writes them.

Source: `schema.graphql` beside this file, a reconstruction: no official one is public.
"""

import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ariadne import ScalarType, graphql_sync, make_executable_schema
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse

from agora_analytics.simulator.opentok.date_scalar import taken, written
from agora_analytics.simulator.opentok.fast_rows import RowExecutor, resolve
from agora_analytics.simulator.opentok.refusals import OpenTokRefused, OpenTokUnauthorised

_LOGGER = logging.getLogger("agora_analytics.simulator.opentok")
_LOGGER.disabled = True  # a refusal is an answer, and no fault of the server
_CODES = (  # of an error that graphql-core finds, by its words
    (re.compile(r"is required, but|was not provided|to be provided"), 1013),
    (re.compile(r"Int cannot represent"), 1006),
    (re.compile(r"Enum .Interval. cannot represent .*: \["), 1003),
    (re.compile(r"cannot represent .*: \["), 1010),
    (re.compile(r"Unknown argument"), 1005),
    (re.compile(r"Syntax Error|Cannot query field|must be a string|JSON object"), 1004),
)


def _project_id(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError(f"IntOrString cannot represent value: {value!r}")
    return value


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema, built once."""
    return make_executable_schema(
        Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"),
        ScalarType("Date", serializer=written, value_parser=taken),
        ScalarType("IntOrString", serializer=str, value_parser=_project_id),
    )


@lru_cache(maxsize=64)
def parsed(query: str) -> DocumentNode:
    """Return a query as a tree; pages of one list have one query, with other variables."""
    return parse(query)


def formatted(error: GraphQLError, _debug: bool = False) -> dict[str, Any]:
    """Return an error as the vendor writes it: with its code beside the message, not below `extensions`.

    Raises:
        Exception: the simulator itself failed, which is no answer of the vendor's.
    """
    cause = error.original_error
    if cause is not None and not isinstance(cause, OpenTokRefused | GraphQLError):
        raise cause
    made: dict[str, Any] = {"message": error.message}
    if error.locations:
        made["locations"] = [location.formatted for location in error.locations]
    if error.path:
        made["path"] = error.path
    return made | {"errorCode": cause.code if isinstance(cause, OpenTokRefused) else _code(error.message)}


def executed(
    data: Mapping[str, Any],
    root: Mapping[str, Any],
    *,
    introspection: bool,
    resolver: Callable[..., Any] = resolve,
) -> tuple[bool, dict[str, Any]]:
    """Return whether a query was valid, and its answer.

    Raises:
        OpenTokUnauthorised: a field refused the whole request.
    """

    def format_or_refuse(error: GraphQLError, debug: bool = False) -> dict[str, Any]:
        if isinstance(error.original_error, OpenTokUnauthorised):
            raise error.original_error
        return formatted(error, debug)

    _, answer = graphql_sync(
        schema(),
        dict(data),
        root_value=dict(root),
        query_parser=lambda _context, sent: parsed(sent["query"]),
        introspection=introspection,
        logger=_LOGGER,
        error_formatter=format_or_refuse,
        field_resolver=resolver,
        execution_context_class=RowExecutor,
    )
    return answer.get("data") is not None, answer


def _code(message: str) -> int:
    return next((code for words, code in _CODES if words.search(message)), 1022)
