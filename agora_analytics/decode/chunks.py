"""Splits a large metrics response between sessions, so that a parser works on pieces that fit into the CPU cache.

The first session shows how this server starts a session: `{"sid":`, or with spaces, or with another first key. Outside
strings, this text can only be the start of an object. It cannot be inside a string: the quotes would be escaped there,
and a string that ends before the key would be followed by another character.

The reader verifies the split. The rest of the text must be a response whose list of metrics is empty without the
sessions, and has one element with one number in their place. Each piece must be a list of objects. Then these objects
are the metrics.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

PIECE: Final = 500_000  # minimum bytes of a piece
_FIRST: Final = re.compile(rb'"metrics"\s*:\s*\[\s*(\{\s*"[a-z]+"\s*:)')


@frozen
class Pieces:
    """The sessions of a response as pieces of text. Each piece is a JSON list."""

    _body: bytes
    _start: int
    _end: int
    _separator: bytes

    def frame(self, instead: bytes) -> bytes:
        """Return the response with `instead` in place of the sessions."""
        return self._body[: self._start] + instead + self._body[self._end :]

    def __iter__(self) -> Iterator[bytes]:
        start = self._start
        while start < self._end:
            cut = self._body.find(self._separator, start + PIECE, self._end)
            stop = self._end if cut < 0 else cut
            yield b"".join((b"[", memoryview(self._body)[start:stop], b"]"))
            start = stop + 1


def is_large(body: bytes) -> bool:
    """Return whether a body has more than one piece. Parsing it at once would block other threads for too long."""
    return len(body) > PIECE


def session_pieces(body: bytes) -> Pieces | None:
    """Split a response between sessions; None if it is too small, or not written in the expected form.

    >>> pieces = session_pieces(b'{"metrics":[{"sid":"A","data":[]}]}' + b" " * PIECE)
    >>> pieces.frame(b"0").rstrip(), list(pieces)
    (b'{"metrics":[0]}', [b'[{"sid":"A","data":[]}]'])
    """
    if not is_large(body):
        return None
    metrics, end = body.find(b'"metrics"'), body.rfind(b"]")
    first = _FIRST.match(body, metrics) if metrics >= 0 else None
    if first is None or end < first.end():
        return None
    start, separator = first.start(1), b"," + first[1]
    if body.find(separator, start, end) < 0 and (
        spaced := re.compile(rb",\s+" + first[1]).search(body, start)
    ):
        separator = spaced[0]
    return Pieces(body, start, end, separator)
