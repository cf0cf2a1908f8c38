"""Converts decoded metrics to an Arrow table with one row per point. Columns in order are not copied."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from agora_analytics.core.columns import MetricColumns

_SECONDS = pa.timestamp("s", "UTC")


def columns_table(columns: MetricColumns, *, call_id: str, app_id: str | None = None) -> pa.Table:
    """Return the points as rows, sorted by their key (sid, mid, peer_uid, ts), with each key once.

    If several points have the same key, the first one is kept; adjacent windows both return the point on their common
    boundary. The table does not depend on the order of sessions and series in the response.

    Args:
        columns: the decoded response.
        call_id: the call, the same in every row.
        app_id: the app, the same in every row; None: no such column.

    Returns:
        A table of `app_id`, `call_id`, `sid` (dictionary of int32 to string), `mid` (int32), `peer_uid` (dictionary),
        `ts` (timestamp[s, UTC]) and `value` (float64, null where the response has null).

    >>> from agora_analytics.decode import decode_metrics
    >>> body = b'{"metrics": [{"sid": "A", "data": [{"mid": 20001, "kvs": [[7, 4], [5, null]], "peer_uid": 0}]}]}'
    >>> columns_table(decode_metrics(body), call_id="C").select(["sid", "mid", "value"]).to_pylist()
    [{'sid': 'A', 'mid': 20001, 'value': None}, {'sid': 'A', 'mid': 20001, 'value': 4.0}]
    """
    sids, sid_code = _coded([columns.sids[i] for i in columns.sid_index])
    peers, peer_code = _coded(columns.peer_uid)
    mids: Any = np.asarray(columns.mid, np.int32)
    order = np.lexsort((peer_code, mids, sid_code))
    lengths: Any = np.diff(np.asarray(columns.offsets, np.int64))
    ts, value = np.asarray(columns.ts), np.asarray(columns.value)

    if (order[1:] < order[:-1]).any():
        points = [slice(columns.offsets[i], columns.offsets[i + 1]) for i in order]
        ts, value = (np.concatenate([column[part] for part in points]) for column in (ts, value))
    headers = sid_code[order], mids[order], peer_code[order]
    of_points = lengths[order]
    group = np.repeat(_groups(*headers), of_points)
    sid_code, mids, peer_code = (np.repeat(header, of_points) for header in headers)
    rows = _rows_to_take(group, ts)
    if rows is not None:
        sid_code, mids, peer_code, ts, value = (
            column[rows] for column in (sid_code, mids, peer_code, ts, value)
        )

    arrays = {
        "call_id": _constant(call_id, len(ts)),
        "sid": pa.DictionaryArray.from_arrays(pa.array(sid_code), pa.array(sids, pa.string())),
        "mid": pa.array(mids),
        "peer_uid": pa.DictionaryArray.from_arrays(pa.array(peer_code), pa.array(peers, pa.string())),
        "ts": pa.Array.from_buffers(_SECONDS, len(ts), [None, pa.py_buffer(ts)]),
        "value": _null_for_nan(value),
    }
    return pa.table(arrays if app_id is None else {"app_id": _constant(app_id, len(ts)), **arrays})


def _coded(texts: Sequence[str]) -> tuple[list[str], Any]:
    """Return the distinct texts, sorted, and the code of each text, int32."""
    distinct = sorted(set(texts))
    codes = {text: code for code, text in enumerate(distinct)}
    return distinct, np.asarray([codes[text] for text in texts], np.int32)


def _groups(*headers: Any) -> Any:
    """Number the sorted series. Series with the same session, metric and peer get the same number."""
    new = np.zeros(len(headers[0]), np.bool_)
    for header in headers:
        new[1:] |= header[1:] != header[:-1]
    return np.cumsum(new, dtype=np.int32)


def _rows_to_take(group: Any, ts: Any) -> Any | None:
    """Return the indexes of the first row of each (group, ts), sorted; None if the rows are sorted and unique already."""
    if not ((ts[1:] <= ts[:-1]) & (group[1:] == group[:-1])).any():
        return None
    rows = np.lexsort((ts, group))  # stable: of rows with the same key, the first one stays first
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(ts[rows]) != 0) | (np.diff(group[rows]) != 0)
    return rows[new]


def _constant(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text], pa.string()))


def _null_for_nan(value: Any) -> pa.Array:
    not_null = ~np.isnan(value)
    nulls = len(value) - int(np.count_nonzero(not_null))
    valid = pa.py_buffer(np.packbits(not_null, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(pa.float64(), len(value), [valid, pa.py_buffer(value)], null_count=nulls)
