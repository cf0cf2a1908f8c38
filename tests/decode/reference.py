"""An independent reference decoder for metrics responses, with json.loads."""

import codecs
import json
import math
import re
from types import NoneType

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


def expected(body: bytes) -> tuple[list[str], list[tuple], list[str]] | str:
    """Return the session ids, the rows, and the paths of what cannot be read of `body`; or WRONG."""
    metrics = _metrics(body)
    if type(metrics) not in (list, NoneType):
        return WRONG
    sids, series_rows, lost = [], [], []
    for i, session in enumerate(metrics or []):
        at = f"$.metrics[{i}]"
        sid = _text(session.get("sid")) if type(session) is dict else None
        if sid is None or not 0 < len(sid) < 256:
            lost.append(at)
            continue
        if sid not in sids:
            sids.append(sid)
        for j, series in enumerate(_list_of(session.get("data"), f"{at}.data", lost)):
            here = f"{at}.data[{j}]"
            mid = _whole(series.get("mid")) if type(series) is dict else None
            peer = "0" if mid is None or series.get("peer_uid") is None else _text(series["peer_uid"])
            if mid is None or not -(2**31) <= mid < 2**31 or peer is None:
                lost.append(here)
                continue
            points, wrong = [], []
            for k, point in enumerate(_list_of(series.get("kvs"), f"{here}.kvs", lost)):
                pair = point if type(point) is list and len(point) == 2 else [None, None]
                ts, value = _whole(pair[0]), _value(pair[1])
                if ts is None or not 0 < ts < 10**10:
                    wrong.append(f"{here}.kvs[{k}]")
                    continue
                if value is None:
                    wrong.append(f"{here}.kvs[{k}]")
                points.append((ts, math.nan if value is None else value))
            lost += wrong[:1]
            series_rows.append(
                (sid, mid, peer, [ts for ts, _ in points], [repr(value) for _, value in points])
            )
    return sids, series_rows, lost


def _metrics(body):
    try:
        response = json.loads(
            body.decode("utf-8-sig", "one_for_a_surrogate"),
            strict=False,
            parse_int=lambda text: int(text) if len(text) < 4000 else text,
            parse_constant=lambda _: None,
        )
    except (ValueError, RecursionError):
        return WRONG
    return response.get("metrics") if type(response) is dict else WRONG


def _one_for_a_surrogate(error):
    raw = error.object[error.start : error.start + 3]
    is_surrogate = re.fullmatch(rb"\xed[\xa0-\xbf][\x80-\xbf]", raw)
    return "\ufffd", error.start + 3 if is_surrogate else error.end


codecs.register_error("one_for_a_surrogate", _one_for_a_surrogate)


def _list_of(value, path, lost):
    if type(value) not in (list, NoneType):
        lost.append(path)
        return []
    return value or []


def _number(value):
    """Return a number exactly, or None."""
    if type(value) is str and re.fullmatch(
        r"\s*[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*", value, re.ASCII
    ):
        value = float(value) if re.search("[.eE]", value) or len(value) > 4000 else int(value)
    if type(value) not in (int, float) or not -1.8e308 < value < 1.8e308:
        return None
    return value


def _whole(value):
    number = _number(value)
    if number is None or number != int(number) or not -(2**63) <= number < 2**63:
        return None
    return int(number)


def _value(value):
    """Return a value as a float, NaN for null; None for one that cannot be read."""
    if value is None or value in (math.inf, -math.inf):
        return math.nan
    if type(value) is str and re.fullmatch(r"\s*([-+]?inf(inity)?|nan)\s*", value.lower()):
        return math.nan
    number = _number(value)
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


def _text(value):
    if type(value) is str:
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if type(value) is float:
        return str(int(value)) if math.isfinite(value) and value == int(value) else None
    return str(value) if type(value) is int else None
