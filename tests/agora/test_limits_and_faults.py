"""The client against a simulator that fails, limits and is reached over real sockets; and what it says about secrets."""

import asyncio
import logging
import time
from base64 import b64encode
from collections import Counter

import httpx
import pytest
from attrs import evolve

pytest.importorskip("numpy")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.engine.events import AttemptFailed, ResponseReceived
from agora_analytics.engine.jitter import LARGEST_JITTER
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.errors import (
    AccessDenied,
    AgoraAnalyticsError,
    AuthenticationError,
    QuotaExhausted,
    ServerError,
    TransportError,
)
from agora_analytics.messages import FailureKind
from agora_analytics.simulator import Faults, Simulator, World, serve
from agora_analytics.simulator.faults import KINDS
from tests.agora.harness import HOUR, SINCE, UNTIL, make_harness, small_world
from tests.conftest import CUSTOMER, SECRET

SEEN_AS = {
    "reset": FailureKind.RESET,
    "hang": FailureKind.READ_TIMEOUT,
    "cut-off": FailureKind.CUT_OFF,
    "lost-answer": FailureKind.RESET,
}
QUICK = RetryPolicy(timeout=0.4, deadline=20, backoff=(0.01,), attempts=10)


async def everything(client, since=SINCE, until=UNTIL):
    """Request what a harvest requests; return the numbers of records."""
    came = Counter()
    async for call in client.calls(since, until, page_size=10):
        came["calls"] += 1
        sessions = await client.sessions(call, exclude_server_user=False).collect()
        came["sessions"] += len(sessions)
        async for page in client.metrics(call, sids=sessions).pages():
            came["points"] += len(page.columns)
    return came


def truth(world):
    totals = world.totals(server_users=True)
    return Counter(calls=totals.calls, sessions=totals.sessions, points=totals.points)


# ---- faults


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_in_process_ends_in_the_response(kind):
    harness = make_harness(faults=Faults(script=(kind, None, kind, kind, None)))
    calls = harness.run(lambda client: client.calls(SINCE, UNTIL, page_size=20).collect())
    assert [call.call_id for call in calls] == [call.call_id for call in harness.world.calls]
    assert harness.simulator.seen.faults == {kind: 3}
    assert harness.requests["call/lists"] == 2 + 3


@pytest.mark.parametrize("kind", KINDS)
async def test_every_fault_over_a_socket_is_classified_and_ends_in_the_response(kind):
    now = int(time.time())
    world = World.generate(since=now - 3 * HOUR, until=now - 2 * HOUR, calls=5, simple=True)
    sim, events = Simulator(world, faults=Faults(script=(kind, kind))), []
    async with (
        serve(sim) as url,
        AsyncAgora(
            CUSTOMER,
            SECRET,
            app_id=world.app_id,
            plan="enterprise",
            base_url=url,
            retry=QUICK,
            observer=events.append,
        ) as client,
    ):
        calls = await client.calls("5h").collect()
    assert len(calls) == 5
    assert sim.seen.faults == {kind: 2}
    if kind in SEEN_AS:
        assert [event.kind for event in events if isinstance(event, AttemptFailed)] == [SEEN_AS[kind]] * 2
    else:
        answered = [event for event in events if isinstance(event, ResponseReceived)]
        assert [event.verdict == "done" for event in answered] == [False, False, True]


def test_random_faults_do_not_change_the_records():
    harness = make_harness(small_world(calls=15), faults=Faults(share=0.2, seed=5), latency=(0.01, 0.08))
    assert harness.run(everything) == truth(harness.world)
    assert sum(harness.simulator.seen.faults.values()) > 5


def test_a_server_that_stays_broken_is_an_error_with_its_request_id():
    harness = make_harness(faults=Faults(share=1.0, kinds=("503-html",)))
    with pytest.raises(ServerError, match="HTTP 503") as caught:
        harness.run(lambda client: client.calls(SINCE, UNTIL).collect())
    error = caught.value
    assert (error.endpoint, error.host, error.status) == ("call/lists", "http://127.0.0.1:9", 503)
    assert error.request_id
    assert len(error.trail) == harness.requests["call/lists"] == 6


def test_a_user_s_own_httpx_client_is_used_and_stays_open():
    async def work():
        now = int(time.time())
        world = World.generate(since=now - 3 * HOUR, until=now - 2 * HOUR, calls=5, simple=True)
        sim = Simulator(world, compress=True)
        async with serve(sim) as url, httpx.AsyncClient(headers={"x-mine": "yes"}) as mine:
            async with AsyncAgora(
                CUSTOMER, SECRET, app_id=world.app_id, plan="enterprise", base_url=url, http_client=mine
            ) as client:
                assert await everything(client, now - 4 * HOUR, now - 1 * HOUR) == truth(world)
            assert not mine.is_closed

    asyncio.run(work())


# ---- refusals


@pytest.mark.parametrize(
    ("settings", "simulator", "error"),
    [
        ({}, {"credentials": {"somebody": "else"}}, AuthenticationError),
        ({"app_id": "not-mine"}, {}, AccessDenied),
        ({}, {"server_plan": "starter"}, AccessDenied),
    ],
)
def test_rejected_credentials_take_one_request(settings, simulator, error):
    async def work(client):
        with pytest.raises(error):
            await client.calls(SINCE, UNTIL).collect()

    harness = make_harness(client=settings, **simulator)
    harness.run(work)
    assert sum(harness.requests.values()) == 1


# ---- limits


@pytest.mark.parametrize("latency", [(0.0, 0.0), (0.0, 0.1), (0.02, 0.08)])
@pytest.mark.parametrize("plan", ["standard", "premium", "enterprise"])
def test_rate_stays_within_the_limit_and_near_it(plan, latency):
    async def work(client):
        return await client.calls(SINCE, UNTIL, page_size=1).collect()

    harness = make_harness(small_world(calls=200), plan, latency=latency, client={"prefetch": 8})
    assert len(harness.run(work)) == 200
    rate = harness.simulator.plan.limits["call/lists"].requests
    seen = harness.simulator.seen
    assert harness.refusals == {}
    assert seen.worst_window("call/lists") <= rate
    arrivals = seen.arrivals["call/lists"]
    assert (len(arrivals) - 1) / rate / (arrivals[-1] - arrivals[0]) >= 0.85


def test_wrong_clock_is_corrected_by_the_servers():
    harness = make_harness(clock_skew=-400.0)  # the server finds that our now is 400 s in its future
    calls = harness.run(lambda client: client.calls("6h", "now").collect())
    assert len(calls) == 40


@pytest.mark.parametrize("server_plan", ["premium", "standard"])
def test_smaller_plan_of_the_server_slows_the_client_down(server_plan):
    harness = make_harness(small_world(calls=60), "enterprise", server_plan=server_plan, latency=(0.01, 0.05))

    async def job(client):
        calls = await client.calls(SINCE, UNTIL, page_size=1).collect()
        return calls, next(iter(client._engine._limiters.values()))

    calls, limiter = harness.run(job)
    assert len(calls) == 60
    assert {message for _, message in harness.refusals} == {
        "Service package limit check error, qps limit error"
    }
    assert (
        limiter.guard.jitter.seconds > LARGEST_JITTER
    )  # refusals widen the margin beyond any measured jitter
    assert sum(harness.refusals.values()) < 2 * len(calls)


def test_smaller_quota_of_the_server_closes_until_midnight():
    async def work(client):
        listing = {"page_size": 1}
        with pytest.raises(QuotaExhausted) as caught:
            await client.calls(SINCE, UNTIL, **listing).collect()
        refused = harness.requests["call/lists"]
        with pytest.raises(QuotaExhausted):
            await client.calls(SINCE, UNTIL, **listing).collect()
        assert harness.requests["call/lists"] == refused
        (lists,) = [row for row in await client.quota() if row.endpoint == "call/lists"]
        assert (lists.closed, lists.left) == (True, 0)
        await asyncio.sleep(caught.value.retry_at - harness.clock.now() + 1)
        return await client.calls(SINCE, UNTIL).collect()

    harness = make_harness(World.generate(since=SINCE, until=UNTIL - HOUR, calls=1100, simple=True), server_plan="standard", plan="enterprise")  # fmt: skip
    limits = {name: evolve(row, requests=10) for name, row in harness.simulator.plan.limits.items()}
    harness.simulator.plan = evolve(harness.simulator.plan, limits=limits)
    assert len(harness.run(work)) == 1100


# ---- secrets


def leaks(text):
    pair = b64encode(f"{CUSTOMER}:{SECRET}".encode()).decode()
    return [word for word in (SECRET, pair) if word in text]


def test_nothing_secret_is_in_any_log_event_or_error(caplog):
    async def work(client):
        errors = []
        try:
            await everything(client)
        except AgoraAnalyticsError as error:
            errors.append(error)
        for faults in ({"credentials": {CUSTOMER: "another"}}, {"faults": Faults(share=1.0)}):
            other = make_harness(harness.world, client={"retry": QUICK}, **faults)
            async with other.client() as client:
                try:
                    await client.calls(SINCE, UNTIL).collect()
                except (AuthenticationError, ServerError, TransportError) as error:
                    errors.append(error)
        return errors

    caplog.set_level(logging.DEBUG)
    harness = make_harness(small_world(calls=5), faults=Faults(share=0.2), client={"observer": None})
    errors = harness.run(work)
    assert len(errors) == 2
    assert any(record.name == "agora_analytics.requests" for record in caplog.records)
    shown = [
        caplog.text,
        *(f"{error!r} {error} {error.trail} {vars(error)}" for error in errors),
        repr(harness.events),
    ]
    assert leaks("\n".join(shown)) == []


async def test_nothing_secret_is_in_the_logs_of_the_http_library(caplog):
    caplog.set_level(logging.DEBUG)
    now = int(time.time())
    world = World.generate(since=now - 3 * HOUR, until=now - 2 * HOUR, calls=2, simple=True)
    sim = Simulator(world, faults=Faults(script=("reset", "503-html", "cut-off")))
    async with (
        serve(sim) as url,
        AsyncAgora(
            CUSTOMER, SECRET, app_id=world.app_id, plan="enterprise", base_url=url, retry=QUICK
        ) as client,
    ):
        await client.calls("5h").collect()
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert leaks(caplog.text) == []
