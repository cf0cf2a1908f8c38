"""A store with two calls of Agora, a meeting of OpenTok and totals of ApsaraVideo."""

import pytest

from agora_analytics.schemas import POINTS
from agora_analytics.store import ParquetStore, open_store

from .scored_calls import BEGIN, DAY, agora_samples, opentok_points, point, put_call, table


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> ParquetStore:
    store = open_store(tmp_path_factory.mktemp("insight") / "calls.store", create=True, durable=False)
    bad = [0] * 10 + [30] * 8 + [0] * 12
    put_call(store, "bad", "support", BEGIN, list(agora_samples(1, bad)))
    put_call(store, "good", "sales", BEGIN + 3600, list(agora_samples(2, [0] * 30)))
    store.writer.put(
        "points", "m", table(list(opentok_points()), POINTS), app_id="46", day=DAY, pending=False
    )
    stuck = [point("apsaravideo", "video_freeze_rate", 300, 0.1, channel="live")]
    store.writer.put("points", "a", table(stuck, POINTS), app_id="live", day=DAY, pending=False)
    return store
