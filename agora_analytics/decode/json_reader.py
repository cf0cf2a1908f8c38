"""The careful reader: one value at a time. Slow, and the only one that may say that an answer is wrong.

What it accepts is what `json.loads` accepts in UTF-8 (a byte order mark may stand in front), and then:

* `metrics`, `data` and `kvs` are lists; null is an empty list; a missing one is an error.
* `sid` is a string. `mid` is an integer of 32 bits, `ts` one of 64 bits; either may also come as a float
  without a fraction or as a string. `value` is a finite number, such a string, or null.
* `peer_uid` is a string, an integer, or a float without a fraction. Null or missing is "0", the local user.
* A point is a list of exactly two. Of a key that comes twice, the last one counts. Unknown keys are let be.
"""

import json
import re
from array import array
from collections.abc import Iterable
from itertools import chain
from math import isfinite, nan
from typing import Any, Final, NoReturn

import msgspec

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode.chunks import is_large, session_pieces
from agora_analytics.decode.columns_builder import INT32, INT64, LOCAL_USER, ColumnsBuilder, flat_view
from agora_analytics.errors import DecodeError


class _Metrics(msgspec.Struct):
    metrics: msgspec.Raw = msgspec.Raw()


_METRICS: Final = msgspec.json.Decoder(_Metrics)
_TEXTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_MISSING: Any = object()
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def read(body: bytes) -> MetricColumns:
    """Read a metrics answer; raise DecodeError with the path of the first thing that is wrong."""
    texts = _texts_of_sessions(body) if is_large(body) else None
    if texts is not None:
        return _read(chain.from_iterable(map(_parse, texts)))
    answer = _parse(body)
    if not isinstance(answer, dict):
        raise DecodeError("The answer is not a JSON object")
    return _read(_list(answer, "metrics", "$"))


def _texts_of_sessions(body: bytes) -> Iterable[bytes] | None:
    """Return the sessions of a large answer as texts, each a JSON list; None if it has to be read as a whole.

    An answer's worth of lists keeps the garbage collector busy, and making or freeing them all at once lets no other
    thread run, the event loop's neither.
    """
    pieces = session_pieces(body)
    try:
        if not body.isascii():  # msgspec does not look into the strings that it skips
            body.decode()
        if pieces is not None and _METRICS.decode(pieces.frame(b"0")).metrics == b"[0]":
            for piece in pieces:
                _OBJECTS.decode(piece)
            return pieces
        metrics = _METRICS.decode(body).metrics
        if not metrics:
            raise DecodeError("There is no 'metrics'", path="$")
        return (b"[%b]" % text for text in _TEXTS.decode(metrics))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _read(sessions: Iterable[Any]) -> MetricColumns:
    builder = ColumnsBuilder()
    ts, value = array("q"), array("d")
    for i, session in enumerate(sessions):
        path = f"$.metrics[{i}]"
        data = _list(session, "data", path)
        sid_index = builder.session_index(_text(session.get("sid"), f"{path}.sid"))
        for j, series in enumerate(data):
            _read_series(series, f"{path}.data[{j}]", builder, sid_index, ts, value)
    return builder.build(flat_view(ts, "q"), flat_view(value, "d"))


def _read_series(
    series: Any, path: str, builder: ColumnsBuilder, sid_index: int, ts: "array[int]", value: "array[float]"
) -> None:
    points = _list(series, "kvs", path)
    mid = _integer(series.get("mid"), INT32, f"{path}.mid")
    peer_uid = _peer_uid(series.get("peer_uid"), f"{path}.peer_uid")
    for k, point in enumerate(points):
        if not isinstance(point, list) or len(point) != 2:
            raise DecodeError("Expected a [ts, value] pair", path=f"{path}.kvs[{k}]")
        ts.append(_integer(point[0], INT64, f"{path}.kvs[{k}][0]"))
        value.append(_value(point[1], f"{path}.kvs[{k}][1]"))
    builder.add_series(sid_index, mid, peer_uid, len(points))


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"The answer is not JSON: {_shortened(error)}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Do what the parser would do itself: at a function of Python other threads have their turn."""
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _shortened(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _list(parent: Any, key: str, path: str) -> list[Any]:
    if not isinstance(parent, dict):
        raise DecodeError("Expected an object", path=path)
    found = parent.get(key, _MISSING)
    if found is _MISSING:
        raise DecodeError(f"There is no {key!r}", path=path)
    if found is None:
        return []
    if not isinstance(found, list):
        raise DecodeError("Expected a list", path=f"{path}.{key}")
    return found


def _text(found: Any, path: str) -> str:
    if not isinstance(found, str):
        raise DecodeError("Expected a string", path=path)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise DecodeError(
            "Expected a string of whole characters, found half a surrogate pair", path=path
        ) from None
    return found


def _peer_uid(found: Any, path: str) -> str:
    if found is None:
        return LOCAL_USER
    if isinstance(found, str):
        return _text(found, path)
    return str(_integer(found, None, path))


def _integer(found: Any, within: range | None, path: str) -> int:
    number = _number(found, path)
    if isinstance(number, float):
        if not number.is_integer():
            raise DecodeError("Expected a whole number", path=path)
        number = int(number)
    if within is not None and number not in within:
        raise DecodeError(f"The number {number} is out of range", path=path)
    return number


def _value(found: Any, path: str) -> float:
    if found is None:
        return nan
    try:
        number = float(_number(found, path))
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise DecodeError("The number is out of range", path=path)
    return number


def _number(found: Any, path: str) -> int | float:
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        try:
            return int(found) if found.lstrip("-").isdigit() else float(found)
        except ValueError:  # thousands of digits
            raise DecodeError("The number is out of range", path=path) from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise DecodeError("Expected a number", path=path)
    return found
