"""The bytes a row of a compacted bucket, compared with a compacted folder that has the same rows."""

import random

import numpy as np
import pyarrow as pa

from agora_analytics.store import open_store
from agora_analytics.store.bucket.delta_tables import files_of
from tests.bucket.sample_calls import PARTITION, unit_names
from tests.store.sample_calls import CREATED, call, sessions

CALLS, UNITS, SAMPLES = 25, 4, 2000


def samples(call_id: str, number: int) -> pa.Table:
    """Return samples of four sessions with twelve metrics, every two seconds."""
    noise = np.random.default_rng([number, *call_id.encode()])
    sids = [f"{noise.integers(2**60):032X}" for _ in range(4)]
    return pa.table(
        {
            "call_id": pa.array([call_id] * SAMPLES).dictionary_encode(),
            "sid": pa.array([sids[i % 4] for i in range(SAMPLES)]).dictionary_encode(),
            "mid": pa.array([20001 + i // 4 % 12 for i in range(SAMPLES)], pa.int32()),
            "peer_uid": pa.array([str(i % 5) for i in range(SAMPLES)]),
            "ts": pa.array(
                [CREATED + 60 * number + 2 * (i // 48) for i in range(SAMPLES)], pa.timestamp("s", "UTC")
            ),
            "value": pa.array(np.round(noise.gamma(2.0, 200.0, SAMPLES))),
        }
    )


def store_calls(store) -> None:
    writer = store.writer
    for seed in range(CALLS):
        call_id = f"{random.Random(seed).getrandbits(128):032X}"
        for number, name in enumerate(unit_names(call_id, UNITS)):
            writer.put("metrics", name, samples(call_id, number), pending=True, **PARTITION)
        writer.publish(
            metrics=unit_names(call_id, UNITS),
            sessions=sessions(call_id),
            call=call_id,
            row=call(call_id),
            **PARTITION,
        )
    writer.commit()
    assert writer.compact(closed_before="2026-11-21").compacted
    assert store.counts()["metrics"] == CALLS * UNITS * SAMPLES


def test_bucket_takes_as_many_bytes_a_row_as_a_folder(store, tmp_path):
    folder = open_store(tmp_path / "local", create=True, durable=False)
    for each in (folder, store):
        store_calls(each)
    in_folder = sum(path.stat().st_size for path in folder.files("metrics"))
    in_bucket = sum(files_of(store._tables.load("metrics")).column("size_bytes").to_pylist())
    assert in_bucket <= 1.05 * in_folder
