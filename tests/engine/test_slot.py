"""A slot from its reservation to the response: what is charged, and when its request counts as sent and arrived."""

import asyncio
import math
from contextlib import suppress

import pytest
from attrs import evolve

from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.pace import WindowPhase
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.messages import FailureKind, TransportFailure
from tests.conftest import NOW, a_pace, response
from tests.engine.test_limiter import BUDGET, MIDNIGHT, LimiterHarness

NEVER_LEFT = [kind for kind in FailureKind if kind.never_left]
MAY_HAVE_LEFT = [kind for kind in FailureKind if not kind.never_left]


@pytest.fixture(params=["memory", "sqlite"])
def harness(request, tmp_path):
    ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")
    yield LimiterHarness(ledger=ledger)
    if isinstance(ledger, SqliteLedger):
        ledger.close()


def answered(*, elapsed=0.05, first_byte=None):
    return evolve(response(), elapsed=elapsed, first_byte=first_byte)


async def sent_slot(limiter):
    """Return a slot whose request is on its way."""
    slot = await limiter.slot().__aenter__()
    await slot.hand_over()
    slot.sent()
    return slot


# ---- when a request counts


def test_only_the_first_report_of_a_sent_request_counts(harness):
    async def work():
        async with harness.limiter.slot() as slot:
            await slot.hand_over()
            await asyncio.sleep(0.2)  # connects
            slot.sent()
            grant, at = slot._grant, harness.limiter.now()
            await asyncio.sleep(0.3)
            slot.sent()  # of a redirect, or of a body that is sent in parts
            assert grant.sent_at == at
            await slot.close(answered())
            assert grant.sent_at == at
            assert await harness.spent() == 1

    harness.run(work())


def test_request_is_pending_until_its_bytes_leave():
    """In memory, the request N places later waits for it, however long its connection takes."""
    harness = LimiterHarness(requests=1)

    async def next_slot():
        async with harness.limiter.slot():
            return harness.limiter.now()

    async def work():
        async with harness.limiter.slot() as slot:
            waiting = asyncio.create_task(next_slot())
            await slot.hand_over()
            await asyncio.sleep(5)
            assert slot._grant.arrived == math.inf
            slot.sent()
            left = harness.limiter.now()
            await asyncio.sleep(0.05)
            await slot.close(answered())
        assert 1.0 <= await waiting - left <= 1.2

    harness.run(work())


def test_request_of_a_transport_that_does_not_report_counts_at_the_latest_with_its_response():
    harness = LimiterHarness()

    async def work():
        async with harness.limiter.slot() as slot:
            await slot.hand_over()
            grant = slot._grant
            await asyncio.sleep(0.3)
            assert (grant.sent_at, grant.arrived) == (None, math.inf)
            await slot.close(answered(elapsed=0.3))
        assert grant.sent_at == harness.limiter.now()
        assert grant.sent_at <= grant.arrived < math.inf

    harness.run(work())


def test_transfer_of_the_body_is_not_latency(harness):
    async def work():
        slot = await sent_slot(harness.limiter)
        left = harness.limiter.now()
        await asyncio.sleep(3.05)
        measured = []
        harness.limiter.guard.jitter.observe = lambda seconds: measured.append(seconds) or 0.0
        await slot.close(answered(elapsed=3.05, first_byte=0.05))
        assert measured == [pytest.approx(0.05, abs=1e-4)]
        assert slot.received_at == pytest.approx(left + 0.05, abs=1e-4)

    harness.run(work())


def test_date_before_the_response_changes_nothing(harness):
    async def work():
        slot = await sent_slot(harness.limiter)
        before = slot._grant.arrived
        slot.dated(NOW - 100)
        assert slot._grant.arrived == before
        await slot.close(answered())

    harness.run(work())


# ---- what is charged


def test_context_that_is_left_before_hand_over_releases_the_slot(harness):
    async def work():
        with suppress(ValueError):
            async with harness.limiter.slot():
                assert await harness.spent() == 1
                raise ValueError("the time range is out of reach")
        assert await harness.spent() == 0

    harness.run(work())


async def hold(limiter, *, hand_over, sent):
    async with limiter.slot() as slot:
        if hand_over:
            await slot.hand_over()
        if sent:
            slot.sent()
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("hand_over", "sent", "charged"), [(False, False, 0), (True, False, 1), (True, True, 1)]
)
def test_cancelled_request_is_charged_once_it_was_handed_over(harness, hand_over, sent, charged):
    async def work():
        task = asyncio.create_task(hold(harness.limiter, hand_over=hand_over, sent=sent))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        await harness.limiter.aclose()
        assert task.cancelled()
        assert await harness.spent() == charged

    harness.run(work())


def test_request_that_is_cancelled_after_hand_over_keeps_its_place():
    """It may have left until then, so the next window begins a second later."""
    harness = LimiterHarness(requests=1)

    async def work():
        task = asyncio.create_task(hold(harness.limiter, hand_over=True, sent=False))
        await asyncio.sleep(0.5)
        task.cancel()
        async with harness.limiter.slot():
            assert harness.limiter.now() >= 1.5

    harness.run(work())


def test_slot_that_is_cancelled_while_it_waits_is_released(harness):
    async def work():
        async with harness.limiter.slot():
            task = asyncio.create_task(hold(harness.limiter, hand_over=False, sent=False))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
        await harness.limiter.aclose()
        assert await harness.spent() == 0

    harness.run(work())


@pytest.mark.parametrize("kind", NEVER_LEFT)
def test_request_that_never_left_is_not_charged(harness, kind):
    async def work():
        async with harness.limiter.slot() as slot:
            await slot.hand_over()
            await slot.close(TransportFailure(kind))
        assert await harness.spent() == 0

    harness.run(work())


@pytest.mark.parametrize("kind", MAY_HAVE_LEFT)
def test_request_that_may_have_left_is_charged(harness, kind):
    async def work():
        async with harness.limiter.slot() as slot:
            await slot.hand_over()
            grant = slot._grant
            await slot.close(TransportFailure(kind))
        assert await harness.spent() == 1
        assert grant.sent_at is not None

    harness.run(work())


def test_failed_request_is_not_waited_for():
    harness = LimiterHarness()

    async def work():
        for _ in range(16):
            harness.limiter.guard.jitter.observe(0.05)
        slot = await sent_slot(harness.limiter)
        await asyncio.sleep(0.5)
        assert harness.limiter.guard.is_stalled(lambda _: None)
        await slot.close(TransportFailure(FailureKind.RESET))
        assert not harness.limiter.guard.is_stalled(lambda _: None)

    harness.run(work())


def test_slot_of_another_day_is_released_at_hand_over(harness):
    async def work():
        async with harness.limiter.slot() as slot:
            assert await harness.spent() == 1
            harness.clock.step(MIDNIGHT + 3600 - NOW)
            assert not await slot.hand_over()
            assert await harness.spent() == 0
        async with harness.limiter.slot() as slot:
            assert await slot.hand_over()
            assert await harness.ledger.spent(BUDGET, "2026-11-20") == (1, False)
            await slot.close(answered())

    harness.run(work())


# ---- places that are released


def test_request_in_place_of_a_released_one_waits_for_the_request_before_it(harness):
    """The windows were fixed when the third slot was reserved; when it is replaced, they count as sliding."""

    async def work():
        fixed = a_pace(0.001, 2, phase=WindowPhase(0.9, 0.9))  # a window begins at 0.1
        sliding = a_pace(0.001, 2)
        first, second, third, _ = [await reserve(harness, fixed) for _ in range(4)]
        assert (first.slot, third.slot) == (0.0, pytest.approx(0.1))
        await harness.ledger.release(BUDGET, third)
        assert (await reserve(harness, sliding)).slot == first.arrived + 1.0
        assert (await reserve(harness, sliding)).slot >= second.arrived + 1.0

    harness.ledger.ahead = 10.0
    harness.run(work())


async def reserve(harness, pace):
    grant = await harness.ledger.reserve(BUDGET, now=0.0, server_now=NOW, pace=pace, per_day=100)
    if grant.arrived == math.inf:  # in memory: it is not sent yet
        grant.arrived = grant.slot
    return grant


# ---- requests that do not leave


def sent_beside_one_that_does_not_leave(harness, seconds):
    """Return when requests left in some seconds, while the first one was handed over and has not left."""

    async def work():
        stuck = await harness.limiter.slot().__aenter__()
        await stuck.hand_over()
        times = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    slot = await sent_slot(harness.limiter)
                    times.append(harness.limiter.now())
                    await slot.close(answered(elapsed=0.0))
        await stuck.__aexit__(None, None, None)
        await harness.limiter.aclose()
        return times

    return harness.run(work())


def test_request_that_does_not_leave_delays_only_its_own_place():
    times = sent_beside_one_that_does_not_leave(LimiterHarness(), 3.0)
    assert len(times) >= 23  # of 27: nine places in each of three periods


def test_request_of_a_closed_event_loop_does_not_block_for_ever():
    harness = LimiterHarness(requests=1)
    (first, *_) = sent_beside_one_that_does_not_leave(harness, 130.0)
    assert 120 <= first <= 122


def test_cancelled_caller_is_cancelled_although_its_ledger_fails(tmp_path):
    async def work():
        async def call():
            async with harness.limiter.slot():
                await asyncio.sleep(10)

        task = asyncio.create_task(call())
        await asyncio.sleep(1)
        (tmp_path / "ledger.db").unlink()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await harness.limiter.aclose()
        return task.cancelled()

    harness = LimiterHarness(ledger=SqliteLedger(tmp_path / "ledger.db"))
    assert harness.run(work())
    harness.ledger.close()


@pytest.mark.parametrize("requests", [1, 10])
def test_places_are_forgotten_although_a_request_never_left(requests):
    harness = LimiterHarness(requests=requests)
    sent_beside_one_that_does_not_leave(harness, 140.0)
    assert len(harness.ledger._places[BUDGET].last) <= 4 * requests


def test_places_do_not_multiply_while_no_request_leaves():
    async def work():
        for _ in range(3):
            await (await harness.limiter.slot().__aenter__()).hand_over()
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await harness.limiter.acquire()
        return len(harness.ledger._places[BUDGET].last)

    harness = LimiterHarness(requests=3)
    assert harness.run(work()) == 3
