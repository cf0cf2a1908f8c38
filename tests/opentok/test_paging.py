"""Prefetching, reading in a thread, cancellation, and resuming."""

import asyncio
import threading
import time
from contextlib import aclosing

import anyio
import pytest
from attrs import define, field

from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok import AsyncOpenTok, ProjectKey, pagination, runner
from agora_analytics.opentok.pagination import InsightsPaginator
from agora_analytics.simulator import OpenTokSimulator, OpenTokWorld, serve
from tests.opentok.harness import DAY, IDS, KEY, NOW, SECRET, make_harness
from tests.opentok.test_listings import expected_samples, sample_rows
from tests.opentok.test_nested_pages import world


@define
class ConcurrencyCounter:
    """A transport that records the largest number of concurrent requests."""

    transport: object
    now: int = 0
    worst: int = field(default=0)

    async def send(self, request):
        self.now += 1
        self.worst = max(self.worst, self.now)
        try:
            return await self.transport.send(request)
        finally:
            self.now -= 1

    async def aclose(self):
        await self.transport.aclose()


@pytest.mark.parametrize("prefetch", [1, 3])
def test_prefetch_limits_concurrent_pages(prefetch):
    made = world(sessions=8, meetings=(1, 2), connections=(2, 2), samples=2)
    ids = [session.session_id for session in made.sessions]
    harness = make_harness(made, latency=(0.2, 0.5))
    crowd = ConcurrencyCounter(harness.transport)
    found = harness.run(lambda c: c.stream_stats(ids).collect(), transport=crowd, prefetch=prefetch)
    assert sample_rows(found) == expected_samples(made)
    assert crowd.worst == prefetch


def test_no_request_before_the_iteration():
    harness = make_harness()

    async def job(client):
        client.stream_stats(IDS)
        client.session_summaries("16d")
        await anyio.sleep(60)

    harness.run(job)
    assert harness.requests.total() == 0


@pytest.mark.parametrize("how", ["the reader leaves", "the reader is cancelled", "the client is closed"])
def test_abandoned_listing_leaves_no_task(how):
    """Also while further pages of inner lists are fetched: 12 meetings are two pages of each session."""
    made = world(sessions=6, meetings=(12, 12), connections=(2, 2), samples=2)
    ids = [session.session_id for session in made.sessions]
    harness, begun = make_harness(made, latency=(0.2, 0.5)), asyncio.Event()

    async def read(client, pages):
        async with aclosing(client.stream_stats(ids).pages()) as listing:
            async for page in listing:
                pages.append(page)
                begun.set()
                if how == "the reader leaves":
                    return

    async def job(client):
        before, pages = asyncio.all_tasks(), []
        reading = asyncio.create_task(read(client, pages))
        await begun.wait()
        await anyio.sleep(0.1)
        match how:
            case "the reader is cancelled":
                reading.cancel()
            case "the client is closed":
                await client.aclose()
        (ended,) = await asyncio.gather(reading, return_exceptions=True)
        await anyio.sleep(0.01)
        requests = harness.requests.total()
        left = asyncio.all_tasks() - before
        await anyio.sleep(30)
        assert harness.requests.total() == requests  # and no request is sent later
        return ended, left, len(pages)

    ended, left, pages = harness.run(job)
    assert left == set()
    assert 1 <= pages < len(ids)
    expected = {"the reader leaves": type(None), "the reader is cancelled": asyncio.CancelledError}
    assert type(ended) is expected.get(how, RuntimeError)


@pytest.mark.parametrize(("samples", "in_thread"), [(60, True), (1, False)])
async def test_large_response_is_read_in_a_thread(samples, in_thread, monkeypatch):
    end = time.time() - 3600
    made = OpenTokWorld.generate(
        seed=7, since=end - 2 * DAY, until=end - DAY, sessions=1, meetings=(5, 5), connections=(20, 20), samples=samples,
        peers=0, publish_share=1.0, screen_share=0.0, ongoing_share=0.0,
    )  # fmt: skip
    on_the_loop = {"answer": set(), "records": set()}

    def recording(name, function):
        def recorded(*args):
            on_the_loop[name].add(threading.current_thread() is threading.main_thread())
            return function(*args)

        return recorded

    monkeypatch.setattr(runner, "read_response", recording("answer", runner.read_response))
    monkeypatch.setattr(InsightsPaginator, "_parse", recording("records", InsightsPaginator._parse))
    session_id = made.sessions[0].session_id
    async with (
        serve(OpenTokSimulator(made)) as url,
        AsyncOpenTok(ProjectKey(KEY, SECRET), base_url=url) as client,
    ):
        found = await client.stream_stats(session_id, roles="publisher").collect()
    assert len(found) == 5 * 20 * samples
    assert on_the_loop == {"answer": {not in_thread}, "records": {not in_thread}}


# ---- resume tokens

LISTINGS = {
    "summaries": lambda c, **more: c.session_summaries("16d", **more),
    "summaries with minutes": lambda c, **more: c.session_summaries("16d", minutes=True, **more),
    "sessions": lambda c, **more: c.sessions(IDS, **more),
    "other sessions": lambda c, **more: c.sessions(IDS[::-1], **more),
    "a meeting": lambda c, **more: c.meetings(IDS, since="16d", meeting_id="m", **more),
    "connections": lambda c, **more: c.connections(IDS, **more),
    "publishers": lambda c, **more: c.publishers(IDS, **more),
    "subscribers": lambda c, **more: c.subscribers(IDS, **more),
    "samples": lambda c, **more: c.stream_stats(IDS, **more),
    "samples received": lambda c, **more: c.stream_stats(IDS, roles=["subscriber"], **more),
    "days by SDK": lambda c, **more: c.project_data("14d", interval="DAILY", group_by="SDK_TYPE", **more),
    "days by country": lambda c, **more: c.project_data("14d", interval="DAILY", group_by="COUNTRY", **more),
}


@pytest.mark.slow
def test_resume_token_fits_only_its_own_listing(monkeypatch):
    """`16d` is another time an hour later, but the listing is the same."""
    monkeypatch.setattr(pagination, "PAGE_BUDGET", 20)
    harness = make_harness(
        OpenTokWorld.generate(
            seed=7, since=NOW - 15 * DAY, until=NOW - DAY, sessions=8, session_ids=IDS, ongoing_share=0.0
        )
    )

    async def job(client):
        pages = {name: [page async for page in ask(client).pages()] for name, ask in LISTINGS.items()}
        requests = harness.requests.total()
        for name, whole in pages.items():
            token = whole[0].resume_token
            assert len(whole) > 1
            assert KEY not in token
            for other in set(LISTINGS) - {name}:
                with pytest.raises(InvalidRequest, match="another listing"):
                    await LISTINGS[other](client, resume=token).collect()
        assert harness.requests.total() == requests
        await anyio.sleep(3600)
        for name, whole in pages.items():
            rest = await LISTINGS[name](client, resume=whole[0].resume_token).collect()
            assert rest == [record for page in whole[1:] for record in page.records]

    harness.run(job)
