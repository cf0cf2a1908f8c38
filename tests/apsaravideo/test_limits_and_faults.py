"""The account's 50 a second, faults, and refusals, through the whole client."""

import asyncio

import pytest

from agora_analytics import (
    AccessDenied,
    AuthenticationError,
    DeadlineExceeded,
    NotFound,
    RateLimited,
    ServerError,
)
from agora_analytics.apsaravideo.spec import LIMITS
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.simulator import Faults
from tests.apsaravideo.harness import DAY, ENDPOINT, NOW, make_harness, scripted
from tests.apsaravideo.test_metrics import COST, truth
from tests.conftest import response, slow

LONG = RetryPolicy(deadline=None)


async def a_thousand(client, channels=34):
    """Ask for 34 channels over 30 days at the same time: 1,020 windows."""
    listings = [
        client.interaction_metrics(COST, NOW - 30 * DAY + 600, channel_id=f"{770_513 + i}")
        for i in range(channels)
    ]
    return await asyncio.gather(*(listing.collect() for listing in listings))


@pytest.mark.parametrize("latency", [slow((0.01, 0.01)), (0.02, 0.09)])
def test_thousand_concurrent_windows_stay_within_fifty_a_second(latency):
    harness = make_harness(latency=latency)

    async def job(client):
        begin = harness.clock.now()
        points = await a_thousand(client)
        return points, harness.clock.now() - begin

    points, seconds = harness.run(job, retry=LONG, prefetch=30)
    seen = harness.simulator.seen
    assert harness.requests[ENDPOINT] == 1020
    assert seen.worst_window(ENDPOINT) <= 50
    assert seen.worst_sliding(ENDPOINT) <= 50
    assert harness.refusals == {}
    assert 20.0 <= seconds < 25.0  # and it is not idle
    assert [(p.ts, p.value) for p in points[0]] == truth(COST, NOW - 30 * DAY + 600, NOW, channel_id="770513")


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_two_clients_of_one_account_share_its_limit(kept, tmp_path):
    ledger = MemoryLedger() if kept == "in memory" else SqliteLedger(tmp_path / "ledger")
    keys = {"one": "s-1", "two": "s-2"}
    harness = make_harness(keys=keys, latency=(0.02, 0.05))

    async def job(first):
        async with harness.client("two", "s-2", account="us", ledger=ledger, retry=LONG) as second:
            await asyncio.gather(a_thousand(first, 4), a_thousand(second, 4))
        await ledger.aclose()

    harness.run(job, "one", "s-1", account="us", ledger=ledger, retry=LONG)
    assert harness.requests[ENDPOINT] == 240
    assert harness.simulator.seen.worst_sliding(ENDPOINT) <= 50
    assert harness.refusals == {}


@pytest.mark.parametrize("xml", [False, True])
@pytest.mark.parametrize("retry_after", [True, False])
def test_client_waits_when_another_program_uses_the_account(retry_after, xml):
    """The account has 10 a second left: what is refused is asked again, when the server says so or a second later."""
    from attrs import evolve

    harness = make_harness(
        limits=evolve(LIMITS[ENDPOINT], requests=10), retry_after=retry_after, xml=xml, latency=(0.02, 0.05)
    )
    harness.run(lambda client: a_thousand(client, 4), retry=RetryPolicy(deadline=None, rate_attempts=50))
    assert harness.refusals[ENDPOINT, "400"] == harness.requests[ENDPOINT] - 120
    assert harness.simulator.seen.accepted[ENDPOINT] == 120


def test_permanent_throttling_is_an_error():
    body = {"Code": "Throttling.User", "Message": "flow control", "RequestId": "r"}
    harness = scripted(response(body, 400, x_acs_retry_after="250"))
    with pytest.raises(RateLimited, match=r"Throttling\.User: flow control") as caught:
        harness.run(lambda client: client.interaction_metrics(COST, "1h").collect())
    assert len(harness.transport.requests) == len(caught.value.trail) == RetryPolicy().rate_attempts
    assert caught.value.status == 400


@pytest.mark.parametrize("share", [0.3, slow(0.05)])
@pytest.mark.slow
def test_faults_lose_and_repeat_no_point(share):
    # No "broken-json": with this share, some request gets the same broken body twice, which is a permanent error.
    kinds = ("reset", "500", "503-html", "504-html", "429", "cut-off", "lost-answer", "hang")
    faults = Faults(share=share, seed=4, kinds=kinds)
    harness = make_harness(faults=faults, latency=(0.01, 0.05))
    retry = RetryPolicy(timeout=5, deadline=None, attempts=12, rate_attempts=12)

    async def job(client):
        return await asyncio.gather(
            *(client.all_metrics("30d", NOW - 3600, channel_id=channel).collect() for channel in channels)
        )

    channels = harness.simulator.world.channel_ids[:3]
    found = harness.run(job, retry=retry)
    assert sum(harness.simulator.seen.faults.values()) > 360 * share * 0.6
    assert len(harness.simulator.seen.faults) > 5
    for channel, points in zip(channels, found, strict=True):
        assert len({(p.metric, p.ts) for p in points}) == len(points)
        got = [(p.ts, p.value) for p in points if p.metric == COST]
        assert got == truth(COST, got[0][0], NOW - 3600, channel_id=channel)
        assert got[0][0] < NOW - 30 * DAY + 1800
    assert harness.simulator.seen.worst_window(ENDPOINT) <= 50


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        ("reset", 2),
        ("500", 2),
        ("503-html", 2),
        ("504-html", 2),
        ("429", 2),
        ("cut-off", 2),
        ("lost-answer", 2),
    ],
)
def test_one_fault_takes_one_attempt_more_with_a_nonce_of_its_own(fault, attempts):
    harness = make_harness(fault)

    async def job(client):
        return [page async for page in client.interaction_metrics(COST, "1h").pages()]

    (page,) = harness.run(job)
    assert page.meta.attempts == harness.requests[ENDPOINT] == attempts
    assert "SignatureNonceUsed" not in str(harness.events)


def test_permanent_server_error_has_its_status():
    harness = make_harness(*["503-html"] * 9)
    with pytest.raises(ServerError, match="HTTP 503: a text/html page instead of JSON") as caught:
        harness.run(lambda client: client.interaction_metrics(COST, "1h").collect())
    assert (caught.value.status, len(caught.value.trail)) == (503, RetryPolicy().attempts)


def test_hanging_server_ends_at_the_deadline():
    harness = make_harness(*["hang"] * 9)
    with pytest.raises(DeadlineExceeded):
        harness.run(
            lambda client: client.interaction_metrics(COST, "1h").collect(), retry=RetryPolicy(deadline=9)
        )


@pytest.mark.parametrize(
    ("settings", "key", "kind", "code"),
    [
        ({}, ("demo-access-key-id", "another"), AuthenticationError, "SignatureDoesNotMatch"),
        ({}, ("another", "demo-access-key-secret"), AuthenticationError, "InvalidAccessKeyId.NotFound"),
        ({"app_id": "not-ours"}, (), AccessDenied, "Meter.AuthError"),
        (
            {"security_token": "t"},
            (),
            AuthenticationError,
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
    ],
)
@pytest.mark.parametrize("xml", [False, True])
def test_refusal_is_raised_after_one_request(settings, key, kind, code, xml):
    harness = make_harness(xml=xml)
    with pytest.raises(kind) as caught:
        harness.run(lambda client: client.interaction_metrics(COST, "1h").collect(), *key, **settings)
    assert (caught.value.code, harness.requests[ENDPOINT]) == (code, 1)
    assert caught.value.request_id is not None


def test_response_of_another_server_is_not_found():
    with pytest.raises(NotFound):
        scripted(response(b"<html>", 404)).run(lambda c: c.interaction_metrics(COST, "1h").collect())


@pytest.mark.parametrize("off", [-3 * 3600, -16 * 60, 16 * 60, 3 * 3600])
def test_wrong_clock_is_corrected_by_the_first_response(off):
    harness = make_harness()
    wrong = Skewed(harness.clock, off)
    points = harness.run(
        lambda client: client.interaction_metrics(COST, NOW - 8 * 3600, NOW - 7 * 3600).collect(), clock=wrong
    )
    assert [(p.ts, p.value) for p in points] == truth(COST, NOW - 8 * 3600, NOW - 7 * 3600)
    assert harness.requests[ENDPOINT] == 2
    assert harness.refusals == {(ENDPOINT, "400"): 1}


class Skewed:
    """A clock that is off by so many seconds."""

    def __init__(self, clock, seconds):
        self._clock, self._seconds = clock, seconds

    def now(self):
        return self._clock.now() + self._seconds


def test_uncorrectable_clock_is_an_error_after_two_requests():
    body = {"Code": "InvalidTimeStamp.Expired", "Message": "expired", "RequestId": "r"}
    harness = scripted(response(body, 400))
    with pytest.raises(AuthenticationError, match="check this machine's clock"):
        harness.run(lambda client: client.interaction_metrics(COST, "1h").collect())
    assert len(harness.transport.requests) == 2


def test_leaving_early_cancels_the_requests_in_flight():
    harness = make_harness(latency=(0.5, 0.5))

    async def job(client):
        async for _ in client.interaction_metrics(COST, "29d"):
            break
        await asyncio.sleep(5)
        return harness.requests[ENDPOINT]

    assert harness.run(job, prefetch=4) <= 8
