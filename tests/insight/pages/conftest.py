import pytest

from agora_analytics import AsyncAgora, MemoryLedger
from agora_analytics.insight.call_charts import CallCharts
from agora_analytics.insight.diagnosis.call_findings import call_findings
from agora_analytics.simulator import DEMO_CREDENTIALS, Simulator, planted_call, planted_world, serve

((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()


class Fixed:
    """A clock that stands still."""

    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now


async def fetch_charts(planted, *, bins=240):
    """Return the charts of a planted call, fetched from the simulator over a socket."""
    charts, _ = await fetch_call(planted, bins=bins)
    return charts


async def fetch_call(planted, *, bins=240):
    """Return the charts of a planted call and what was wrong in it, fetched from the simulator over a socket."""
    world = planted_world([planted])
    clock = Fixed(planted.call.destroyed_ts + 3600.0)
    async with (
        serve(Simulator(world, now=clock.now)) as url,
        AsyncAgora(
            CUSTOMER, SECRET, app_id=world.app_id, plan="enterprise", base_url=url, clock=clock,
            ledger=MemoryLedger(),
        ) as client,
    ):  # fmt: skip
        (call,) = await client.calls(planted.call.created_ts - 60, planted.call.destroyed_ts + 60).collect()
        sessions = await client.sessions(call).collect()
        charts = CallCharts(call, sessions, bins=bins)
        series = []
        async for page in client.metrics(call, sids=sessions).pages():
            charts.add(page.records)
            series += page.records
        return charts, call_findings(sessions, series)


@pytest.fixture(scope="session")
def planted():
    """A call of seven users whose server loses packets."""
    return planted_call(1)
