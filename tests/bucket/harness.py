"""A harvest of a simulated Agora project into a bucket."""

from attrs import define, field

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.harvest import HarvestReport, harvest
from agora_analytics.simulator import DEMO_APP_ID, Simulator, World
from agora_analytics.store.bucket.bucket_store import BucketStore
from agora_analytics.testing import VirtualClock
from tests.bucket.sample_calls import reopened
from tests.harness import Harness
from tests.harvest.harness import CUSTOMER, LATENCY, SINCE, UNTIL


@define
class BucketHarness(Harness):
    """A harness with a store in a bucket, which each harvest opens as another process does."""

    store: BucketStore = field(kw_only=True)

    def harvest(self, *, since: float = SINCE, until: float = UNTIL) -> HarvestReport:
        async def job(client: AsyncAgora) -> HarvestReport:
            return await harvest(client, since=since, until=until, store=reopened(self.store))

        return self.run(job)


def make_harness(world: World, store: BucketStore, *, now: float = UNTIL + 3600) -> BucketHarness:
    """Return a simulated project with a latency."""
    clock = VirtualClock(now)
    api = Simulator(world, "enterprise", now=clock.now, latency=LATENCY)
    settings = {"app_id": DEMO_APP_ID, "plan": api.plan, "base_url": "http://127.0.0.1:1"}
    return BucketHarness(AsyncAgora, CUSTOMER, settings, clock, api, world=world, store=store)
