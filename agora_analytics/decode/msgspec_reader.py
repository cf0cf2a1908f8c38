"""The plain reader: msgspec and nothing else. The numbers of one series at a time.

Each series is kept as text until its turn, so that its pairs live for microseconds only: a whole answer of
pairs keeps the garbage collector busy for longer than the parser.
"""

from array import array
from math import nan
from operator import itemgetter
from typing import Final

import msgspec

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode.columns_builder import INT32, LOCAL_USER, ColumnsBuilder, flat_view
from agora_analytics.decode.fallback import NeedsFallback


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

    sid: str
    data: list[SeriesText]


class AnswerText(msgspec.Struct):
    """A metrics answer whose points are still JSON text."""

    metrics: list[SessionText]


_ENVELOPE: Final = msgspec.json.Decoder(AnswerText)
_PAIRS: Final = msgspec.json.Decoder(list[tuple[int, float | None]])
_first, _second = itemgetter(0), itemgetter(1)


def read_envelope(body: bytes) -> list[SessionText]:
    """Read all but the points; raise NeedsFallback where the careful reader might judge otherwise."""
    try:
        # msgspec does not look into the strings that it skips.
        if not body.isascii():
            body.decode()
        answer = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NeedsFallback from None
    for session in answer.metrics:
        for series in session.data:
            if series.mid not in INT32:
                raise NeedsFallback
    return answer.metrics


def read(body: bytes) -> MetricColumns:
    """Read a metrics answer; raise NeedsFallback if the careful reader must."""
    builder = ColumnsBuilder()
    ts, value = array("q"), array("d")
    for session in read_envelope(body):
        sid_index = builder.session_index(session.sid)
        for series in session.data:
            builder.add_series(sid_index, series.mid, series.peer, read_points(series.kvs, ts, value))
    return builder.build(flat_view(ts, "q"), flat_view(value, "d"))


def read_points(kvs: msgspec.Raw, ts: "array[int]", value: "array[float]") -> int:
    """Append the points of one series to the columns, and return how many they are.

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
