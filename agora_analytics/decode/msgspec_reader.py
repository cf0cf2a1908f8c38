"""Reads a metrics response with msgspec only, one series at a time.

Each series stays JSON text until it is read, so that its pairs exist for microseconds only. If all pairs of a response
existed at once, the garbage collector would take longer than the parser.
"""

from array import array
from math import nan
from operator import itemgetter
from typing import Final

import msgspec

from agora_analytics.core.columns import LOCAL_USER, MetricColumns
from agora_analytics.core.field_types import Id, Seconds
from agora_analytics.decode.columns_builder import INT32, ColumnsBuilder, NeedsFallback


class SeriesText(msgspec.Struct, gc=False):
    """A series whose points are still JSON text."""

    mid: int
    kvs: msgspec.Raw
    peer_uid: int | str | None = None

    @property
    def peer(self) -> str:
        """The remote user as text, "0" for the local user."""
        return LOCAL_USER if self.peer_uid is None else str(self.peer_uid)


class SessionText(msgspec.Struct):
    """A session whose points are still JSON text."""

    sid: Id
    data: list[SeriesText]


class ResponseText(msgspec.Struct):
    """A metrics response whose points are still JSON text."""

    metrics: list[SessionText]


_ENVELOPE: Final = msgspec.json.Decoder(ResponseText)
_PAIRS: Final = msgspec.json.Decoder(list[tuple[Seconds, float | None]])
_first, _second = itemgetter(0), itemgetter(1)


def read_envelope(body: bytes) -> list[SessionText]:
    """Read everything except the points. Raises `NeedsFallback` if `json_reader` might read the body differently."""
    try:
        # msgspec does not validate the strings that it skips
        if not body.isascii():
            body.decode()
        response = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NeedsFallback from None
    if any(series.mid not in INT32 for session in response.metrics for series in session.data):
        raise NeedsFallback
    return response.metrics


def read(body: bytes) -> MetricColumns:
    """Read a metrics response. See `Reader`."""
    builder = ColumnsBuilder()
    ts, value = array("q"), array("d")
    for session in read_envelope(body):
        sid_index = builder.session_index(session.sid)
        for series in session.data:
            builder.add_series(sid_index, series.mid, series.peer, read_points(series.kvs, ts, value))
    return builder.build(ts, value)


def read_points(kvs: msgspec.Raw, ts: "array[int]", value: "array[float]") -> int:
    """Append the points of one series to the columns; return the number of points.

    >>> ts, value = array("q"), array("d")
    >>> read_points(msgspec.Raw(b"[[1548670255, 215], [1548670257, null]]"), ts, value)
    2
    >>> value
    array('d', [215.0, nan])
    """
    try:
        points = _PAIRS.decode(kvs)
        ts.extend(map(_first, points))
        try:
            value.extend(map(_second, points))
        except TypeError:
            del value[len(ts) - len(points) :]
            value.extend(nan if number is None else number for _, number in points)
    except (msgspec.MsgspecError, OverflowError):
        raise NeedsFallback from None
    return len(points)
