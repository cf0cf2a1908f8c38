"""Faults over all listings: no record is lost or repeated, however often an attempt fails."""

import asyncio
from collections import Counter

import pytest

from agora_analytics.engine.events import PartialResponse
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.opentok import pagination
from agora_analytics.simulator import Faults, OpenTokWorld
from tests.conftest import slow
from tests.opentok.harness import DAY, NOW, make_harness

# No meeting is active, so that two runs return the same records.
WORLD = OpenTokWorld.generate(seed=7, since=NOW - 15 * DAY, until=NOW - DAY, sessions=8, ongoing_share=0.0)
IDS = [session.session_id for session in WORLD.sessions]

PATIENCE = RetryPolicy(timeout=5, deadline=None, attempts=20, rate_attempts=20)
KINDS = ("reset", "500", "503-html", "504-html", "429", "cut-off", "broken-json", "lost-answer", "hang")
LISTINGS = {
    "summaries": lambda c: c.session_summaries(NOW - 16 * DAY, NOW - 600),
    "sessions": lambda c: c.sessions(IDS),
    "meetings": lambda c: c.meetings(IDS, since=NOW - 16 * DAY, until=NOW - 600),
    "connections": lambda c: c.connections(IDS),
    "publishers": lambda c: c.publishers(IDS),
    "subscribers": lambda c: c.subscribers(IDS),
    "samples": lambda c: c.stream_stats(IDS),
    "days": lambda c: c.project_data("14d", interval="DAILY", group_by=["COUNTRY", "SDK_TYPE"]),
}


async def everything(client):
    found = await asyncio.gather(*(listing(client).collect() for listing in LISTINGS.values()))
    return dict(zip(LISTINGS, found, strict=True))


@pytest.mark.parametrize("share", [0.3, slow(0.05)])
def test_faults_lose_and_repeat_no_record_of_any_listing(share, monkeypatch):
    monkeypatch.setattr(pagination, "PAGE_BUDGET", 60)  # small pages, so that there are many requests
    calm = make_harness(WORLD).run(everything, retry=PATIENCE)
    harness = make_harness(WORLD, faults=Faults(share=share, seed=1, kinds=KINDS), latency=(0.01, 0.05))
    found = harness.run(everything, retry=PATIENCE)
    faults = harness.simulator.seen.faults
    assert faults.total() > harness.requests.total() * share * 0.5 > 2
    assert share < 0.3 or set(faults) == set(KINDS)
    for name, records in found.items():
        assert records, name
        assert Counter(map(repr, records)).most_common(1)[0][1] == 1, name
        assert records == calm[name], name
    assert harness.events_of(PartialResponse) == []
    assert max(harness.simulator.rate_windows.worst.values()) < 100
