"""What a question is: words, the tool calls that answer it, and the answer from the content of the store."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import frozen

from .stored_world import StoredWorld

Results = list[Any]
"""The structured results of the calls so far; the text of an error in place of one that failed."""


@frozen
class ToolCall:
    """One call of a tool. `arguments` is a dict, or a function of the world and of the results so far."""

    tool: str
    arguments: dict | Callable[[StoredWorld, Results], dict]

    def filled(self, world, results):
        return self.arguments(world, results) if callable(self.arguments) else self.arguments


@frozen
class Question:
    """A question of a person.

    Attributes:
        text: the question.
        calls: the tool calls that answer it, in their order.
        answer: returns the answer from the results.
        expected: returns the same from the content of the store, without the tools.
        server: `command` is the real command; the others are in the process of the test: `impatient` has queries of 0.2 s,
            and `support` has the small calls only.
    """

    text: str
    calls: tuple[ToolCall, ...]
    answer: Callable[[Results], Any]
    expected: Callable[[StoredWorld], Any]
    server: Literal["command", "impatient", "support"] = "command"


def ask(text, *calls, answer, expected, **more):
    return Question(
        text, tuple(ToolCall(tool, arguments) for tool, arguments in calls), answer, expected, **more
    )


def refused(text, call, *words, **more):
    """Return a question that is refused with an error whose text has some words."""
    return ask(
        text, call, **more,
        answer=lambda results: [word for word in words if isinstance(results[-1], str) and word in results[-1]],
        expected=lambda _: list(words),
    )  # fmt: skip


def utc(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ids(results):
    return [call["call_id"] for call in results[-1]["calls"]]
