"""Random samples with the inputs of scores, and the rows of `score_hours`, computed without SQL."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from agora_analytics.schemas import METRICS, POINTS
from agora_analytics.store import ParquetStore
from tests.insight.scored_calls import table

from .rollup_samples import sessions_of
from .sample_calls import CREATED, call

STREAM = ("vendor", "app_id", "day", "channel", "call_id", "session_id", "user_id", "peer_id", "media")
INPUTS = {
    20016: (0.0, 0.25, 3, 40), 20011: (0, 0, 300, 2400), 20010: (0, 3, 15, 24), 20019: (640,), 20020: (360,),
    20022: (20, 90, 400),
}  # fmt: skip
"""Values of the metrics that are inputs of Agora's scores."""
ODD = (None, float("nan"), float("inf"), -1.0, 1e300)
MEASURES = (
    "intervals", "seconds", "seconds_without_score", "score_sum", "worst_window", "worst_window_ts"
)  # fmt: skip
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def random_times(random: np.random.Generator, since: int) -> list[int]:
    """Return the seconds of the reports of a stream: one or many, with gaps, often across the end of an hour."""
    count = int(random.choice([1, 3, 12, 40]))
    steps = random.choice([2, 4, 6, 18, 90, 700], count, p=[0.3, 0.4, 0.2, 0.05, 0.03, 0.02])
    return (since + np.cumsum(steps)).tolist()


def agora_rows(call_id: str, random: np.random.Generator, since: int) -> Iterator[dict[str, Any]]:
    """Yield samples of three users who receive each other. The last session has no row in `sessions`."""
    uids = [str(2**40 + i) for i in range(3)]
    for session, uid in enumerate(uids):
        for peer in uids:
            times = random_times(random, since)
            for mid, values in INPUTS.items():
                if (mid == 20022) != (peer == uid) or random.random() < 0.1:
                    continue
                for ts in times:
                    if random.random() > 0.1:
                        odd = random.random() < 0.03
                        yield {
                            "call_id": call_id, "sid": f"{call_id}-{session}", "mid": mid, "ts": ts,
                            "peer_uid": "0" if peer == uid else peer,
                            "value": ODD[random.integers(len(ODD))] if odd else float(random.choice(values)),
                        }  # fmt: skip


def opentok_rows(random: np.random.Generator, since: int) -> Iterator[dict[str, Any]]:
    """Yield values of a publisher and two subscribers, at fractions of a second."""
    common = {"vendor": "opentok", "unit": "", "channel": "1_MX4", "call_id": "meeting"}
    streams = [
        ("p", "sender", None, "sent"),
        ("s", "one", "sender", "received"),
        ("t", "two", "sender", "received"),
    ]
    for session, user, peer, direction in streams:
        for place in range(int(random.integers(1, 60))):
            ts = 1000 * (since + 30 * place) + int(random.integers(0, 1000))
            for name, high in (
                (f"audio_packet_loss_{direction}", 0.4),
                (f"audio_latency_{direction}", 300.0),
            ):
                if random.random() > 0.1:
                    value = None if random.random() < 0.05 else high * float(random.random())
                    yield {
                        **common, "session_id": session, "user_id": user, "peer_id": peer, "metric": name,
                        "source_metric": name, "ts": ts, "value": value,
                    }  # fmt: skip


def put_random_call(
    store: ParquetStore, call_id: str, *, app_id: str, day: str, seed: int, since: int
) -> None:
    """Publish a call of Agora with random samples."""
    put_samples(
        store, call_id, list(agora_rows(call_id, np.random.default_rng(seed), since)), app_id=app_id, day=day
    )


def put_samples(
    store: ParquetStore, call_id: str, rows: list[dict[str, Any]], *, app_id: str, day: str
) -> None:
    """Publish a call of Agora with these samples."""
    partition = {"app_id": app_id, "day": day}
    store.writer.put("metrics", f"{call_id}.0", table(rows, METRICS), **partition, pending=True)
    store.writer.publish(
        **partition,
        metrics=[f"{call_id}.0"],
        sessions=sessions_of(call_id, sessions=3),
        call=call_id,
        row=call(call_id),
    )


def put_random_points(store: ParquetStore, *, day: str, seed: int, since: int = CREATED + 3000) -> None:
    """Write values of OpenTok."""
    rows = list(opentok_rows(np.random.default_rng(seed), since))
    store.writer.put("points", f"m{seed}", table(rows, POINTS), app_id="46", day=day, pending=False)


def score_hours(intervals: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows of `score_hours` by stream and hour, computed from those of `interval_scores`."""
    streams: defaultdict[tuple[Any, ...], list[tuple[datetime, int, int | None]]] = defaultdict(list)
    for row in intervals.to_pylist():
        score = None if row["score"] is None else _rounded(row["score"] * 1_000_000)
        stream = tuple(row[name] for name in STREAM)
        streams[stream].append((row["ts"], round(1000 * row["seconds"]), score))
    return {
        (*stream, hour): measures
        for stream, found in streams.items()
        for hour, measures in _hours_of(sorted(found, key=lambda row: row[0]))
    }


def _hours_of(stream: list[tuple[datetime, int, int | None]]) -> Iterator[tuple[datetime, dict[str, Any]]]:
    windows = [(window, ts) for ts, _, _ in stream if (window := _window(stream, ts)) is not None]
    if not windows and (mean := _mean(stream)) is not None:
        windows = [(mean, stream[-1][0])]
    for hour in dict.fromkeys(_hour(ts) for ts, _, _ in stream):
        inside = [(ms, score) for ts, ms, score in stream if _hour(ts) == hour]
        scored = [(ms, score) for ms, score in inside if score is not None]
        worst, at = min((each for each in windows if _hour(each[1]) == hour), default=(None, None))
        yield hour, {
            "intervals": len(inside),
            "seconds": Decimal(sum(ms for ms, _ in scored)) / 1000,
            "seconds_without_score": Decimal(sum(ms for ms, score in inside if score is None)) / 1000,
            "score_sum": Decimal(sum(ms * score for ms, score in scored)) / 10**9,
            "worst_window": None if worst is None else worst / 1_000_000,
            "worst_window_ts": at,
        }  # fmt: skip


def _hour(ts: datetime) -> datetime:
    return ts.replace(minute=0, second=0, microsecond=0)


def _window(stream: list[tuple[datetime, int, int | None]], end: datetime) -> int | None:
    inside = [each for each in stream if end - timedelta(seconds=30) < each[0] <= end]
    return _mean(inside, least=15_000)


def _mean(intervals: list[tuple[datetime, int, int | None]], least: int = 1) -> int | None:
    scored = [(ms, score) for _, ms, score in intervals if score is not None]
    weight = sum(ms for ms, _ in scored)
    return _rounded(sum(ms * score for ms, score in scored) / weight) if weight >= least else None


def _rounded(value: float) -> int:
    """Round as SQL does: halves away from zero."""
    return int(value + 0.5)
