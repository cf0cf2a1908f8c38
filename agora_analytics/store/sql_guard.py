"""Accepts SQL statements that only read, and locks DuckDB's sandbox around a query of somebody else.

The sandbox alone is not enough: DuckDB also writes into `allowed_directories`. The statement alone is not enough either:
a table function computes the name of the file that it reads. So both are checked.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from agora_analytics.errors import InvalidRequest

_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {
    "duckdb_columns", "duckdb_constraints", "duckdb_functions", "duckdb_keywords", "duckdb_tables",
    "duckdb_types", "duckdb_views", "generate_series", "glob", "histogram", "histogram_values",
    "icu_calendar_names", "json_each", "json_tree", "parquet_bloom_probe", "parquet_file_metadata",
    "parquet_full_metadata", "parquet_kv_metadata", "parquet_metadata", "parquet_scan",
    "parquet_schema", "pg_timezone_names", "pragma_table_info", "pragma_version", "range", "read_blob",
    "read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_json_objects",
    "read_json_objects_auto", "read_ndjson", "read_ndjson_auto", "read_ndjson_objects", "read_parquet",
    "read_text", "repeat", "repeat_row", "sniff_csv", "summary", "test_all_types", "unnest",
}  # fmt: skip
"""Table functions of a sandboxed query. Others run SQL in a text, change settings, log to files or attach databases."""

_EXPLAIN = re.compile(
    r"(?>\s+|--[^\n]*\n|/\*.*?\*/)*+(explain\b(?:\s+analyze\b)?(?:\s*\(\s*(?:analyze|format)\b[\w\s,]*\))?)(.*)",
    re.IGNORECASE | re.DOTALL,
)
_ONE_QUERY = "the store accepts one query that reads: SELECT, DESCRIBE, SUMMARIZE, or EXPLAIN of a SELECT"
_SECRETS_OF_ENVIRONMENT = ("http_proxy", "http_proxy_username", "http_proxy_password")


def check_statement(connection: duckdb.DuckDBPyConnection, text: str, *, sandboxed: bool) -> str:
    """Return the statement to run if a text is one statement that reads, judged by DuckDB's parser.

    Args:
        connection: any connection; the statement is not run.
        text: the statement.
        sandboxed: accept only the table functions of a sandboxed query.

    Raises:
        InvalidRequest: if the text is not one statement that reads.
        duckdb.Error: if the text cannot be parsed.
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest("the query is wrong: it is not valid Unicode text")
    kinds = [_kind(statement) for statement in connection.extract_statements(text)]
    prefix, query = "", text
    if kinds == ["EXPLAIN"] and (explained := _EXPLAIN.fullmatch(text)):
        # DuckDB does not parse the statement inside EXPLAIN separately. It is judged alone, and comments before it are
        # dropped: they must not hide another EXPLAIN.
        prefix, query = explained.groups()
        kinds = [_kind(statement) for statement in connection.extract_statements(query)]
    if kinds == ["MULTI"]:
        raise InvalidRequest(
            "cannot run a PIVOT that takes its columns from the data; name them, such as pivot ... on mid in (20003, 20018)"
        )
    if kinds != ["SELECT"]:
        raise InvalidRequest(
            f"cannot run {prefix and 'EXPLAIN of '}{', '.join(kinds) or 'an empty text'}: {_ONE_QUERY}"
        )
    for node in _nodes(_parsed(connection, query)):
        _check_node(node, sandboxed=sandboxed)
    return f"{prefix} {query}" if prefix else text


def _check_node(node: dict[str, Any], *, sandboxed: bool) -> None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
        # since DuckDB 2, a common table expression may be INSERT, UPDATE, DELETE or COPY
        raise InvalidRequest(f"cannot run {kind.split('_')[0]} in a SELECT: {_ONE_QUERY}")
    if sandboxed and kind == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).lower()
        if name not in _TABLE_FUNCTIONS:
            raise InvalidRequest(
                f"the table function {name} is not available here, because it may do more than read"
            )


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Let a connection read files in some folders only. It may still write temporary files. Cannot be undone.

    Nothing else is available afterwards: other files, the network, extensions, Python variables, settings.
    """
    readable = {spelling for folder in folders for spelling in spellings(folder)}
    connection.execute(f"SET allowed_directories = [{', '.join(map(quoted, sorted(readable)))}]")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoload_known_extensions = false")
    # DuckDB takes them from the environment, and a query could read them.
    for name in _SECRETS_OF_ENVIRONMENT:
        connection.execute(f"SET {name} = ''")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def escaped_glob(path: str) -> str:
    """Return a path as a pattern that matches only this path."""
    return re.sub(r"([\[*?])", r"[\1]", path)


def spellings(folder: Path) -> Iterator[str]:
    """Yield the paths by which DuckDB may name a folder, in queries, patterns and errors."""
    # DuckDB compares the text of a pattern, too, and DuckDB 1 does not resolve links.
    for path in (folder, folder.absolute(), folder.resolve()):
        yield str(path)
        yield escaped_glob(str(path))


def quoted(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _kind(statement: Any) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a statement that DuckDB's Python module does not know, such as UPDATE EXTENSIONS
        return "this statement"


def _parsed(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
    [(answer,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
    try:
        parsed = json.loads(answer)
    except RecursionError:
        raise InvalidRequest("the query is nested too deeply") from None
    if parsed.get("error", True):
        raise InvalidRequest(
            f"cannot run this statement: {_ONE_QUERY} ({parsed.get('error_message', 'not a SELECT')})"
        )
    return parsed["statements"]


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a parsed statement."""
    stack = [parsed]
    while stack:
        match stack.pop():
            case dict() as node:
                yield node
                stack.extend(node.values())
            case list() as nodes:
                stack.extend(nodes)
            case _:
                pass
