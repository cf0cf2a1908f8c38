"""The reference reader: reads one value at a time. It is slow, and it alone decides what of a response is lost.

It reads what `lenient_json` reads, under these rules:

* `metrics`, `data` and `kvs` are lists. Null or missing is an empty list.
* `sid` is text of 1 to 1,024 characters, or a whole number. `mid` is a 32-bit integer. `peer_uid` is text or a whole
  number; null or missing means "0", the local user. A session or series without them is skipped.
* A point is a list of exactly two elements. Its time is a whole number of seconds in the bounds of `Seconds`, otherwise
  the point is skipped. Its value is a finite number; NaN and infinities are null. Any other value becomes null too.
* Numbers may be sent as text. Of a repeated key, the last one counts. Unknown keys are ignored.

What is skipped, and each value that became null, is named in `MetricColumns.skipped`, with one entry for a series.
"""

from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from math import nan
from typing import Any, Final, TypeVar

import msgspec

from agora_analytics.core.columns import LOCAL_USER, MetricColumns
from agora_analytics.core.field_types import Id, Seconds
from agora_analytics.core.lenient_json import NotJson, load_json, load_object
from agora_analytics.core.lenient_reader import (
    LenientReader,
    converter,
    kind_of,
    list_of,
    read_id,
    read_whole,
    show,
)
from agora_analytics.core.numbers import number_of
from agora_analytics.decode.chunks import is_large, session_pieces
from agora_analytics.decode.columns_builder import INT32, ColumnsBuilder
from agora_analytics.errors import DecodeError

T = TypeVar("T")


class _Metrics(msgspec.Struct):
    metrics: msgspec.Raw = msgspec.Raw()


_METRICS: Final = msgspec.json.Decoder(_Metrics)
_TEXTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_NULLS = {"nan", *(sign + name for sign in ("", "-", "+") for name in ("inf", "infinity"))}
_read_id, _read_time = converter.get_structure_hook(Id), converter.get_structure_hook(Seconds)


def read(body: bytes) -> MetricColumns:
    """Read a metrics response.

    Raises:
        DecodeError: the body is not JSON, in which case a `NotJson` is the cause; or `metrics` is not a list.
    """
    pieces = _session_texts(body) if is_large(body) else None
    try:
        if pieces is not None:
            return _read(chain.from_iterable(map(load_json, pieces)))
        return _read(list_of(load_object(body).get("metrics"), "$.metrics"))
    except NotJson as error:
        raise DecodeError(f"the response cannot be read: {error}") from error


def _session_texts(body: bytes) -> Iterable[bytes] | None:
    """Return the sessions of a large response as texts, each a JSON list; None if it must be read as a whole.

    Creating or freeing all lists of a response at once keeps the garbage collector busy and blocks all other threads,
    including the event loop.
    """
    pieces = session_pieces(body)
    try:
        if pieces is not None and load_object(pieces.frame(b"0")).get("metrics") == [0]:
            return pieces if all(map(_has_objects, pieces)) else None
        return (b"[%b]" % text for text in _TEXTS.decode(_METRICS.decode(body).metrics or b"[]"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, NotJson):
        return None


def _has_objects(piece: bytes) -> bool:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _OBJECTS.decode(piece)
        return True
    return all(isinstance(session, dict) for session in load_json(piece))


def _read(sessions: Iterable[Any]) -> MetricColumns:
    reader, builder = LenientReader(), ColumnsBuilder()
    ts, value = array("q"), array("d")
    for i, session in enumerate(sessions):
        path = f"$.metrics[{i}]"
        if not isinstance(session, dict):
            reader.skip(path, f"expected an object, found {kind_of(session)}")
            continue
        try:
            sid = _field(session, "sid", lambda sent: _read_id(sent, Id))
        except ValueError as error:
            reader.skip(path, str(error))
            continue
        sid_index = builder.session_index(sid)
        for j, series in enumerate(reader.inner_list(session.get("data"), f"{path}.data", sid)):
            try:
                _read_series(series, f"{path}.data[{j}]", sid, reader, builder, sid_index, ts, value)
            except ValueError as error:
                reader.skip(f"{path}.data[{j}]", str(error), sid)
    return builder.build(ts, value, reader.skipped)


def _read_series(
    series: Any,
    path: str,
    sid: str,
    reader: LenientReader,
    builder: ColumnsBuilder,
    sid_index: int,
    ts: "array[int]",
    value: "array[float]",
) -> None:
    """Add a series to the columns. Raises ValueError if it cannot be identified."""
    if not isinstance(series, dict):
        raise ValueError(f"expected an object, found {kind_of(series)}")  # noqa: TRY004 - skips the series
    mid = _field(series, "mid", read_whole)
    if mid not in INT32:
        raise ValueError(f"mid: {mid} is not an integer of 32 bits")
    peer = LOCAL_USER if series.get("peer_uid") is None else _field(series, "peer_uid", read_id)
    points = reader.inner_list(series.get("kvs"), f"{path}.kvs", sid)
    begin, unreadable = len(ts), []
    for k, point in enumerate(points):
        try:
            moment, sent = list_of(point, path)
            ts.append(_read_time(moment, Seconds))
        except (ValueError, DecodeError):
            unreadable.append((k, point))
            continue
        number = number_of(sent)
        if number is None and sent is not None and str(sent).strip().lower() not in _NULLS:
            unreadable.append((k, point))
        value.append(nan if number is None else float(number))
    builder.add_series(sid_index, mid, peer, len(ts) - begin)
    if unreadable:
        k, point = unreadable[0]
        reason = f"{len(unreadable)} of {len(points)} points cannot be read; the first one is {show(point)}"
        reader.skip(f"{path}.kvs[{k}]", reason, sid)


def _field(parent: dict[str, Any], name: str, read: Callable[[Any], T]) -> T:
    if parent.get(name) is None:
        raise ValueError(f"{name} is missing")
    try:
        return read(parent[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
