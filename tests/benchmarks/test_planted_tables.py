"""The tables of planted calls are those that a harvest stores."""

import numpy as np
import pytest

from agora_analytics import AsgiTransport, AsyncAgora, harvest, open_store
from agora_analytics.schemas import KEYS, METRICS, SESSIONS
from agora_analytics.simulator import DEMO_CREDENTIALS, Simulator, planted_call, planted_world
from agora_analytics.testing import VirtualClock, run_virtual
from benchmarks._planted_tables import planted_tables

SEEDS = (0, 1, 18)
((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()


@pytest.fixture(scope="module")
def calls():
    return list(planted_tables(SEEDS))


def rows_of(table, name, schema):
    table = table.select(schema.names).sort_by([(key, "ascending") for key in KEYS[name]])
    return [{key: str(value) for key, value in row.items()} for row in table.to_pylist()]


def test_tables_are_those_of_a_store(calls, tmp_path):
    world = planted_world([planted_call(seed) for seed in SEEDS])
    clock = VirtualClock(start=1_795_086_400)
    simulator = Simulator(world, "enterprise", now=clock.now)
    store = open_store(tmp_path / "calls.store", create=True, durable=False)

    async def run():
        options = {"app_id": world.app_id, "plan": "enterprise", "clock": clock}
        async with AsyncAgora(CUSTOMER, SECRET, transport=AsgiTransport(simulator.app), **options) as client:
            await harvest(client, since=1_794_999_990, until=1_795_007_200, store=store)

    run_virtual(run(), clock)
    for call in calls:
        where = f"where call_id = '{call.planted.call.call_id}'"
        for name, schema, table in (
            ("sessions", SESSIONS, call.sessions),
            ("metrics", METRICS, call.metrics),
        ):
            assert table.schema == schema
            stored = store.sql(f"select {', '.join(schema.names)} from {name} {where}").to_arrow_table()
            assert rows_of(table, name, schema) == rows_of(stored, name, schema)


def test_lost_samples_follow_from_the_seed(calls):
    again = next(iter(planted_tables(SEEDS[:1])))
    lost = calls[0].without_samples(0.1)
    assert lost.metrics == again.without_samples(0.1).metrics
    assert 0.85 < lost.metrics.num_rows / calls[0].metrics.num_rows < 0.95
    assert lost.sessions == calls[0].sessions


def test_missing_metrics_are_removed_of_all_sessions(calls):
    for call in calls:
        before, after = (
            set(np.unique(each.metrics["mid"].to_numpy())) for each in (call, call.without_metrics(3))
        )
        assert after < before
        assert len(before - after) == 3
    assert calls[0].without_metrics(1000).metrics.num_rows == 0
