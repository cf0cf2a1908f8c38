"""The reference reader: reads one value at a time. It is slow, and the only reader that reports errors.

It accepts what `json.loads` accepts in UTF-8, with an optional byte order mark, under these rules:

* `metrics`, `data` and `kvs` are lists. Null is an empty list; a missing list is an error.
* `sid` is a string. `mid` is a 32-bit integer, `ts` a 64-bit integer; either may also be a float without a fraction, or
  a string. `value` is a finite number, a string with one, or null.
* `peer_uid` is a string, an integer, or a float without a fraction. Null or missing means "0", the local user.
* A point is a list of exactly two elements. Of a repeated key, the last one counts. Unknown keys are ignored.
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
from agora_analytics.decode.columns_builder import INT32, INT64, LOCAL_USER, ColumnsBuilder
from agora_analytics.errors import DecodeError


class _Metrics(msgspec.Struct):
    metrics: msgspec.Raw = msgspec.Raw()


_METRICS: Final = msgspec.json.Decoder(_Metrics)
_TEXTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_MISSING: Any = object()
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def read(body: bytes) -> MetricColumns:
    """Read a metrics response. Raise `DecodeError` for the first error in it."""
    pieces = _session_texts(body) if is_large(body) else None
    if pieces is not None:
        return _read(chain.from_iterable(map(_parse, pieces)))
    response = _parse(body)
    if not isinstance(response, dict):
        raise DecodeError(f"the response is not a JSON object but {_kind(response)}")
    return _read(_list(response, "metrics", "$"))


def _session_texts(body: bytes) -> Iterable[bytes] | None:
    """Return the sessions of a large response as texts, each a JSON list; None if it must be read as a whole.

    Creating or freeing all lists of a response at once keeps the garbage collector busy and blocks all other threads,
    including the event loop.
    """
    pieces = session_pieces(body)
    try:
        if not body.isascii():  # msgspec does not validate the strings that it skips
            body.decode()
        if pieces is not None and _METRICS.decode(pieces.frame(b"0")).metrics == b"[0]":
            for piece in pieces:
                _OBJECTS.decode(piece)
            return pieces
        metrics = _METRICS.decode(body).metrics
        if not metrics:
            raise DecodeError("the field 'metrics' is missing")
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
    return builder.build(ts, value)


def _read_series(
    series: Any, path: str, builder: ColumnsBuilder, sid_index: int, ts: "array[int]", value: "array[float]"
) -> None:
    points = _list(series, "kvs", path)
    mid = _integer(series.get("mid"), INT32, f"{path}.mid")
    peer_uid = _peer_uid(series.get("peer_uid"), f"{path}.peer_uid")
    for k, point in enumerate(points):
        if not isinstance(point, list) or len(point) != 2:
            raise DecodeError("expected a pair [ts, value]", path=f"{path}.kvs[{k}]")
        ts.append(_integer(point[0], INT64, f"{path}.kvs[{k}][0]"))
        value.append(_value(point[1], f"{path}.kvs[{k}][1]"))
    builder.add_series(sid_index, mid, peer_uid, len(points))


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        first_line = str(error).partition("\n")[0][:200]
        raise DecodeError(f"the response is not JSON: {first_line}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what the parser would return itself; the call of a Python function lets other threads run."""
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _list(parent: Any, key: str, path: str) -> list[Any]:
    if not isinstance(parent, dict):
        raise DecodeError(f"expected an object, found {_kind(parent)}", path=path)
    value = parent.get(key, _MISSING)
    if value is _MISSING:
        raise DecodeError(f"the field {key!r} is missing", path=path)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DecodeError(f"expected a list, found {_kind(value)}", path=f"{path}.{key}")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise DecodeError(f"expected a string, found {_kind(value)}", path=path)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DecodeError("the string contains half of a surrogate pair", path=path) from None
    return value


def _peer_uid(value: Any, path: str) -> str:
    if value is None:
        return LOCAL_USER
    if isinstance(value, str):
        return _text(value, path)
    return str(_integer(value, None, path))


def _integer(value: Any, within: range | None, path: str) -> int:
    number = _number(value, path)
    if isinstance(number, float):
        if not number.is_integer():
            raise DecodeError("expected an integer, found a fraction", path=path)
        number = int(number)
    if within is not None and number not in within:
        raise DecodeError(f"the number {number} is out of range", path=path)
    return number


def _value(value: Any, path: str) -> float:
    if value is None:
        return nan
    try:
        number = float(_number(value, path))
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise DecodeError("the number is out of range", path=path)
    return number


def _number(value: Any, path: str) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            return int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:  # Python does not convert thousands of digits
            raise DecodeError("the number is out of range", path=path) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"expected a number, found {_kind(value)}", path=path)
    return value
