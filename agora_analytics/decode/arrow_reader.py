"""Reads a metrics response with the CSV parser of pyarrow, for installations without simdjson.

`[[1548670255,215],[1548670257,0]]` without its outer brackets and with a line end for each `],[` is CSV.
Anything else in it (an extra bracket, a third number, a string) cannot be converted, so the reader falls back.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode import msgspec_reader
from agora_analytics.decode.columns_builder import ColumnsBuilder, NeedsFallback
from agora_analytics.instants import LAST_SECOND

SMALL_BODY = 500_000  # bytes; for a smaller body, the set-up of the CSV parser costs more than it saves
BATCH = 1_000_000  # bytes of CSV that are parsed at once, so that they stay in the CPU cache

_CONVERT = csv.ConvertOptions(
    column_types={"ts": pa.int64(), "value": pa.float64()}, null_values=["null"], strings_can_be_null=False
)
_PARSE = csv.ParseOptions(quote_char=False, newlines_in_values=False)
_READ = csv.ReadOptions(use_threads=False, column_names=["ts", "value"], block_size=2 * BATCH)


def read(body: bytes) -> MetricColumns:
    """Read a metrics response. See `Reader`."""
    if len(body) < SMALL_BODY:
        return msgspec_reader.read(body)
    builder = ColumnsBuilder()
    ts, value = [np.empty(0, "i8")], [np.empty(0, "f8")]
    for lines, points in _batches(body, builder):
        table = _parse(lines)
        if table.num_rows != points or table["ts"].null_count:
            raise NeedsFallback
        ts.append(_times(table["ts"]))
        value.append(_values(table["value"]))
    return builder.build(np.concatenate(ts), np.concatenate(value))


def _batches(body: bytes, builder: ColumnsBuilder) -> Iterator[tuple[bytes, int]]:
    """Yield the points as CSV in batches of many series, with the number of points of each batch."""
    batch: list[bytes] = []
    size, first = 0, 0
    for session in msgspec_reader.read_envelope(body):
        sid_index = builder.session_index(session.sid)
        for series in session.data:
            lines, points = _as_lines(series.kvs)
            builder.add_series(sid_index, series.mid, series.peer, points)
            if points:
                batch.append(lines)
                size += len(lines)
            if size >= BATCH:
                yield b"\n".join(batch), builder.points - first
                batch, size, first = [], 0, builder.points
    if batch:
        yield b"\n".join(batch), builder.points - first


def _as_lines(kvs: Any) -> tuple[bytes, int]:
    text = bytes(kvs)
    if text == b"[]":
        return b"", 0
    if not (text.startswith(b"[[") and text.endswith(b"]]")):
        raise NeedsFallback
    lines = text[2:-2].replace(b"],[", b"\n")
    return lines, (len(text) - 4 - len(lines)) // 2 + 1


def _parse(lines: bytes) -> Any:
    try:
        return csv.read_csv(
            BytesIO(lines), read_options=_READ, parse_options=_PARSE, convert_options=_CONVERT
        )
    except pa.ArrowInvalid:
        raise NeedsFallback from None


def _times(column: Any) -> Any:
    """Return the times. Falls back for a time that is out of bounds."""
    ts = column.to_numpy()
    if len(ts) and not (ts.min() > 0 and ts.max() <= LAST_SECOND):
        raise NeedsFallback
    return ts


def _values(column: Any) -> Any:
    """Return the values with NaN for null.

    Falls back for values that the CSV parser may have misread: a number too large for float64 becomes infinite, and
    the integer -0 becomes negative zero.
    """
    value = column.to_numpy()
    if np.count_nonzero(np.isfinite(value)) + column.null_count != len(value):
        raise NeedsFallback
    if np.signbit(value[value == 0]).any():
        raise NeedsFallback
    return value
