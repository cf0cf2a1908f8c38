"""An independent reference decoder for metrics responses, with json.loads."""

import json
import math
import re
from decimal import Decimal

from agora_analytics.core.columns import MetricColumns

WRONG = "wrong"


def rows(columns: MetricColumns) -> list[tuple[str, int, str, list[int], list[str]]]:
    """Return all data of the columns; values as exact text, so that NaN equals NaN and -0.0 differs from 0.0."""
    assert columns.ts.format == "q"
    assert columns.value.format == "d"
    assert len(columns.ts) == len(columns.value) == columns.offsets[-1]
    assert len(columns.sid_index) == len(columns.mid) == len(columns.peer_uid) == len(columns.offsets) - 1
    assert all(type(mid) is int for mid in columns.mid)
    assert all(type(uid) is str for uid in columns.peer_uid)
    return [
        (
            series.sid,
            series.mid,
            series.peer_uid,
            series.ts.tolist(),
            [repr(value) for value in series.value.tolist()],
        )
        for series in columns
    ]


def expected(body: bytes) -> tuple[list[str], list[tuple]] | str:
    """Return the session ids and the rows of `body`, or WRONG."""
    try:
        response = json.loads(body.decode("utf-8-sig"), parse_constant=int)
        sids, series_rows = [], []
        for session in _list_of(response["metrics"]):
            data, sid = _list_of(session["data"]), session["sid"]
            assert type(sid) is str
            assert sid.encode() is not None
            if sid not in sids:
                sids.append(sid)
            for series in data:
                points = [
                    (_whole(ts, 63), _value(value)) for ts, value in map(_pair, _list_of(series["kvs"]))
                ]
                series_rows.append((
                    sid,
                    _whole(series["mid"], 31),
                    _uid(series.get("peer_uid")),
                    [ts for ts, _ in points],
                    [repr(value) for _, value in points],
                ))  # fmt: skip
    except (ValueError, TypeError, KeyError, AssertionError, AttributeError, OverflowError, RecursionError):
        return WRONG
    return sids, series_rows


def _list_of(value):
    assert value is None or type(value) is list
    return value or []


def _pair(value):
    assert type(value) is list
    assert len(value) == 2
    return value


def _number(value):
    if type(value) is str:
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", value)
        return int(value) if re.fullmatch("-?[0-9]+", value) else float(value)
    assert type(value) in (int, float)
    return value


def _whole(value, bits):
    number = _number(value)
    whole = int(Decimal(number).to_integral_exact())
    assert whole == number
    assert bits is None or -(2**bits) <= whole < 2**bits
    return whole


def _value(value):
    number = math.nan if value is None else float(_number(value))
    assert value is None or math.isfinite(number)
    return number


def _uid(value):
    if value is None:
        return "0"
    if type(value) is str:
        assert value.encode() is not None
        return value
    return str(_whole(value, None))
