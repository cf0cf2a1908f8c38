"""What a metrics answer means, said once more and independently, with json.loads."""

import json
import math
import re
from decimal import Decimal

from agora_analytics.core.columns import MetricColumns

WRONG = "wrong"


def rows(columns: MetricColumns) -> list[tuple[str, int, str, list[int], list[str]]]:
    """Return all that the columns say; values as exact text, so that NaN equals NaN and -0.0 is not 0.0."""
    assert columns.ts.format == "q"
    assert columns.value.format == "d"
    assert len(columns.ts) == len(columns.value) == columns.offsets[-1]
    assert len(columns.sid_index) == len(columns.mid) == len(columns.peer_uid) == len(columns.offsets) - 1
    assert all(type(mid) is int for mid in columns.mid)
    assert all(type(uid) is str for uid in columns.peer_uid)
    return [
        (one.sid, one.mid, one.peer_uid, one.ts.tolist(), [repr(value) for value in one.value.tolist()])
        for one in columns
    ]


def expected(body: bytes) -> tuple[list[str], list[tuple]] | str:
    """Return the session ids and the rows that `body` means, or WRONG."""
    try:
        answer = json.loads(body.decode("utf-8-sig"), parse_constant=int)
        sids, found = [], []
        for session in _list_of(answer["metrics"]):
            data, sid = _list_of(session["data"]), session["sid"]
            assert type(sid) is str
            assert sid.encode() is not None
            if sid not in sids:
                sids.append(sid)
            for series in data:
                points = [
                    (_whole(ts, 63), _value(value)) for ts, value in map(_pair, _list_of(series["kvs"]))
                ]
                found.append((
                    sid,
                    _whole(series["mid"], 31),
                    _uid(series.get("peer_uid")),
                    [ts for ts, _ in points],
                    [repr(value) for _, value in points],
                ))  # fmt: skip
    except (ValueError, TypeError, KeyError, AssertionError, AttributeError, OverflowError, RecursionError):
        return WRONG
    return sids, found


def _list_of(found):
    assert found is None or type(found) is list
    return found or []


def _pair(found):
    assert type(found) is list
    assert len(found) == 2
    return found


def _number(found):
    if type(found) is str:
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", found)
        return int(found) if re.fullmatch("-?[0-9]+", found) else float(found)
    assert type(found) in (int, float)
    return found


def _whole(found, bits):
    number = _number(found)
    whole = int(Decimal(number).to_integral_exact())
    assert whole == number
    assert bits is None or -(2**bits) <= whole < 2**bits
    return whole


def _value(found):
    value = math.nan if found is None else float(_number(found))
    assert found is None or math.isfinite(value)
    return value


def _uid(found):
    if found is None:
        return "0"
    if type(found) is str:
        assert found.encode() is not None
        return found
    return str(_whole(found, None))
