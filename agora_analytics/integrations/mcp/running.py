"""Runs the functions of tools in threads, with limits, and turns their errors into messages for a model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial, update_wrapper
from typing import Any

from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import ValidationError

from agora_analytics.core.hidden_characters import visible
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.store.query_limits import QueryLimits, limited_queries

ToolFunction = Callable[..., CallToolResult]

_AT_ONCE = 4  # tool calls
_GRACE = 10.0  # s; for the work in Python, and because DuckDB does not interrupt a single function of SQL


class StoreTool(Tool):
    """A tool that refuses unknown arguments. A model that misspells a filter would get the rows of everything."""

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Check the arguments and run the function.

        Raises:
            ToolError: the arguments are wrong, or the function raised an error of this library.
        """
        known = self.parameters.get("properties", {})
        for name in arguments.keys() - known.keys():
            advice = did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}"
            raise ToolError(f"{self.name} has no argument {visible(name)}{advice}")
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as problem:
            if isinstance(problem.__cause__, ValidationError):
                raise ToolError(_wrong_arguments(problem.__cause__)) from problem.__cause__
            if type(problem.__cause__) is ToolError:  # without the prefix of the SDK
                raise problem.__cause__ from None
            raise


class ToolThreads:
    """Runs the functions of tools in a few threads, so that the event loop can answer meanwhile.

    Attributes:
        store: the first argument of the functions.
        limits: of the queries of each call.
    """

    def __init__(self, store: OpenedStore, limits: QueryLimits) -> None:
        self.store = store
        self.limits = limits
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tool")

    def bind(self, function: ToolFunction) -> Callable[..., Awaitable[CallToolResult]]:
        """Return a coroutine function with the arguments of a function, without the store."""

        async def call(**arguments: Any) -> CallToolResult:
            future = asyncio.wrap_future(self._pool.submit(self._call, function, arguments))
            longest = self.limits.seconds + _GRACE
            await asyncio.wait([future], timeout=longest)
            if not future.done():
                future.cancel()  # has an effect only if the call still waits for a thread
                raise ToolError(
                    f"no result after {longest:g} s; ask for less: a shorter time range, or fewer rows and columns"
                )
            return future.result()

        return update_wrapper(call, partial(function, self.store), assigned=())

    def _call(self, function: ToolFunction, arguments: Mapping[str, Any]) -> CallToolResult:
        try:
            with limited_queries(self.limits):
                return function(self.store, **arguments)
        except AgoraAnalyticsError as problem:
            text = "; ".join([str(problem), *getattr(problem, "__notes__", ())])
            raise ToolError(visible(self.store.without_path(text))) from problem


def _wrong_arguments(problem: ValidationError) -> str:
    """Return what is wrong with the arguments of a call, without pydantic's addresses of web pages."""
    errors = (
        f"{'.'.join(map(str, error['loc']))}: {error['msg'][:1].lower()}{error['msg'][1:]}"
        for error in problem.errors(include_url=False, include_input=False)
    )
    return visible(f"wrong arguments: {'; '.join(errors)}")
