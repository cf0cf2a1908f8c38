"""Creating a listing does nothing, for every vendor: arguments are checked when the iteration begins."""

import asyncio
import re

import pytest

from agora_analytics import blocking
from agora_analytics.engine.call_options import CallOptions
from agora_analytics.errors import InvalidRequest
from agora_analytics.testing import VirtualClock, run_virtual
from tests.agora.harness import make_harness
from tests.conftest import NOW
from tests.engine.test_deadlines import VENDORS
from tests.engine.test_deadlines import make_harness as harness_of
from tests.harness import Scripted

MILLISECONDS = int(NOW) * 1000
LISTINGS = {
    "agora": [
        lambda c: c.calls(MILLISECONDS),
        lambda c: c.calls("1h", "2h"),
        lambda c: c.calls("1h", page_size=0),
        lambda c: c.calls("1h", resume="nonsense"),
        lambda c: c.calls("1h", deadline=0),
        lambda c: c.calls("90d", "80d"),
        lambda c: c.sessions("c"),
        lambda c: c.sessions("no id", "2h", "1h"),
        lambda c: c.sessions("c", "2h", "1h", uids="1"),
        lambda c: c.metrics("c"),
        lambda c: c.metrics("c", "2h", "1h", sids="s"),
        lambda c: c.calls_of_user(True, "2h", "119m"),
        lambda c: c.calls_of_user("1", MILLISECONDS),
        lambda c: c.realtime.follow([]),
        lambda c: c.realtime.follow("userCount", share=2),
        lambda c: c.realtime.follow("userCount", max_wait=-1),
    ],
    "beta": [
        lambda c: c.calls(MILLISECONDS),
        lambda c: c.calls("9d", "8d"),
        lambda c: c.details("c"),
        lambda c: c.live_diagnosis("1h", resume="nonsense"),
    ],
    "signaling": [
        lambda c: c.history("", "c"),
        lambda c: c.history("u", "c", resume="nonsense"),
        lambda c: c.legacy_history("1h"),
        lambda c: c.legacy_history(MILLISECONDS, source="a"),
    ],
    "opentok": [
        lambda c: c.project_data(MILLISECONDS),
        lambda c: c.project_data("30d", fields=[]),
        lambda c: c.project_data("400d", "399d", interval="DAILY"),
        lambda c: c.session_summaries("40d", "30d"),
        lambda c: c.sessions([]),
        lambda c: c.meetings("s", since=MILLISECONDS),
        lambda c: c.connections(""),
        lambda c: c.publishers(["s", "s"]),
        lambda c: c.subscribers("s", fields=["guid } evil {"]),
        lambda c: c.stream_stats("s", roles="watcher"),
    ],
    "apsaravideo": [
        lambda c: c.interaction_metrics("", "1h"),
        lambda c: c.interaction_metrics("VideoStuckRate", MILLISECONDS),
        lambda c: c.all_metrics("90d", "80d"),
        lambda c: c.all_metrics("1d", os=""),
    ],
}
CASES = [
    pytest.param(vendor, make, id=f"{vendor}-{i}")
    for vendor, listings in LISTINGS.items()
    for i, make in enumerate(listings)
]


@pytest.mark.parametrize(("vendor", "make"), CASES)
def test_error_is_raised_when_the_iteration_begins(vendor, make):
    async def job(client):
        listing = make(client)
        with pytest.raises(InvalidRequest):
            await anext(aiter(listing))
        if hasattr(listing, "collect"):
            with pytest.raises(InvalidRequest):
                await listing.collect()
            with pytest.raises(InvalidRequest):
                await anext(listing.pages())

    harness = harness_of(vendor)
    harness.run(job)
    assert harness.transport.requests == []


@pytest.mark.parametrize(("vendor", "make"), CASES)
def test_error_of_a_blocking_listing_is_raised_when_the_iteration_begins(vendor, make):
    twins = {
        "agora": "Agora",
        "beta": "AgoraBeta",
        "signaling": "Signaling",
        "opentok": "OpenTok",
        "apsaravideo": "ApsaraVideo",
    }
    if vendor == "opentok":
        pytest.importorskip("jwt")
    _, credentials, defaults = VENDORS[vendor]
    transport = Scripted()
    settings = {"base_url": "http://127.0.0.1:9", "transport": transport} | defaults
    with getattr(blocking, twins[vendor])(*credentials, **settings) as client:
        listing = make(client)
        with pytest.raises(InvalidRequest):
            next(iter(listing))
    assert transport.requests == []


def test_unknown_option_is_an_error_of_the_call():
    """A misspelt keyword is an error of the program, as for every function."""

    async def job(client):
        with pytest.raises(TypeError, match="dead_line"):
            client.calls("1h", dead_line=1)

    harness_of("agora").run(job)
    assert CallOptions.__annotations__.keys() == {"deadline", "max_wait"}


def test_listing_that_is_iterated_twice_is_planned_twice():
    pytest.importorskip("numpy")
    pytest.importorskip("starlette")

    async def job(client):
        listing = client.calls("2h", "now")
        for _ in range(2):
            await listing.collect()
            await asyncio.sleep(3600)

    harness = make_harness()
    sent = []
    send = harness.transport.send

    async def watched(request):
        sent.append(int(dict(request.query)["start_ts"]))
        return await send(request)

    harness.transport.send = watched
    harness.run(job)
    assert max(sent) - min(sent) == pytest.approx(3600, abs=2)


@pytest.mark.parametrize("vendor", ["agora", "beta", "signaling", "apsaravideo"])
def test_listing_in_a_plain_for_or_await_names_the_other_way(vendor):
    async def job(client):
        listing = LISTINGS[vendor][0](client)
        with pytest.raises(TypeError, match=re.escape("use `async for`, or `await listing.collect()`")):
            for _ in listing:
                pass
        with pytest.raises(TypeError, match=re.escape("use `async for`, or `await listing.collect()`")):
            await listing

    harness_of(vendor).run(job)


def test_listing_can_be_created_without_an_event_loop():
    harness = harness_of("agora")
    client = harness.client()
    listing = client.calls("1h", "2h")

    async def job():
        async with client:
            with pytest.raises(InvalidRequest, match="not before"):
                await listing.collect()

    run_virtual(job(), VirtualClock(NOW))
