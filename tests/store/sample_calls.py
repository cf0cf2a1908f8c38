"""Small calls for tests, and a function that stores one as a harvest does."""

import numpy as np
import pyarrow as pa

from agora_analytics.store import ParquetStore

APP = "0123456789abcdef0123456789abcdef"
DAY = "2026-11-20"
PARTITION = {"app_id": APP, "day": DAY}
CREATED = 1_795_161_600  # 2026-11-20T08:00:00Z
SESSIONS = 3
SAMPLES = 40


def call(call_id: str, *, finished: bool = True, seconds: int = 600) -> pa.Table:
    return pa.table(
        {
            "call_id": pa.array([call_id], pa.string()),
            "cname": pa.array(["room"], pa.string()),
            "created_ts": pa.array([CREATED], pa.timestamp("s", "UTC")),
            "destroyed_ts": pa.array([CREATED + seconds], pa.timestamp("s", "UTC")),
            "finished": pa.array([finished], pa.bool_()),
        }
    )


def sessions(call_id: str, *, count: int = SESSIONS) -> pa.Table:
    return pa.table(
        {
            "call_id": pa.array([call_id] * count, pa.string()),
            "sid": pa.array([f"{call_id}-{i}" for i in range(count)], pa.string()),
            "uid": pa.array([str(2**40 + i) for i in range(count)], pa.string()),
            "roles": pa.array([["host", "audience"], None, []][:count] + [None] * (count - 3)),
            "join_ts": pa.array([CREATED + i for i in range(count)], pa.timestamp("s", "UTC")),
        }
    )


def metrics(call_id: str, *, batch: int = 0, count: int = SAMPLES) -> pa.Table:
    return pa.table(
        {
            "call_id": pa.array([call_id] * count, pa.string()).dictionary_encode(),
            "sid": pa.array([f"{call_id}-{batch}"] * count, pa.string()).dictionary_encode(),
            "mid": pa.array([20003] * count, pa.int32()),
            "peer_uid": pa.array(["0"] * count, pa.string()),
            "ts": pa.array([CREATED + 2 * i for i in range(count)], pa.timestamp("s", "UTC")),
            "value": pa.array([None if i % 10 == 9 else float(i % 7) for i in range(count)], pa.float64()),
        }
    )


def large_metrics() -> pa.Table:
    """Return samples with a file size of about 800 kB."""
    noise = np.random.default_rng(1).random(100_000)
    return metrics("large", count=len(noise)).set_column(5, "value", pa.array(noise))


def store_call(
    store: ParquetStore,
    call_id: str,
    *,
    day: str = DAY,
    app_id: str = APP,
    batches: int = 2,
    finished: bool = True,
    seconds: int = 600,
) -> None:
    """Store a complete call as a harvest does: write its units as pending, then publish."""
    names = [f"{call_id}.{batch:05d}" for batch in range(batches)]
    for batch, name in enumerate(names):
        store.writer.put("metrics", name, metrics(call_id, batch=batch), app_id=app_id, day=day, pending=True)
    store.writer.put("sessions", call_id, sessions(call_id), app_id=app_id, day=day, pending=True)
    store.writer.publish(
        app_id=app_id,
        day=day,
        metrics=names,
        sessions=sessions(call_id),
        call=call_id,
        row=call(call_id, finished=finished, seconds=seconds),
        before=store.writer.published(call_id, app_id=app_id, day=day),
    )


def whole_calls_only(store: ParquetStore, *, batches: int = 2) -> int:
    """Check that each visible call has all its rows exactly once; return the number of calls."""
    incomplete = store.sql(
        f"""
        select c.call_id, s.n, m.n from calls c
        left join (select call_id, count(distinct sid) d, count(*) n from sessions group by 1) s using (call_id)
        left join (select call_id, count(*) n from metrics group by 1) m using (call_id)
        where s.n is distinct from {SESSIONS} or s.d <> s.n or m.n is distinct from {SAMPLES * batches}
        """
    ).fetchall()
    assert incomplete == []
    return store.counts()["calls"]


POINT = pa.table(
    {
        "vendor": ["opentok"],
        "channel": ["1_MX4"],
        "call_id": ["meeting"],
        "session_id": ["stream"],
        "user_id": ["connection"],
        "metric": ["video_packet_loss_sent"],
        "unit": ["ratio"],
        "ts": pa.array([CREATED * 1000 + 250], pa.timestamp("ms", "UTC")),
        "value": [0.01],
        "source_metric": ["publisher.videoPacketLoss"],
    }
)
"""One value of another vendor."""
