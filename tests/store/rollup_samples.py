"""Stores with calls of several metrics, and the aggregates of their samples, computed without SQL."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from agora_analytics.scoring.profiles import PROFILES, Threshold
from agora_analytics.store import ParquetStore, query
from agora_analytics.store.layout import Layout
from agora_analytics.store.rollups.files import ROLLUPS, rollup_days

from .sample_calls import CREATED, POINT, call

SECOND = pa.timestamp("s", "UTC")
MIDS = (20001, 20003, 20005, 20007, 20011, 20018, 20021, 20022, 20099)
KEYS = (
    "vendor", "app_id", "channel", "call_id", "session_id", "user_id", "peer_id", "metric", "unit", "hour",
    "source_metric", "day",
)  # fmt: skip
NOMINAL, LONGEST = {"agora": 4.0, "opentok": 30.0}, {"agora": 20.0, "opentok": 60.0}


def samples_of(call_id: str, *, seed: int = 1, sessions: int = 2, since: int = CREATED + 3000) -> pa.Table:
    """Return samples across the end of an hour, with gaps, nulls and values that are not measurements."""
    random = np.random.default_rng(seed)
    rows = []
    for sid in range(sessions):
        for mid in MIDS:
            for peer in ("0", str(2**40 + sid)):
                count = int(random.integers(1, 12))
                at = since + np.cumsum(
                    random.choice([2, 4, 6, 90, 700], count, p=[0.3, 0.4, 0.2, 0.05, 0.05])
                )
                values = np.round(random.uniform(0, 1200 if mid > 20020 else 60, count) * 4) / 4
                odd = random.choice([None, float("nan"), float("inf"), 1e300, -0.5], count)
                chosen = random.random(count) < 0.1
                for ts, value, strange, is_odd in zip(at, values, odd, chosen, strict=True):
                    rows.append(
                        (call_id, f"{call_id}-{sid}", mid, peer, int(ts), strange if is_odd else value)
                    )
    columns = list(zip(*rows, strict=True))
    kinds = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.int64(), pa.float64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    arrays[4] = arrays[4].cast(SECOND)
    return pa.table(arrays, names=["call_id", "sid", "mid", "peer_uid", "ts", "value"])


def sessions_of(call_id: str, *, sessions: int = 2) -> pa.Table:
    # the last session with samples has no row
    count = max(1, sessions - 1)
    return pa.table(
        {
            "call_id": [call_id] * count,
            "sid": [f"{call_id}-{i}" for i in range(count)],
            "cname": ["room"] * count,
            "uid": [str(2**40 + i) for i in range(count)],
            "network": pa.array(["WiFi", None][:count] + [None] * (count - 2), pa.string()),
            "join_ts": pa.array([CREATED + i for i in range(count)], SECOND),
            "user_video_freeze_rate": [0.25] * count,
        }
    )


def store_rich_call(
    store: ParquetStore, call_id: str, *, app_id: str, day: str, seed: int = 1, finished: bool = True
) -> None:
    """Store a call as a harvest does."""
    partition = {"app_id": app_id, "day": day}
    store.writer.put("metrics", f"{call_id}.0", samples_of(call_id, seed=seed), **partition, pending=True)
    store.writer.publish(
        **partition,
        metrics=[f"{call_id}.0"],
        sessions=sessions_of(call_id),
        call=call_id,
        row=call(call_id, finished=finished),
        before=store.writer.published(call_id, **partition),
    )


def points(count: int = 8, *, stream: str = "stream") -> pa.Table:
    """Return values of OpenTok, every 30 s with a gap, at fractions of a second."""
    rows = POINT.to_pylist()
    times = [CREATED * 1000 + 250 + 30_000 * i + (400_000 if i > 5 else 0) for i in range(count)]
    values = [None if i == 3 else 0.013 * i for i in range(count)]
    table = pa.Table.from_pylist(
        [{**rows[0], "session_id": stream} for _ in range(count)], schema=POINT.schema
    )
    table = table.set_column(table.column_names.index("ts"), "ts", pa.array(times, pa.timestamp("ms", "UTC")))
    return table.set_column(table.column_names.index("value"), "value", pa.array(values, pa.float64()))


def rows_of(store: ParquetStore, view: str = "quality_hours", *, use_rollups: bool = True) -> list[Any]:
    """Return the rows of a view, from the roll-ups or from all samples."""
    text = f"from {view}"
    rows = query.fetch(Layout(store.path), text, lambda made: made.fetchall(), use_rollups=use_rollups)
    return sorted(rows, key=repr)


def assert_equal_to_scan(store: ParquetStore) -> None:
    """Check that the rows of the views are the same with and without the files of the roll-ups."""
    for view in ("quality_hours", "quality_histogram", "score_hours"):
        assert rows_of(store, view) == rows_of(store, view, use_rollups=False)


def valid_rollups(store: ParquetStore) -> int:
    """Return the number of roll-ups that queries use."""
    layout = Layout(store.path)
    return sum(day.valid_file() is not None for rollup in ROLLUPS for day in rollup_days(layout, rollup))


def aggregated(store: ParquetStore) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the aggregates of the view `quality`, by `KEYS`, computed sample by sample."""
    hours: defaultdict[tuple[Any, ...], list[tuple[float | None, float]]] = defaultdict(list)
    for row, seconds in covered(store):
        hour = row["ts"].replace(minute=0, second=0, microsecond=0)
        hours[tuple((row | {"hour": hour})[key] for key in KEYS)].append((row["value"], seconds))
    return {key: _aggregate(key[KEYS.index("metric")], found) for key, found in hours.items()}


def seconds_beyond(samples: list[tuple[dict[str, Any], float]], limit: Threshold) -> Decimal | None:
    """Return the seconds of samples beyond a limit; None without samples of its metric. `samples` is from `covered`."""
    found = [
        seconds * (is_measured(row["value"]) and limit.is_exceeded(row["value"], seconds))
        for row, seconds in samples
        if row["metric"] == limit.metric
    ]
    return round(Decimal(sum(found)), 3) if found else None


def is_measured(value: float | None) -> bool:
    return value is not None and abs(value) < 1e10


def covered(store: ParquetStore) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield each row of the view `quality`, and the seconds that it covers."""
    series: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in store.table("quality").to_pylist():
        series[tuple(row[key] for key in KEYS if key != "hour")].append(row)
    for rows in series.values():
        rows.sort(key=lambda row: row["ts"])
        gaps = [(late["ts"] - early["ts"]).total_seconds() for early, late in pairwise(rows)]
        vendor = rows[0]["vendor"]
        for row, seconds in zip(rows, [gaps[0], *gaps] if gaps else [NOMINAL[vendor]], strict=True):
            yield row, min(seconds, LONGEST[vendor])


def _aggregate(metric: str, samples: list[tuple[float | None, float]]) -> dict[str, Any]:
    measured = [(value, seconds) for value, seconds in samples if value is not None and is_measured(value)]
    limits = PROFILES["agora"].of(metric)
    return {
        "samples": len(samples),
        "measured": len(measured),
        "value_sum": sum(
            (Decimal(repr(value)).quantize(Decimal("1e-8")) for value, _ in measured), Decimal(0)
        ),
        "value_min": min((value for value, _ in measured), default=None),
        "value_max": max((value for value, _ in measured), default=None),
        "seconds": round(Decimal(sum(seconds for _, seconds in samples)), 3),
        "seconds_beyond": round(
            Decimal(sum(seconds for value, seconds in measured if limits[0].is_exceeded(value, seconds))), 3
        )
        if limits
        else None,
    }
