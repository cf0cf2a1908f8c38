"""Makes and runs the MCP server of a store."""

from functools import partial
from inspect import cleandoc
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.resources import FunctionResource
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from agora_analytics import __version__
from agora_analytics.integrations.mcp import texts
from agora_analytics.integrations.mcp.calls import list_calls
from agora_analytics.integrations.mcp.comparison import compare
from agora_analytics.integrations.mcp.coverage import coverage
from agora_analytics.integrations.mcp.diagnosis import why
from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.quality_report import report
from agora_analytics.integrations.mcp.running import StoreTool, ToolFunction, ToolThreads
from agora_analytics.integrations.mcp.schema import metrics_text, schema, schema_text
from agora_analytics.integrations.mcp.scores import score
from agora_analytics.integrations.mcp.sql import sql
from agora_analytics.integrations.mcp.users import list_users
from agora_analytics.store.query_limits import QueryLimits

TOOLS: tuple[tuple[ToolFunction, str], ...] = (
    (coverage, "Stored days"),
    (list_calls, "Calls"),
    (list_users, "Users of a call"),
    (why, "Why a call was poor"),
    (score, "Scores"),
    (report, "Quality report"),
    (compare, "Compare two periods"),
    (schema, "Tables and metrics"),
    (sql, "SQL query"),
)
"""The tools with their titles."""

_ANNOTATIONS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def make_server(opened: OpenedStore, limits: QueryLimits) -> MCPServer:
    """Return the server of a store.

    Args:
        opened: the store.
        limits: of the queries of each tool call.

    Example::

        make_server(OpenedStore.open("calls.store"), QueryLimits(seconds=20)).run()
    """
    threads = ToolThreads(opened, limits)
    server = MCPServer(
        "agora-analytics",
        title="Call quality of a store",
        instructions=texts.INSTRUCTIONS,
        version=__version__,
        tools=[_tool(threads, function, title) for function, title in TOOLS],
        log_level="WARNING",
    )
    for uri, name, title, text in (
        ("agora-analytics://schema", "schema", "Tables and columns", partial(schema_text, opened)),
        ("agora-analytics://metrics", "metrics", "Common metrics", metrics_text),
    ):
        server.add_resource(
            FunctionResource(uri=uri, name=name, title=title, mime_type="text/markdown", fn=text)
        )
    server.add_prompt(Prompt.from_function(texts.bad_call, title="Why was this call bad?"))
    server.add_prompt(Prompt.from_function(texts.week, title="How was the week?"))
    return server


def _tool(threads: ToolThreads, function: ToolFunction, title: str) -> Tool:
    tool = StoreTool.from_function(
        threads.bind(function),
        name=function.__name__,
        title=title,
        description=cleandoc(function.__doc__ or ""),
        annotations=_ANNOTATIONS,
    )
    tool.parameters = _without_titles(tool.parameters) | {"additionalProperties": False}
    tool.fn_metadata.output_schema = _without_titles(tool.fn_metadata.output_schema)
    return tool


def _without_titles(schema: Any) -> Any:
    """Return a JSON schema without the titles that pydantic adds. They repeat the names, and a model pays for them."""
    match schema:
        case dict():
            return {
                name: _without_titles(each)
                for name, each in schema.items()
                if name != "title" or not isinstance(each, str)
            }
        case list():
            return [_without_titles(each) for each in schema]
        case _:
            return schema
