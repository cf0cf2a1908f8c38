"""Planted calls as the tables `sessions` and `metrics` of a store, without the store.

The calls are read by the client from the simulator, in process and on virtual time, and decoded as a harvest decodes them.
A call takes about 40 ms, most of it for the simulation. A harvest into a store and a query for each call take 130 ms.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
from attrs import evolve, frozen

from agora_analytics import AsgiTransport, AsyncAgora
from agora_analytics.agora.arrow import sessions_table
from agora_analytics.agora.listings import MetricsPage
from agora_analytics.decode.arrow_table import columns_table
from agora_analytics.schemas import METRICS
from agora_analytics.simulator import (
    DEMO_CREDENTIALS,
    PlantedCall,
    Simulator,
    planted_call,
    planted_world,
)
from agora_analytics.testing import VirtualClock, run_virtual

BATCH = 50
LATER = 86_400  # seconds after the calls, within the retention of the plan
((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()


@frozen
class PlantedTables:
    """A planted call, and its rows in the tables `sessions` and `metrics`."""

    planted: PlantedCall
    sessions: pa.Table
    metrics: pa.Table

    def without_samples(self, share: float) -> "PlantedTables":
        """Return the call without a share of its samples, chosen at random from the seed of the call."""
        rng = np.random.default_rng([self.planted.seed, 101])
        kept = rng.random(self.metrics.num_rows) >= share
        return evolve(self, metrics=self.metrics.filter(pa.array(kept)))

    def without_metrics(self, number: int) -> "PlantedTables":
        """Return the call without some of its metric ids, chosen at random from the seed of the call."""
        rng = np.random.default_rng([self.planted.seed, 102])
        mids = self.metrics["mid"].to_numpy()
        present = np.unique(mids)
        removed = rng.choice(present, min(number, len(present)), replace=False)
        return evolve(self, metrics=self.metrics.filter(pa.array(~np.isin(mids, removed))))


def planted_tables(seeds: Iterable[int]) -> Iterator[PlantedTables]:
    """Yield the planted call of each seed with its tables."""
    left = iter(seeds)
    while some := [planted_call(seed) for seed in islice(left, BATCH)]:
        yield from _tables_of(some)


def _tables_of(planted: list[PlantedCall]) -> list[PlantedTables]:
    world = planted_world(planted)
    clock = VirtualClock(start=max(each.call.destroyed_ts for each in planted) + LATER)
    simulator = Simulator(world, "enterprise", now=clock.now)

    async def read() -> list[PlantedTables]:
        options = {"app_id": world.app_id, "plan": "enterprise", "clock": clock}
        async with AsyncAgora(CUSTOMER, SECRET, transport=AsgiTransport(simulator.app), **options) as client:
            return [await _read(client, each) for each in planted]

    return run_virtual(read(), clock)


async def _read(client: AsyncAgora, planted: PlantedCall) -> PlantedTables:
    call = planted.call
    window = (call.call_id, call.created_ts, call.destroyed_ts + 1)
    sessions = await client.sessions(*window, exclude_server_user=False).collect()
    listing = client.metrics(*window, sids=[session.sid for session in sessions])
    parts = [
        columns_table(page.columns, call_id=call.call_id)
        async for page in listing.pages()
        if isinstance(page, MetricsPage)
    ]
    metrics = pa.concat_tables(parts, unify_dictionaries=True) if parts else METRICS.empty_table()
    return PlantedTables(
        planted, sessions_table([sessions], call_id=call.call_id), metrics.select(METRICS.names).cast(METRICS)
    )
