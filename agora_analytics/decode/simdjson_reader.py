"""Reads a metrics response with simdjson, which returns the numbers of a series as one flat buffer of float64.

The brackets are lost in a flat buffer: `[[1, 2], [3, 4]]` and `[[1, 2, 3], [4]]` become equal. `pair_check` proves from
the text that every point is a pair.
"""

from collections.abc import Iterable
from itertools import accumulate
from threading import local
from typing import Any, Final

import numpy as np
import simdjson

from agora_analytics.core.columns import LOCAL_USER, MetricColumns
from agora_analytics.core.field_types import LONGEST_ID
from agora_analytics.decode.chunks import is_large, session_pieces
from agora_analytics.decode.columns_builder import INT32, ColumnsBuilder, NeedsFallback
from agora_analytics.decode.pair_check import all_pairs
from agora_analytics.instants import LAST_SECOND

KEEP_PARSER: Final = 4_000_000  # bytes; a parser keeps 5.5 times its largest text until it is freed
_FLUSH: Final = 16_384  # points that are moved to the columns at once, so that they stay in the CPU cache
_NULL, _PLACEHOLDER, _PLACEHOLDER_VALUE = b",null]", b",9e299]", 9e299

_kept = local()


def read(body: bytes) -> MetricColumns:
    """Read a metrics response. See `Reader`."""
    parse = _Parser()
    try:
        return _BodyReader(parse, len(body)).read(body)
    except (ValueError, TypeError, KeyError, RuntimeError):  # all exceptions of simdjson
        raise NeedsFallback from None
    finally:
        parse.release()


class _BodyReader:
    """Reads one body, as a whole or in pieces."""

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
            raise NeedsFallback  # probably not a metrics response
        else:
            self._read(body, whole=True)
        return self._builder.build(*self._columns.finish())

    def _has_metrics(self, frame: bytes, length: int) -> bool:
        response = self._parse(frame)
        metrics = response["metrics"] if "metrics" in _distinct_keys(response) else None
        return type(metrics) is simdjson.Array and len(metrics) == length

    def _read(self, text: bytes, *, whole: bool) -> None:
        if not self._nulls_seen:
            points = self._columns.points
            try:
                _PieceReader(self._builder, self._columns).read(self._parse(text), text, whole=whole)
                return
            except TypeError:  # the most likely reason is a null among the values
                self._nulls_seen = True
                self._columns.points = points
        without_null = text.replace(_NULL, _PLACEHOLDER)
        nulls = (len(without_null) - len(text)) // (len(_PLACEHOLDER) - len(_NULL))
        points = self._columns.points
        _PieceReader(self._builder, self._columns).read(self._parse(without_null), without_null, whole=whole)
        self._columns.restore_nulls(points, nulls)


class _Columns:
    """The two columns, allocated for the maximum number of points in the body; unused memory pages cost nothing."""

    def __init__(self, body_size: int) -> None:
        capacity = body_size // len("[1,2],") + 1
        self._ts = np.empty(capacity, "i8")
        self._value = np.empty(capacity, "f8")
        self.points = 0

    def add(self, buffers: Iterable[Any]) -> None:
        """Add points from buffers of float64 in the order ts, value, ts, value."""
        flat = np.frombuffer(b"".join(buffers), "f8")
        start, self.points = self.points, self.points + len(flat) // 2
        ts, seconds = self._ts[start : self.points], flat[::2]
        with np.errstate(invalid="ignore"):
            ts[:] = seconds
        self._value[start : self.points] = flat[1::2]
        if len(ts) and not ((ts == seconds).all() and ts.min() > 0 and ts.max() <= LAST_SECOND):
            raise NeedsFallback

    def restore_nulls(self, start: int, nulls: int) -> None:
        """Replace the placeholder by NaN, from the point `start` on.

        All `nulls` that were replaced are values, not parts of strings or of unknown keys. If the column has exactly
        that many placeholders, the response contains no such number itself.
        """
        value = self._value[start : self.points]
        is_null = value == _PLACEHOLDER_VALUE
        if np.count_nonzero(is_null) != nulls:
            raise NeedsFallback
        value[is_null] = np.nan

    def finish(self) -> tuple[Any, Any]:
        """Return the columns, cut to the number of points."""
        for numbers in (self._ts, self._value):
            numbers.resize(self.points, refcheck=False)
        return self._ts, self._value


class _PieceReader:
    """Reads one text with sessions. Adds its series only if all of it can be read; the caller removes its points if not."""

    def __init__(self, builder: ColumnsBuilder, columns: _Columns) -> None:
        self._builder, self._columns = builder, columns
        self._sid_index: list[int] = []
        self._mid: list[int] = []
        self._peer_uid: list[str] = []
        self._points: list[int] = []
        self._containers, self._unknown = 1, 0

    def read(self, parsed: Any, text: bytes, *, whole: bool) -> None:
        """Read a parsed response (`whole`) or a parsed list of sessions; `text` is the JSON text of it."""
        sessions = self._metrics(parsed) if whole else parsed
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

    def _metrics(self, response: Any) -> Any:
        if type(response) is not simdjson.Object:
            raise NeedsFallback
        metrics = response["metrics"]  # a missing key raises KeyError, which means fallback
        self._count_unknown(response, {"metrics"})
        return metrics

    def _read_session(self, session: Any) -> list[Any]:
        sid, data = session["sid"], session["data"]
        if len(session) != 2:
            self._count_unknown(session, {"sid", "data"})
        if (
            type(sid) is not str
            or not 0 < len(sid) <= LONGEST_ID
            or type(data) is not simdjson.Array
            or _has_bracket(sid)
        ):
            raise NeedsFallback
        sid_index = self._builder.session_index(sid)
        all_kvs, buffers, waiting = [], [], 0
        series: Any
        for series in data:
            mid, kvs, peer_uid = series["mid"], series["kvs"], series.get("peer_uid")
            if len(series) != 3 or peer_uid is None:
                self._count_unknown(series, {"mid", "kvs", "peer_uid"})
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

    def _count_unknown(self, parent: Any, known: set[str]) -> None:
        """Count the lists in unknown keys."""
        for key in _distinct_keys(parent):
            if key not in known:
                self._unknown += _lists_in(parent[key])


def _distinct_keys(parent: Any) -> list[str]:
    """Return the keys of an object. Falls back if a key is repeated or contains a bracket."""
    keys = list(parent)
    if len(keys) != len(set(keys)) or any(map(_has_bracket, keys)):
        raise NeedsFallback
    return keys


def _lists_in(value: Any) -> int:
    """Return the number of lists in an unknown value. Falls back if it may contain a replaced null."""
    if type(value) is simdjson.Array:
        return 1 + sum(map(_lists_in, value))
    if type(value) is simdjson.Object:
        return sum(_lists_in(value[key]) for key in _distinct_keys(value))
    if (type(value) is str and _has_bracket(value)) or value == _PLACEHOLDER_VALUE:
        raise NeedsFallback
    return 0


def _has_bracket(text: str) -> bool:
    """Return whether a string would disturb the count of lists, or of nulls that end a list."""
    return "[" in text or "]" in text


def _peer_uid(value: Any) -> str:
    if value is None:
        return LOCAL_USER
    if type(value) is not str or _has_bracket(value):
        raise NeedsFallback
    return value


class _Parser:
    """The parser of one body. A small parser is reused for the next body of the same thread."""

    def __init__(self) -> None:
        self._parser = getattr(_kept, "parser", None) or simdjson.Parser()
        _kept.parser = None
        self._largest = 0

    def __call__(self, text: bytes) -> Any:
        """Parse a text. The objects of the previous text must not be in use any more."""
        self._largest = max(self._largest, len(text))
        try:
            return self._parser.parse(text)
        except RuntimeError:  # an exception that is still referenced refers to an object of an earlier text
            self._parser = simdjson.Parser()
            return self._parser.parse(text)

    def release(self) -> None:
        """Keep the parser for the next body if it is small."""
        if self._largest <= KEEP_PARSER:
            _kept.parser = self._parser
