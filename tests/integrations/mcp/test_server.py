"""What the server says about itself, what a tool hides, and that a slow call does not block others."""

import asyncio
import json
import re
import threading
from pathlib import Path

import pytest
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult

from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.running import ToolThreads
from agora_analytics.integrations.mcp.server import TOOLS
from agora_analytics.store.query_limits import QueryLimits

from .stored_world import INJECTION


@pytest.fixture(scope="module")
def tools(support):
    from mcp import Client

    from agora_analytics.integrations.mcp.server import make_server

    async def listed():
        async with Client(make_server(OpenedStore(support), QueryLimits(seconds=60))) as client:
            return (await client.list_tools()).tools

    return asyncio.run(listed())


def test_tools_only_read_and_reach_nothing_outside(tools):
    for tool in tools:
        hints = tool.annotations
        assert (hints.read_only_hint, hints.destructive_hint) == (True, False)
        assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)


def test_every_argument_and_tool_is_described_with_an_example(tools):
    assert len(tools) == len(TOOLS)
    for tool in tools:
        examples = tool.description.partition("Example: ")[2].split(" or ")
        for example in examples:
            assert json.loads(example).keys() <= tool.input_schema["properties"].keys()
        assert len(tool.description) < 900
        assert tool.input_schema["additionalProperties"] is False
        for name, argument in tool.input_schema["properties"].items():
            assert argument["description"], (tool.name, name)
        assert tool.output_schema["type"] == "object"


def test_page_of_the_documentation_has_every_tool_and_argument(tools):
    page = (Path(__file__).parents[3] / "docs" / "howto" / "assistants.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", page, re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", arguments) for name, arguments in rows}
    assert documented == {tool.name: list(tool.input_schema["properties"]) for tool in tools}
    configurations = re.findall(r"```json\n(.+?)```", page, re.DOTALL)
    assert len([json.loads(each) for each in configurations]) == 2


def test_a_model_pays_for_no_titles(tools):
    """The definitions of all tools are read by a model in every conversation."""
    assert sum(len(json.dumps(tool.input_schema)) + len(tool.description) for tool in tools) < 16_000
    assert not any('"title": "' in json.dumps([tool.input_schema, tool.output_schema]) for tool in tools)


def test_instructions_resources_and_prompts(support, with_server):
    async def read(client):
        resources = (await client.list_resources()).resources
        texts = {each.name: (await client.read_resource(each.uri)).contents[0].text for each in resources}
        prompt = await client.get_prompt("bad_call", {"user": "42", "when": "2026-11-20T14:05Z"})
        week = await client.get_prompt("week", {})
        return client.instructions, texts, [each.messages[0].content.text for each in (prompt, week)]

    instructions, texts, (bad_call, week) = with_server(support, read)
    for word in ("UTC", "ratios", "ms", "coverage first", "never"):
        assert word in instructions
    assert "## quality" in texts["schema"]
    assert "`round_trip_time` (ms)" in texts["metrics"]
    assert "'42'" in bad_call
    names = [function.__name__ for function, _ in TOOLS]
    assert [name for name in names if name in bad_call] == ["coverage", "list_calls", "list_users", "why"]
    assert "7d" in week


def test_texts_of_users_are_escaped_data(support, with_server):
    async def read(client):
        users = await client.call_tool("list_users", {"call_id": "sup-5"})
        calls = await client.call_tool("list_calls", {"user": "10"})
        rows = await client.call_tool(
            "sql",
            {
                "query": "select cname, repeat('x', 3000), '\u200b' as \"a\u202e\" from calls where call_id = 'sup-5'"
            },
        )
        return users, calls, rows

    for result in with_server(support, read):
        summary, content = (each.text for each in result.content)
        assert json.loads(content) == result.structured_content
        assert INJECTION not in summary
        assert not {"\u202e", "\x1b", "\u200b"} & set(summary + content)
    assert result.structured_content["rows"] == [
        [r"standup\u202eevil\x1b[2J", "x" * 1000 + "... (2,000 more characters)", r"\u200b"]
    ]
    assert [each["name"] for each in result.structured_content["columns"]][-1] == r"a\u202e"


def test_values_of_all_types_are_json(support, with_server):
    query = """
        select 1.50::decimal(5, 2) as d, 'x'::blob as b, timestamptz '2026-11-20 08:00:00.5+00' as t, date '2026-11-20' as day,
            'nan'::double as nan, {'a': [1, null]} as s, interval 1 day as i, 170141183460469231731687303715884105727 as h,
            map {'k': 1.5} as m, time '08:00' as clock, null as nothing
    """

    async def read(client):
        return await client.call_tool("sql", {"query": query})

    (row,) = with_server(support, read).structured_content["rows"]
    assert row[:6] == [1.5, "1 bytes", "2026-11-20T08:00:00.500Z", "2026-11-20", "nan", {"a": [1, None]}]
    assert row[7] == 170141183460469231731687303715884105727 or isinstance(row[7], (float, str))
    assert row[-2:] == ["08:00:00", None]


def test_a_call_that_takes_long_does_not_block_others(support):
    """One tool waits until another one has returned."""
    released = threading.Event()

    def slow(opened):
        assert released.wait(60)
        return CallToolResult(content=[])

    def quick(opened):
        released.set()
        return CallToolResult(content=[])

    async def both():
        threads = ToolThreads(OpenedStore(support), QueryLimits(seconds=60))
        return await asyncio.gather(threads.bind(slow)(), threads.bind(quick)())

    assert len(asyncio.run(both())) == 2


def test_a_call_that_cannot_be_interrupted_is_given_up(support, monkeypatch):
    """DuckDB does not interrupt a single function, such as `repeat` of gigabytes."""
    monkeypatch.setattr("agora_analytics.integrations.mcp.running._GRACE", 0.0)
    released = threading.Event()

    def stuck(opened):
        released.wait(60)
        return CallToolResult(content=[])

    async def call():
        try:
            await ToolThreads(OpenedStore(support), QueryLimits(seconds=0.05)).bind(stuck)()
        finally:
            released.set()

    with pytest.raises(ToolError, match=r"no result after 0.05 s; ask for less"):
        asyncio.run(call())


def test_unexpected_errors_stay_on_the_server(support, with_server, monkeypatch, caplog):
    def broken(self):
        raise RuntimeError("a secret of the process")

    monkeypatch.setattr(type(support), "completeness", broken)

    async def read(client):
        return await client.call_tool("coverage", {})

    result = with_server(support, read)
    assert result.is_error
    assert "secret" not in result.content[0].text
    assert "a secret of the process" in caplog.text
