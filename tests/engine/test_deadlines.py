"""The deadline and the longest wait of a call, and what the server says about the next attempt, for every vendor."""

import asyncio
import sqlite3
import threading
from email.utils import formatdate

import pytest

from agora_analytics.agora.beta.client import AsyncAgoraBeta
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.credentials import Basic
from agora_analytics.agora.plans import PREMIUM, Plan
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import (
    DeadlineExceeded,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    ServerError,
    TransportError,
)
from agora_analytics.messages import FailureKind, TransportFailure
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.credentials import ProjectKey
from agora_analytics.signaling.client import AsyncSignaling
from agora_analytics.testing import VirtualClock
from tests.conftest import NOW, limits, ok, response
from tests.harness import Harness, Scripted

LISTS, SESSIONS = "call/lists", "call/sessions"
VENDORS = {
    "agora": (AsyncAgora, ("x", "y"), {"app_id": "a", "plan": "enterprise"}),
    "beta": (AsyncAgoraBeta, ("x", "y"), {"app_id": "a"}),
    "opentok": (AsyncOpenTok, (ProjectKey("1", "a-secret-of-at-least-32-characters"),), {}),
    "signaling": (AsyncSignaling, (Basic("x", "y"),), {"app_id": "a"}),
    "apsaravideo": (AsyncApsaraVideo, ("x", "y"), {"app_id": "a"}),
}
CALLS = {
    "agora": lambda client, **options: client.calls("2h", "1h", **options).collect(),
    "beta": lambda client, **options: client.calls("2h", "1h", **options).collect(),
    "opentok": lambda client, **options: client.session_summaries("2h", "1h", **options).collect(),
    "signaling": lambda client, **options: client.history("u", "c", **options).collect(),
    "apsaravideo": lambda client, **options: client.interaction_metrics(
        "VideoStuckRate", "2h", **options
    ).collect(),
}
AWAITED = {
    "agora": lambda client, **options: client.insights.usage("userCount", "5d", "4d", **options),
    "beta": lambda client, **options: client.live_scale(**options),
    "signaling": lambda client, **options: client.peer_message("a", "b", "hello", **options),
}
BUSY = {"message": "API rate limit exceeded"}


def make_harness(vendor, *script, transport=None, **settings):
    client, credentials, defaults = VENDORS[vendor]
    if vendor == "opentok":
        pytest.importorskip("jwt")
    settings = {"base_url": "http://127.0.0.1:9"} | defaults | settings
    transport = transport or Scripted(*script)
    return Harness(client, credentials, settings, VirtualClock(NOW), transport=transport)


def one_a_second(ledger=None):
    plan = Plan(name="p", limits={LISTS: limits(requests=1), SESSIONS: limits(requests=1)})
    return make_harness("agora", ok(call_lists=[]), plan=plan, ledger=ledger)


async def outcome_of(call, clock):
    """Return the result or error of a call, and how long it took."""
    start = clock.now()
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - compared by the tests
        result = error
    return result, clock.now() - start


EVERY_CALL = [
    *((vendor, call) for vendor, call in CALLS.items()),
    *((vendor, call) for vendor, call in AWAITED.items()),
]


@pytest.mark.parametrize(("vendor", "call"), EVERY_CALL)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerError)])
@pytest.mark.parametrize("when", ["3600", formatdate(NOW + 3600, usegmt=True)], ids=["seconds", "date"])
def test_retry_after_beyond_the_deadline_is_raised_at_once(vendor, call, status, kind, when):
    async def job(client):
        for wait in (0, 600, 2990):
            await asyncio.sleep(wait)
            error, seconds = await outcome_of(call(client), harness.clock)
            assert (type(error), error.status) == (kind, status)
            assert error.retry_at == pytest.approx(NOW + 3600, abs=0.5)
            assert error.retry_after == pytest.approx(NOW + 3600 - harness.clock.now(), abs=0.5)
            assert "retry at 2026-11-19 13:00:00Z" in str(error)
            assert error.endpoint
            assert seconds < 0.5
        assert len(harness.transport.requests) == 1
        await asyncio.sleep(12)
        await outcome_of(call(client, deadline=1), harness.clock)
        assert len(harness.transport.requests) > 1

    busy = response(BUSY, status, retry_after=when, date=formatdate(NOW, usegmt=True))
    harness = make_harness(vendor, busy, response(b"{}", 404))
    harness.run(job)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_within_the_deadline_is_waited_for(status):
    async def job(client):
        return await client.calls("2h", "1h", deadline=60).collect()

    harness = make_harness("agora", response(BUSY, status, retry_after="30"), ok(call_lists=[]))
    assert harness.run(job) == []
    assert 30 <= harness.clock.now() - NOW < 32


def test_call_with_a_long_deadline_waits_for_a_long_retry_after():
    async def job(client):
        error, _ = await outcome_of(client.calls("2h", "1h").collect(), harness.clock)
        assert isinstance(error, RateLimited)
        return await client.calls("2h", "1h", deadline=7200).collect()

    harness = make_harness("agora", response(BUSY, 429, retry_after="3600"), ok(call_lists=[]))
    assert harness.run(job) == []
    assert 3600 <= harness.clock.now() - NOW < 3602


def test_call_with_a_short_wait_does_not_refuse_the_calls_of_others():
    async def job(client):
        error, seconds = await outcome_of(client.calls("2h", "1h", max_wait=1).collect(), harness.clock)
        assert isinstance(error, RateLimited)
        assert seconds < 0.5
        return await client.calls("2h", "1h").collect()

    harness = make_harness("agora", response(BUSY, 429, retry_after="30"), ok(call_lists=[]))
    assert harness.run(job) == []
    assert 30 <= harness.clock.now() - NOW < 32


def test_absurd_retry_after_is_cut():
    harness = make_harness("agora", response(BUSY, 429, retry_after="1e300"))
    error, _ = harness.run(lambda client: outcome_of(client.calls("2h", "1h").collect(), harness.clock))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 86_400


def test_spent_quota_says_for_how_long():
    spent = {"code": 300, "message": "Service package limit check error, qpd limit error"}

    async def job(client):
        for wait in (0, 3600):
            await asyncio.sleep(wait)
            error, seconds = await outcome_of(client.calls("2h", "1h").collect(), harness.clock)
            assert isinstance(error, QuotaExhausted)
            assert error.retry_after == pytest.approx(error.retry_at - harness.clock.now(), abs=0.5)
            assert seconds < 0.5

    harness = make_harness("agora", response(spent))
    harness.run(job)
    assert len(harness.transport.requests) == 1


def test_other_processes_with_the_ledger_do_not_send_requests_either(tmp_path):
    async def job(client):
        await outcome_of(client.calls("2h", "1h").collect(), harness.clock)
        other = harness.client(ledger=SqliteLedger(tmp_path / "ledger.db"))
        async with other:
            await asyncio.sleep(600)
            return await outcome_of(other.calls("2h", "1h").collect(), harness.clock)

    ledger = SqliteLedger(tmp_path / "ledger.db")
    harness = make_harness("agora", response(BUSY, 429, retry_after="3600"), ledger=ledger)
    error, seconds = harness.run(job)
    assert isinstance(error, RateLimited)
    assert 2990 < error.retry_after < 3010
    assert seconds < 0.5
    assert len(harness.transport.requests) == 1
    ledger.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_call_fails_at_once_if_its_turn_comes_later_than_max_wait(kind, tmp_path):
    async def job(client):
        calls = (
            client.calls(NOW - 7200, NOW - 3600, cname=f"{i}", max_wait=2.5).collect() for i in range(10)
        )
        outcomes = await asyncio.gather(*(outcome_of(call, harness.clock) for call in calls))
        spent = {quota.endpoint: quota.spent for quota in await client.quota()}
        return outcomes, spent[LISTS]

    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = one_a_second(ledger)
    outcomes, spent = harness.run(job)
    refused = [(error, seconds) for error, seconds in outcomes if isinstance(error, RateLimited)]
    assert spent == len(harness.transport.requests) == 10 - len(refused) == 3
    assert max(seconds for _, seconds in outcomes) <= 2.5
    assert (
        sum(seconds < 0.1 for _, seconds in refused) >= 6
    )  # all but the one that might have had a slot in time
    for error, _ in refused:
        assert error.endpoint == LISTS
        assert error.retry_at > NOW + 2.5
        assert "the next rate-limit slot is in" in str(error)
    if kind == "sqlite":
        ledger.close()


def test_max_wait_counts_for_each_request_of_a_query_and_its_error_has_the_rows():
    async def job(client):
        metrics = ["userCount", "sessionCount", "channelCount", "totalDuration"]
        return await outcome_of(client.insights.usage(metrics, "5d", "4d", max_wait=1), harness.clock)

    harness = make_harness("agora", ok(data=[]), plan="premium")  # three requests a minute
    error, seconds = harness.run(job)
    assert isinstance(error, RateLimited)
    assert len(harness.transport.requests) == len(error.partial.meta) == 3
    assert seconds < 1


def test_deadline_is_for_the_whole_call_if_it_is_awaited():
    async def job(client):
        metrics = ["userCount", "sessionCount", "channelCount"]
        return await outcome_of(client.insights.usage(metrics, "5d", "4d", deadline=5), harness.clock)

    harness = make_harness("agora", transport=Scripted(ok(data=[]), seconds=1.6), plan=PREMIUM)
    _, seconds = harness.run(job)
    assert seconds == pytest.approx(4.8, abs=0.1)
    harness = make_harness("agora", transport=Scripted(ok(data=[]), seconds=2.2), plan=PREMIUM)
    error, seconds = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert seconds == pytest.approx(5, abs=0.1)
    assert "timed out after 5 s" in str(error)
    assert len(error.partial.meta) == 2


def page_of(number, *, more):
    call = {
        "call_id": f"c{number}",
        "cname": "r",
        "created_ts": int(NOW) - 5400,
        "destroyed_ts": int(NOW) - 5000,
    }
    return ok(
        call_lists=[call | {"finished": True}], total_size=3, page_no=number, page_size=1, has_more=more
    )


def test_deadline_is_for_each_page_of_a_listing():
    async def job(client):
        listing = client.calls("2h", "1h", page_size=1, deadline=2)
        return [call.call_id async for call in listing]

    pages = (page_of(1, more=True), page_of(2, more=True), page_of(3, more=False))
    harness = make_harness("agora", transport=Scripted(*pages, seconds=1.5), prefetch=1)
    assert harness.run(job) == ["c1", "c2", "c3"]
    harness = make_harness("agora", transport=Scripted(*pages, seconds=2.5), prefetch=1)
    with pytest.raises(DeadlineExceeded, match="timed out after 2 s"):
        harness.run(job)


def test_listing_with_max_wait_fetches_one_page_at_a_time():
    async def job(client):
        return await client.calls("2h", "1h", page_size=1, max_wait=1.5).collect()

    harness = one_a_second()
    harness.transport = Scripted(page_of(1, more=True), page_of(2, more=True), page_of(3, more=False))
    assert len(harness.run(job)) == 3
    assert harness.transport.most_in_flight == 1


def test_no_deadline_can_be_passed():
    harness = make_harness(
        "agora", transport=Scripted(ok(call_lists=[]), seconds=100), retry=RetryPolicy(deadline=50)
    )
    rows = harness.run(lambda client: outcome_of(client.calls("2h", "1h").collect(), harness.clock))
    assert isinstance(rows[0], DeadlineExceeded)
    harness.transport = Scripted(ok(call_lists=[]), seconds=100)
    assert harness.run(lambda client: client.calls("2h", "1h", deadline=None).collect()) == []


class SlowToOpen(Scripted):
    async def open(self):
        await asyncio.sleep(5)


@pytest.mark.parametrize("options", [{"deadline": 1}, {"max_wait": 1}])
def test_opening_the_transport_is_inside_the_limits_of_a_call(options):
    async def job(client):
        outcome = await outcome_of(client.calls("2h", "1h", **options).collect(), harness.clock)
        return outcome, sum(quota.spent for quota in await client.quota())

    harness = make_harness("agora", transport=SlowToOpen(ok(call_lists=[])))
    (error, seconds), spent = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.message == "timed out after 1 s while opening the transport"
    assert (seconds, spent) == (pytest.approx(1, abs=0.01), 0)


async def test_transport_is_created_once_although_the_first_call_gives_up(monkeypatch):
    created, may_continue = [], threading.Event()

    def create(transport):
        created.append(transport)
        may_continue.wait()
        return new_client(transport)

    new_client = HttpxTransport._new_clients
    monkeypatch.setattr(HttpxTransport, "_new_clients", create)
    async with AsyncAgora("x", "y", app_id="a", base_url="http://127.0.0.1:9") as client:
        for _ in range(3):
            with pytest.raises(DeadlineExceeded, match="opening the transport"):
                await client.calls("2h", "1h", deadline=0.01).collect()
        may_continue.set()
        await client._engine._requests._transport.open()
        assert len(created) == 1


class LockedLedger(MemoryLedger):
    """A ledger whose file is locked by another process: every charge takes seconds, also after its caller gave up."""

    ahead = 0.25

    async def reserve(self, *args, **kwargs):
        return await asyncio.shield(asyncio.ensure_future(self._write(*args, **kwargs)))

    async def _write(self, *args, **kwargs):
        await asyncio.sleep(8)
        return await super().reserve(*args, **kwargs)


@pytest.mark.parametrize("options", [{"deadline": 2}, {"max_wait": 2}])
def test_lock_of_the_ledger_is_inside_the_limits_of_a_call(options):
    async def job(client):
        outcome = await outcome_of(client.calls("2h", "1h", **options).collect(), harness.clock)
        await asyncio.sleep(10)
        return outcome, sum(quota.spent for quota in await client.quota())

    harness = make_harness("agora", ok(call_lists=[]), ledger=LockedLedger())
    (error, seconds), spent = harness.run(job)
    assert isinstance(error, DeadlineExceeded | RateLimited)
    assert seconds == pytest.approx(2, abs=0.2)
    assert (harness.transport.requests, spent) == ([], 0)


class SlowToRead(MemoryLedger):
    async def spent(self, *args):
        await asyncio.sleep(8)
        return await super().spent(*args)


@pytest.mark.parametrize(
    "call",
    [
        lambda client, **options: client.quota(**options),
        lambda client, **options: client.insights.estimate("userCount", "5d", "4d", **options),
        lambda client, **options: client.realtime.estimate("userCount", **options),
    ],
)
def test_deadline_of_a_call_that_sends_nothing_includes_the_ledger(call):
    harness = make_harness("agora", ledger=SlowToRead(), plan=PREMIUM)
    error, seconds = harness.run(lambda client: outcome_of(call(client, deadline=2), harness.clock))
    assert isinstance(error, DeadlineExceeded)
    assert seconds == pytest.approx(2, abs=0.1)


async def test_lock_of_another_process_does_not_outlast_the_deadline(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    transport = Scripted(ok(call_lists=[]))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        async with AsyncAgora("x", "y", app_id="a", ledger=ledger, transport=transport) as client:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DeadlineExceeded):
                await client.calls("2h", "1h", deadline=0.05).collect()
            assert other.in_transaction  # still locked
            other.execute("COMMIT")
        assert transport.requests == []
    finally:
        other.close()
    assert [quota.spent for quota in await spent_quotas(ledger)] == [0]
    ledger.close()


async def spent_quotas(ledger):
    async with AsyncAgora("x", "y", app_id="a", ledger=ledger, transport=Scripted()) as client:
        return [quota for quota in await client.quota() if quota.endpoint == LISTS]


def test_nested_requests_of_a_call_share_its_deadline():
    """The sessions of a call are listed before its metrics are."""

    async def job(client):
        listing = client.metrics("c", "2h", "1h", max_wait=0.5)
        return await outcome_of(listing.collect(), harness.clock)

    harness = one_a_second()
    harness.transport = Scripted(ok(call_info=[], total_size=0, has_more=False))
    harness.settings["plan"] = Plan(
        name="p",
        limits={name: limits(requests=1, period=60) for name in (SESSIONS, "call/metrics")},
    )

    async def busy(client):
        await client.sessions("c", "2h", "1h").collect()
        return await job(client)

    error, seconds = harness.run(busy)
    assert isinstance(error, RateLimited)
    assert (error.endpoint, len(harness.transport.requests)) == (SESSIONS, 1)
    assert seconds < 0.1


@pytest.mark.parametrize(("vendor", "call"), EVERY_CALL)
def test_wrong_options_are_refused_before_a_request(vendor, call):
    async def job(client):
        for wrong in ({"deadline": 0}, {"deadline": -1}, {"deadline": float("nan")}, {"max_wait": -1}):
            with pytest.raises(InvalidRequest, match=next(iter(wrong))):
                await call(client, **wrong)
        for wrong in ("dead_line", "options", "self"):
            with pytest.raises(TypeError, match=rf"\w+\(\) got .*'{wrong}'"):
                await call(client, **{wrong: 1})

    harness = make_harness(vendor)
    harness.run(job)
    assert harness.transport.requests == []


UNREADABLE = [
    response(b"<html>welcome</html>", content_type="text/html"),
    response(b'{"code":200,"data":[{"x'),
    response(b""),
]


@pytest.mark.parametrize("body", UNREADABLE, ids=["html", "cut", "empty"])
@pytest.mark.parametrize("vendor", CALLS)
def test_identical_unreadable_response_is_a_permanent_error(vendor, body):
    harness = make_harness(vendor, body)
    error, _ = harness.run(lambda client: outcome_of(CALLS[vendor](client), harness.clock))
    assert isinstance(error, ServerError)
    assert len(error.trail) == len(harness.transport.requests) == 2


@pytest.mark.parametrize("vendor", CALLS)
def test_identical_corrupt_compression_is_a_permanent_error(vendor):
    harness = make_harness(vendor, TransportFailure(FailureKind.ENCODING, "the body is not gzip"))
    error, _ = harness.run(lambda client: outcome_of(CALLS[vendor](client), harness.clock))
    assert (type(error), error.kind) == (TransportError, FailureKind.ENCODING)
    assert len(error.trail) == len(harness.transport.requests) == 2


@pytest.mark.parametrize(
    "bodies",
    [UNREADABLE, [TransportFailure(FailureKind.ENCODING, f"ends after {size} bytes") for size in range(3)]],
    ids=["unreadable", "corrupt"],
)
def test_different_unreadable_response_is_retried(bodies):
    harness = make_harness("agora", *bodies, ok(call_lists=[]))
    assert harness.run(lambda client: client.calls("2h", "1h").collect()) == []
    assert len(harness.transport.requests) == 4


@pytest.mark.parametrize("trouble", [response(BUSY, 503), response({"code": 500, "message": "no"})], ids=str)
@pytest.mark.parametrize(
    ("vendor", "attempts", "job"),
    [
        ("agora", 3, lambda client: client.insights.usage("userCount", "5d", "4d")),
        ("agora", 3, lambda client: client.insights.quality_totals("audioFreezeRate", "5d", "4d")),
        ("beta", 2, lambda client: client.usage("5d", "3d")),
        ("agora", 6, lambda client: client.calls("2h", "1h").collect()),
    ],
)
def test_endpoints_with_few_requests_a_day_have_few_attempts(vendor, attempts, job, trouble):
    harness = make_harness(vendor, trouble, retry=RetryPolicy(deadline=None))
    error, _ = harness.run(lambda client: outcome_of(job(client), harness.clock))
    assert isinstance(error, ServerError)
    assert len(harness.transport.requests) == attempts


def test_attempts_of_small_quotas_are_in_the_plan_tables():
    from agora_analytics.agora.beta.limits import LIMITS
    from agora_analytics.agora.plans import PLANS

    rows = [row for table in (*(plan.limits for plan in PLANS.values()), LIMITS) for row in table.values()]
    assert all((row.attempts is not None) == (row.per_day <= 100) for row in rows)
    assert all(row.attempts * 5 <= row.per_day for row in rows if row.attempts)
