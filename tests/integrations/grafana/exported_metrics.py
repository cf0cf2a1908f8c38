"""Forty minutes of scrapes of the Prometheus exporter, while a client follows Real-time and lists calls."""

import asyncio
import re
from collections.abc import Iterator

from prometheus_client.openmetrics.exposition import generate_latest

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.integrations.prometheus import PrometheusMetrics
from agora_analytics.integrations.realtime_export import export_windows
from agora_analytics.simulator import Faults, World
from tests.agora.harness import make_harness
from tests.conftest import NOW

SCRAPE = 30
SINCE, UNTIL = int(NOW), int(NOW) + 40 * 60
METRICS = (
    *("userCount", "channelCount", "videoFreezeRate", "audioFreezeRate"),
    *("networkDelay", "joinSuccessRate", "joinSuccessIn5sRate"),
)


def scraped() -> str:
    """Return the samples of all scrapes with their times, in the OpenMetrics format."""
    world = World.generate(seed=7, since=SINCE - 7200, until=UNTIL + 600, calls=40, simple=True)
    faults = Faults(share=0.2, kinds=("500", "429"), only=frozenset({"call/lists"}))
    harness = make_harness(world, faults=faults, latency=(0.02, 0.4))
    metrics = PrometheusMetrics(stale_after=800, now=harness.clock.now)
    scrapes: list[str] = []

    async def list_calls(client: AsyncAgora) -> None:
        while True:
            # more at a time than the rate limit allows
            listings = (client.calls(SINCE - 7200 + place, SINCE).collect() for place in range(25))
            await asyncio.gather(*listings, return_exceptions=True)
            await asyncio.sleep(120)

    async def job(client: AsyncAgora) -> None:
        metrics.record_quota(await client.quota())
        windows = client.realtime.follow(METRICS, since="5m")
        tasks = [
            asyncio.create_task(work)
            for work in (export_windows(client, metrics, windows), list_calls(client))
        ]
        while harness.clock.now() < UNTIL:
            await asyncio.sleep(SCRAPE)
            scrapes.append("".join(_timed(metrics, harness.clock.now())))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    harness.run(job, observer=metrics)
    return "".join((*scrapes, "# EOF\n"))


def _timed(metrics: PrometheusMetrics, at: float) -> Iterator[str]:
    """Yield the samples of a scrape with its time, which a server adds."""
    for line in generate_latest(metrics.registry).decode().splitlines():
        if not line.startswith("#"):
            yield f"{re.sub(r' # .*', '', line)} {at:.3f}\n"
