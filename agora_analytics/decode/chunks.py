"""Cutting a large answer between two sessions, so that a parser works on what fits into the cache.

The first session tells how this server begins one: `{"sid":`, or with other spaces, or another key in front. Raw, that
can only be the start of an object: inside a string its quotes would be escaped, and a string that ends before the key
would have to be followed by something else. Whether the cuts are right is seen when the pieces are parsed: if the rest of the text is an answer whose list of metrics is empty with nothing in their place and has one
element with one number there, and each piece is a list of objects, then these objects are the metrics.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

PIECE: Final = 500_000  # bytes that a piece should have at least
_FIRST: Final = re.compile(rb'"metrics"\s*:\s*\[\s*(\{\s*"[a-z]+"\s*:)')


@frozen
class Pieces:
    """The sessions of an answer as texts, each a JSON list."""

    _body: bytes
    _start: int
    _end: int
    _next: bytes

    def frame(self, instead: bytes) -> bytes:
        """Return the answer with something else in place of the sessions."""
        return self._body[: self._start] + instead + self._body[self._end :]

    def __iter__(self) -> Iterator[bytes]:
        start = self._start
        while start < self._end:
            cut = self._body.find(self._next, start + PIECE, self._end)
            stop = self._end if cut < 0 else cut
            yield b"".join((b"[", memoryview(self._body)[start:stop], b"]"))
            start = stop + 1


def is_large(body: bytes) -> bool:
    """Return whether a body is more than one piece: parsed at once it would let no other thread run for too long."""
    return len(body) > PIECE


def session_pieces(body: bytes) -> Pieces | None:
    """Cut an answer between sessions; None if it is too small for that, or is written in another way.

    >>> cut = session_pieces(b'{"metrics":[{"sid":"A","data":[]}]}' + b" " * PIECE)
    >>> cut.frame(b"0").rstrip(), list(cut)
    (b'{"metrics":[0]}', [b'[{"sid":"A","data":[]}]'])
    """
    if not is_large(body):
        return None
    metrics, end = body.find(b'"metrics"'), body.rfind(b"]")
    first = _FIRST.match(body, metrics) if metrics >= 0 else None
    if first is None or end < first.end():
        return None
    start, behind = first.start(1), b"," + first[1]
    if body.find(behind, start, end) < 0 and (spaced := re.compile(rb",\s+" + first[1]).search(body, start)):
        behind = spaced[0]
    return Pieces(body, start, end, behind)
