"""Identical requests in progress are sent once, and final responses are kept within a number of bytes."""

import asyncio
import traceback

import pytest

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import Plan
from agora_analytics.agora.records import Call
from agora_analytics.engine.events import RecordsSkipped
from agora_analytics.engine.shared_requests import FinalValues, without_cache
from agora_analytics.errors import BadRequest, DeadlineExceeded, RateLimited
from agora_analytics.signaling.client import AsyncSignaling
from agora_analytics.signaling.credentials import Basic
from agora_analytics.testing import VirtualClock
from tests.conftest import NOW, limits, nothing_runs, ok, response
from tests.harness import Harness, Scripted

LISTS = "call/lists"
CALL = {"call_id": "c", "cname": "r", "created_ts": int(NOW) - 7000, "destroyed_ts": int(NOW) - 6000}


def make_harness(*script, seconds=0.0, **settings):
    plan = Plan(name="p", limits={LISTS: limits(requests=1), "call/sessions": limits(requests=1)})
    transport = Scripted(
        *(script or [ok(call_lists=[CALL | {"finished": True}], total_size=1)]), seconds=seconds
    )
    settings = {"app_id": "a", "plan": plan, "base_url": "http://127.0.0.1:9"} | settings
    return Harness(AsyncAgora, ("x", "y"), settings, VirtualClock(NOW), transport=transport)


def ask(client, **options):
    return client.calls(NOW - 7200, NOW - 3700, **options).collect()


async def outcome(call):
    """Return the result or the error of a call, and the time at which it ended."""
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - returned
        result = error
    return result, asyncio.get_running_loop().time()


def test_identical_requests_in_progress_are_sent_once():
    async def job(client):
        results = await asyncio.gather(*(ask(client) for _ in range(50)))
        spent = {quota.endpoint: quota.spent for quota in await client.quota()}
        return results, spent[LISTS]

    harness = make_harness(seconds=0.5)
    results, spent = harness.run(job)
    assert {each.call_id for result in results for each in result} == {"c"}
    assert [len(result) for result in results] == [1] * 50
    assert len(harness.transport.requests) == spent == 1


def test_requests_with_other_parameters_are_sent_each():
    harness = make_harness(seconds=0.5)
    harness.run(lambda client: asyncio.gather(*(ask(client, cname=f"{i}") for i in range(3))))
    assert len(harness.transport.requests) == 3


def test_request_after_the_response_is_sent_again():
    async def job(client):
        return [await ask(client) for _ in range(2)]

    harness = make_harness()
    harness.run(job)
    assert len(harness.transport.requests) == 2


@pytest.mark.parametrize("wait", [0.0, 0.2], ids=["before it is sent", "in flight"])
def test_cancelled_sender_does_not_cancel_the_request(wait):
    async def job(client):
        first = asyncio.create_task(ask(client))
        await asyncio.sleep(wait / 2)
        others = [asyncio.create_task(ask(client)) for _ in range(3)]
        await asyncio.sleep(wait / 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.gather(*others)

    harness = make_harness(seconds=0.5)
    assert [len(result) for result in harness.run(job)] == [1] * 3
    assert len(harness.transport.requests) == 1


def test_deadline_of_the_sender_is_its_own():
    async def job(client):
        return await asyncio.gather(
            outcome(ask(client, deadline=1)), outcome(ask(client)), outcome(ask(client))
        )

    harness = make_harness(seconds=5.0)
    (error, ended), *others = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert "timed out after 1 s while waiting for an identical request" in str(error)
    assert ended == pytest.approx(1.0, abs=0.01)
    assert [(len(result), round(ended)) for result, ended in others] == [(1, 5)] * 2
    assert len(harness.transport.requests) == 1


def test_later_caller_extends_the_deadline_of_a_request_in_progress():
    """The attempt is cut at a third of the first caller's deadline, and the next one has the time of the second."""

    async def job(client):
        first = asyncio.create_task(outcome(ask(client, deadline=3)))
        await asyncio.sleep(0.5)
        return await asyncio.gather(first, outcome(ask(client)))

    harness = make_harness(seconds=4.0)
    (error, ended), (result, _) = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert ended == pytest.approx(3.0, abs=0.01)
    assert len(result) == 1


def test_shorter_deadline_of_a_later_caller_does_not_end_the_request():
    async def job(client):
        first = asyncio.create_task(outcome(ask(client)))
        await asyncio.sleep(0.5)
        return await asyncio.gather(first, outcome(ask(client, deadline=1)))

    harness = make_harness(seconds=4.0)
    (result, _), (error, ended) = harness.run(job)
    assert len(result) == 1
    assert isinstance(error, DeadlineExceeded)
    assert ended == pytest.approx(1.5, abs=0.01)
    assert len(harness.transport.requests) == 1


def test_deadline_of_a_single_caller_has_the_attempts():
    harness = make_harness(seconds=9.0)
    error, _ = harness.run(lambda client: outcome(ask(client, deadline=3)))
    assert isinstance(error, DeadlineExceeded)
    assert "timed out after 3 s with" in str(error)
    assert error.trail


def test_request_ends_with_its_last_caller():
    async def job(client):
        calls = [asyncio.create_task(ask(client)) for _ in range(5)]
        await asyncio.sleep(0.1)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert harness.transport.in_flight == 0
        return await nothing_runs()

    harness = make_harness(seconds=0.5)
    assert harness.run(job)


def test_waiting_request_without_callers_releases_its_slot():
    async def job(client):
        await ask(client)
        waiting = asyncio.create_task(ask(client, cname="waits"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        await ask(client, cname="next")
        return asyncio.get_running_loop().time()

    harness = make_harness()
    assert harness.run(job) < 1.5
    assert len(harness.transport.requests) == 2


def test_each_caller_gets_an_error_of_its_own():
    async def job(client):
        for _ in range(3):
            yield await asyncio.gather(*(outcome(ask(client)) for _ in range(20)))

    async def all_of(client):
        return [[error for error, _ in errors] async for errors in job(client)]

    harness = make_harness(response({"code": 400, "message": "no"}))
    for errors in harness.run(all_of):
        assert len({id(error) for error in errors}) == 20
        assert {(type(error), error.message, error.endpoint, len(error.trail)) for error in errors} == {
            (BadRequest, errors[0].message, LISTS, 1)
        }
        lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors}
        assert len(lengths) == 1
        errors[0].partial = "of one caller"
        assert errors[1].partial is None
    assert len(harness.transport.requests) == 3


def test_error_of_a_single_caller_has_its_traceback():
    harness = make_harness(response({"code": 400, "message": "no"}))
    error, _ = harness.run(lambda client: outcome(ask(client)))
    assert "_run_attempts" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_callers_with_the_same_max_wait_share_a_request():
    async def job(client):
        await ask(client)
        waits = (outcome(ask(client, cname="x", max_wait=5)) for _ in range(10))
        impatient = (outcome(ask(client, cname="x", max_wait=0.1)) for _ in range(10))
        return await asyncio.gather(*waits, *impatient)

    harness = make_harness(seconds=0.1)
    outcomes = [result for result, _ in harness.run(job)]
    assert [len(result) for result in outcomes[:10]] == [1] * 10
    assert all(isinstance(result, RateLimited) for result in outcomes[10:])
    assert len(harness.transport.requests) == 2


def test_closing_the_client_ends_all_callers():
    async def job(client):
        calls = [asyncio.create_task(outcome(ask(client))) for _ in range(5)]
        await asyncio.sleep(0.1)
        await client.aclose()
        return await asyncio.gather(*calls)

    results = make_harness(seconds=0.5).run(job)
    assert {(type(error), "closed" in str(error)) for error, _ in results} == {(RuntimeError, True)}


def test_messages_are_never_shared():
    """Two callers who send the same text send two messages."""
    transport = Scripted(ok(result="success", code="message_sent"), seconds=0.5)
    settings = {"app_id": "a", "base_url": "http://127.0.0.1:9"}
    harness = Harness(AsyncSignaling, (Basic("x", "y"),), settings, VirtualClock(NOW), transport=transport)
    harness.run(lambda c: asyncio.gather(*(c.peer_message("a", "b", "hello") for _ in range(3))))
    assert len(transport.requests) == 3


# ---- the cache


def test_cache_drops_the_least_recently_used_values():
    cache = FinalValues(20_000)
    for key in "abc":
        cache.put(key, key.upper(), 1_000)
    assert cache.get("a") == "A"
    cache.put("d", "D", 1_000)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    assert cache.size <= 20_000


@pytest.mark.parametrize("limit", [0, 50_000])
def test_cache_stays_within_its_bytes(limit):
    cache = FinalValues(limit)
    for key in range(1_000):
        cache.put(key % 7, key, key * 37 % 30_000)  # also in place of a value that is kept
        assert cache.size == sum(size for _, size in cache._entries.values()) <= limit
    cache.put("large", "value", limit + 1)
    assert cache.get("large") is None


def test_response_with_unreadable_records_is_not_kept():
    """Each request for it reports them again."""

    async def job(client):
        call = Call(
            call_id="c" * 20,
            cname="r",
            created_ts=int(NOW) - 7000,
            destroyed_ts=int(NOW) - 6000,
            finished=True,
        )
        for _ in range(2):
            assert [session.sid for session in await client.sessions(call).collect()] == ["S"]

    session = {
        "sid": "S",
        "uid": 1,
        "join_ts": int(NOW) - 7000,
        "leave_ts": int(NOW) - 6000,
        "finished": True,
    }
    body = {"call_info": [session, session | {"sid": "T", "join_ts": "soon"}], "total_size": 2}
    harness = make_harness(ok(**body))
    harness.run(job)
    assert len(harness.transport.requests) == len(harness.events_of(RecordsSkipped)) == 2
    harness = make_harness(ok(**body | {"call_info": [session], "total_size": 1}))
    harness.run(job)
    assert len(harness.transport.requests) == 1


def test_cache_is_neither_used_nor_filled_when_it_is_bypassed():
    cache = FinalValues(10_000)
    cache.put("a", "A")
    with without_cache():
        cache.put("b", "B")
        assert cache.get("a") is None
    assert (cache.get("a"), cache.get("b")) == ("A", None)
