"""The fastest reader: simdjson parses, and gives the numbers of a series as one flat buffer of float64.

Flat means that the brackets are gone: `[[1, 2], [3, 4]]` and `[[1, 2, 3], [4]]` look the same. So `pairs` proves,
from the text, that every point was a pair.
"""

from collections.abc import Iterable
from itertools import accumulate
from threading import local
from typing import Any, Final

import numpy as np
import simdjson

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode.chunks import is_large, session_pieces
from agora_analytics.decode.columns_builder import INT32, LOCAL_USER, ColumnsBuilder, flat_view
from agora_analytics.decode.fallback import NeedsFallback
from agora_analytics.decode.pair_check import all_pairs

KEEP_PARSER: Final = 4_000_000  # bytes; a parser keeps 5.5 times its largest text until it is dropped

_EXACT: Final = 2**53  # from here on not every integer is a float64
_FLUSH: Final = 16_384  # points moved to the columns at once, so that they are still in the cache
_NULL, _STAND_IN, _STAND_IN_VALUE = b",null]", b",9e299]", 9e299

_kept = local()


def read(body: bytes) -> MetricColumns:
    """Read a metrics answer; raise NeedsFallback if a slower reader must."""
    parse = _Parser()
    try:
        return _BodyReader(parse, len(body)).read(body)
    except (ValueError, TypeError, KeyError, RuntimeError):  # all that simdjson raises
        raise NeedsFallback from None
    finally:
        parse.leave()


class _BodyReader:
    """Reads one body, in one piece or many."""

    def __init__(self, parse: "_Parser", body_size: int) -> None:
        self._parse = parse
        self._builder = ColumnsBuilder()
        self._columns = _Columns(body_size)
        self._nulls_seen = False

    def read(self, body: bytes) -> MetricColumns:
        pieces = session_pieces(body)
        if pieces and self._has_metrics(pieces.frame(b""), 0) and self._has_metrics(pieces.frame(b"0"), 1):
            for text in pieces:
                self._read(text, whole=False)
        elif pieces is None and is_large(body):
            raise NeedsFallback  # hardly an answer of metrics
        else:
            self._read(body, whole=True)
        return self._builder.build(*self._columns.finish())

    def _has_metrics(self, frame: bytes, length: int) -> bool:
        answer = self._parse(frame)
        metrics = answer["metrics"] if "metrics" in _distinct_keys(answer) else None
        return type(metrics) is simdjson.Array and len(metrics) == length

    def _read(self, text: bytes, *, whole: bool) -> None:
        if not self._nulls_seen:
            points = self._columns.points
            try:
                _Piece(self._builder, self._columns).read(self._parse(text), text, whole=whole)
                return
            except TypeError:  # the likeliest reason is a null among the values
                self._nulls_seen = True
                self._columns.points = points
        without_null = text.replace(_NULL, _STAND_IN)
        nulls = (len(without_null) - len(text)) // (len(_STAND_IN) - len(_NULL))
        points = self._columns.points
        _Piece(self._builder, self._columns).read(self._parse(without_null), without_null, whole=whole)
        self._columns.restore_nulls(points, nulls)


class _Columns:
    """The two columns, with room for as many points as the body can hold; untouched pages cost nothing."""

    def __init__(self, body_size: int) -> None:
        room = body_size // len("[1,2],") + 1
        self._ts = np.empty(room, "i8")
        self._value = np.empty(room, "f8")
        self.points = 0

    def add(self, buffers: Iterable[Any]) -> None:
        """Add points, given as buffers of float64: ts, value, ts, value..."""
        flat = np.frombuffer(b"".join(buffers), "f8")
        start, self.points = self.points, self.points + len(flat) // 2
        ts, seconds = self._ts[start : self.points], flat[::2]
        with np.errstate(invalid="ignore"):
            ts[:] = seconds
        self._value[start : self.points] = flat[1::2]
        if len(ts) and not ((ts == seconds).all() and ts.min() > -_EXACT and ts.max() < _EXACT):
            raise NeedsFallback

    def restore_nulls(self, start: int, nulls: int) -> None:
        """Put NaN for the stand-in, from the point `start` on.

        All `nulls` that were replaced are values, not strings or something unknown; so if no more are found than
        these, the answer has no such number of its own.
        """
        value = self._value[start : self.points]
        is_null = value == _STAND_IN_VALUE
        if np.count_nonzero(is_null) != nulls:
            raise NeedsFallback
        value[is_null] = np.nan

    def finish(self) -> tuple[memoryview, memoryview]:
        """Give the columns out, cut to their points."""
        for numbers in (self._ts, self._value):
            numbers.resize(self.points, refcheck=False)
        return flat_view(self._ts, "q"), flat_view(self._value, "d")


class _Piece:
    """Reads one text with sessions. Its builder count when all of it is read; the points are the caller's to undo."""

    def __init__(self, builder: ColumnsBuilder, columns: _Columns) -> None:
        self._builder, self._columns = builder, columns
        self._sid_index: list[int] = []
        self._mid: list[int] = []
        self._peer_uid: list[str] = []
        self._points: list[int] = []
        self._containers, self._unknown = 1, 0

    def read(self, found: Any, text: bytes, *, whole: bool) -> None:
        """Read an answer, or if not `whole` a list of sessions, and the text that it was parsed from."""
        sessions = self._metrics(found) if whole else found
        if type(sessions) is not simdjson.Array:
            raise NeedsFallback
        kvs: list[Any] = []
        for session in sessions:
            kvs += self._read_session(session)
        if not all_pairs(
            text, kvs, points=sum(self._points), containers=self._containers, unknown=self._unknown
        ):
            raise NeedsFallback
        builder = self._builder
        builder.sid_index += self._sid_index
        builder.mid += self._mid
        builder.peer_uid += self._peer_uid
        builder.offsets[-1:] = accumulate(self._points, initial=builder.offsets[-1])

    def _metrics(self, answer: Any) -> Any:
        if type(answer) is not simdjson.Object:
            raise NeedsFallback
        metrics = answer["metrics"]  # none: no need to look any further
        self._look_at_others(answer, {"metrics"})
        return metrics

    def _read_session(self, session: Any) -> list[Any]:
        sid, data = session["sid"], session["data"]
        if len(session) != 2:
            self._look_at_others(session, {"sid", "data"})
        if type(sid) is not str or type(data) is not simdjson.Array or _has_bracket(sid):
            raise NeedsFallback
        sid_index = self._builder.session_index(sid)
        all_kvs, buffers, waiting = [], [], 0
        series: Any
        for series in data:
            mid, kvs, peer_uid = series["mid"], series["kvs"], series.get("peer_uid")
            if len(series) != 3 or peer_uid is None:
                self._look_at_others(series, {"mid", "kvs", "peer_uid"})
            if type(mid) is not int or mid not in INT32 or type(kvs) is not simdjson.Array:
                raise NeedsFallback
            points = len(kvs)
            if points:
                buffer = memoryview(kvs.as_buffer(of_type="d"))
                if buffer.nbytes != 16 * points or type(kvs[0]) is not simdjson.Array:
                    raise NeedsFallback
                buffers.append(buffer)
                waiting += points
                if waiting >= _FLUSH:
                    self._columns.add(buffers)
                    buffers, waiting = [], 0
            all_kvs.append(kvs)
            self._mid.append(mid)
            self._peer_uid.append(str(peer_uid) if type(peer_uid) is int else _peer_uid(peer_uid))
            self._points.append(points)
        self._columns.add(buffers)
        self._sid_index += [sid_index] * len(all_kvs)
        self._containers += 1 + len(all_kvs)
        return all_kvs

    def _look_at_others(self, parent: Any, known: set[str]) -> None:
        """Let unknown keys be, but keep count of the lists under them."""
        for key in _distinct_keys(parent):
            if key not in known:
                self._unknown += _lists_in(parent[key])


def _distinct_keys(parent: Any) -> list[str]:
    """Return the keys of an object; if one of them comes twice, or hides a bracket, the body is not for us."""
    keys = list(parent)
    if len(keys) != len(set(keys)) or any(map(_has_bracket, keys)):
        raise NeedsFallback
    return keys


def _lists_in(found: Any) -> int:
    """Count the lists in something unknown, which must not have had a null replaced."""
    if type(found) is simdjson.Array:
        return 1 + sum(map(_lists_in, found))
    if type(found) is simdjson.Object:
        return sum(_lists_in(found[key]) for key in _distinct_keys(found))
    if (type(found) is str and _has_bracket(found)) or found == _STAND_IN_VALUE:
        raise NeedsFallback
    return 0


def _has_bracket(text: str) -> bool:
    """Whether this string would be taken for a list when brackets are counted, or for the end of one with null."""
    return "[" in text or "]" in text


def _peer_uid(found: Any) -> str:
    if found is None:
        return LOCAL_USER
    if type(found) is not str or _has_bracket(found):
        raise NeedsFallback
    return found


class _Parser:
    """The parser of one body; at the end a small one is left to the next body of this thread."""

    def __init__(self) -> None:
        self._parser = getattr(_kept, "parser", None) or simdjson.Parser()
        _kept.parser = None
        self._largest = 0

    def __call__(self, text: bytes) -> Any:
        """Parse; nothing of the text before may be in use any more."""
        self._largest = max(self._largest, len(text))
        try:
            return self._parser.parse(text)
        except RuntimeError:  # an exception that somebody keeps still holds an object of an earlier text
            self._parser = simdjson.Parser()
            return self._parser.parse(text)

    def leave(self) -> None:
        """Leave the parser to the next body, if it is small."""
        if self._largest <= KEEP_PARSER:
            _kept.parser = self._parser
