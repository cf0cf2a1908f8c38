"""Lets streams write hidden characters as escapes, and characters that their encoding does not have."""

import io
from collections.abc import Callable
from typing import Protocol, TextIO

from agora_analytics.core.hidden_characters import is_utf8


class Writable(Protocol):
    """A stream of text to write to."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> None:
        """Pass on what was written."""


class TerminalText:
    """A terminal that shows hidden characters as escapes."""

    def __init__(self, terminal: TextIO, escape: Callable[[str, str], str]) -> None:
        self._terminal = terminal
        self._escape = escape

    def write(self, text: str, /) -> None:
        """Write a text."""
        self._terminal.write(self._escape(text, self._terminal.encoding or "utf-8"))

    def flush(self) -> None:
        """Flush the terminal."""
        self._terminal.flush()


def escape_what_is_not_encodable(stream: TextIO) -> None:
    """Let a stream write escapes for characters that its encoding does not have; it would raise an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def use_utf8(stream: TextIO) -> None:
    """Let a stream write UTF-8, whatever the locale is."""
    if isinstance(stream, io.TextIOWrapper) and not is_utf8(stream.encoding):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
