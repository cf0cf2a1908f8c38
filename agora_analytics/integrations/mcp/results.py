"""Results of tools: structured content and the same as text, with escapes for hidden characters."""

from typing import Any, TypeVar

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict

from agora_analytics.core.hidden_characters import visible
from agora_analytics.core.record import json_text

R = TypeVar("R", bound=BaseModel)

MOST_CHARACTERS = 1000
"""The longest text of one value. Texts of users, such as channel names, are shorter."""


class ResultModel(BaseModel):
    """The structured result of a tool. Fields without a value are left out."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def tool_result(result: ResultModel, summary: str) -> CallToolResult:
    """Return the result of a tool.

    Clients pass the structured content, the text or both to a model. So the text has the same JSON, after one sentence
    that says what was cut. `summary` must not quote a text of a user.
    """
    content = visible_values(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    texts = (summary, json_text(content))
    return CallToolResult(
        content=[TextContent(type="text", text=text) for text in texts], structured_content=content
    )


def visible_values(value: Any) -> Any:
    r"""Return JSON types with escapes for hidden characters in every text, and with long texts cut.

    Example:
        >>> print(visible_values({"channel": "room\u202e", "ids": ["7"]}))
        {'channel': 'room\\u202e', 'ids': ['7']}
    """
    match value:
        case str():
            return visible(_cut(value))
        case dict():
            return {visible(_cut(name)): visible_values(each) for name, each in value.items()}
        case list():
            return [visible_values(each) for each in value]
        case _:
            return value


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}... ({len(text) - MOST_CHARACTERS:,} more characters)"
