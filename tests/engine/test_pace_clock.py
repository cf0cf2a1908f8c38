"""The pace runs on a clock that nobody sets: the wall clock may be set, and the machine suspended, at any time."""

import asyncio
from itertools import pairwise

import pytest

from agora_analytics.core.limits import Limits
from agora_analytics.engine import clock as engine_clock
from agora_analytics.engine.clock import ServerTime, SystemClock
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import ServerError
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, leave, limits, send
from tests.engine.test_limiter import worst_sliding

BUDGET = Budget("account", "call/lists")
STEPS = [60.0, -60.0, 3600.0, -3600.0, -2 * 86_400.0]


class NowOnly:
    """A user's clock without `monotonic`."""

    def __init__(self, clock: VirtualClock) -> None:
        self.now, self.follow = clock.now, clock.follow


def new_limiter(clock, ledger, rows: Limits) -> Limiter:
    return Limiter(
        BUDGET, rows, ledger=ledger, clock=clock, server_time=ServerTime(clock), observer=lambda _: None
    )


class Traffic:
    """Requests of several clients, as a server counts them: on a clock of its own."""

    def __init__(self, ledger, clocks, rows) -> None:
        self.ledger = ledger
        self.clocks = clocks
        self.limiters = [new_limiter(clock, ledger, rows) for clock in clocks]
        self.sent: list[float] = []
        self.time = lambda: asyncio.get_running_loop().time()

    def run(self, seconds: float, *events: tuple[float, object]) -> list[float]:
        async def busy(limiter):
            loop = asyncio.get_running_loop()
            while loop.time() < seconds:
                grant = await leave(limiter)
                self.sent.append(self.time())
                await asyncio.sleep(0.01)
                limiter.answered(grant, 0.01)

        async def work():
            loop = asyncio.get_running_loop()
            for clock in self.clocks:
                clock.follow(loop)
            for at, event in events:
                loop.call_later(at, event)
            await asyncio.gather(*(busy(limiter) for limiter in self.limiters for _ in range(3)))
            await self.ledger.aclose()

        run_virtual(work())
        return sorted(self.sent)


def longest_pause(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("kind", ["virtual", "now only"])
def test_clock_that_is_set_neither_stalls_nor_exceeds_the_rate(ledger, seconds, kind):
    clock = VirtualClock(NOW)
    traffic = Traffic(ledger, [clock if kind == "virtual" else NowOnly(clock)], limits(requests=10))
    times = traffic.run(20, (5.03, lambda: clock.step(seconds)), (9.51, lambda: clock.step(-seconds / 2)))
    assert longest_pause(times) < 1.0
    assert worst_sliding(times, 1.0) <= 10
    assert len(times) >= 170


@pytest.mark.parametrize("seconds", STEPS)
def test_clock_of_one_process_that_is_set_changes_nothing_for_the_others(tmp_path, seconds):
    """Two wall clocks that differ, as in two containers, and one time since boot."""
    mine, other = VirtualClock(NOW), VirtualClock(NOW + 7)
    traffic = Traffic(SqliteLedger(tmp_path / "ledger.db"), [mine, other], limits(requests=10))
    times = traffic.run(20, (5.03, lambda: mine.step(seconds)))
    assert longest_pause(times) < 1.0
    assert worst_sliding(times, 1.0) <= 10
    assert len(times) >= 170


@pytest.mark.parametrize("seconds", [60.0, -60.0])
def test_hold_of_the_server_keeps_its_length_when_the_clock_is_set(ledger, seconds):
    async def work():
        limiter = new_limiter(clock, ledger, limits())
        await leave(limiter)
        begun = asyncio.get_running_loop().time()
        await limiter.backoff(30.0)
        asyncio.get_running_loop().call_later(3, clock.step, seconds)
        await leave(limiter)
        await ledger.aclose()
        return asyncio.get_running_loop().time() - begun

    clock = VirtualClock(NOW)
    assert 30 <= run_virtual(work(), clock) < 31


@pytest.mark.parametrize("asleep", [60.0, 3600.0])
def test_suspended_machine_sends_within_a_second_of_its_resumption(ledger, asleep):
    """Three requests a minute: the fourth waits for most of a minute, which passes while the machine sleeps."""

    async def work():
        limiter = new_limiter(clock, ledger, limits(requests=3, period=60.0, burst=3))
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await leave(limiter)
        loop.call_later(2.0, clock.suspend, asleep)
        for _ in range(3):
            await leave(limiter)
            sent.append(loop.time())
        for _ in range(3):
            await leave(limiter)
            later.append(loop.time())
        await ledger.aclose()

    clock, sent, later = VirtualClock(NOW), [], []
    run_virtual(work(), clock)
    assert sent[0] <= 3.1
    assert worst_sliding([*sent, *later], 60.0) <= 3


@pytest.mark.parametrize("clients", [1, 4])
def test_suspended_machine_sends_no_burst(tmp_path, clients):
    clock = VirtualClock(NOW)
    traffic = Traffic(SqliteLedger(tmp_path / "ledger.db"), [clock] * clients, limits(requests=10))
    traffic.time = clock.monotonic  # the server's time passes during the suspension
    times = traffic.run(20, (5.03, lambda: clock.suspend(600)))
    assert worst_sliding(times, 1.0) <= 10
    assert 600 < longest_pause(times) < 601


def test_short_wait_is_estimated_with_the_time_of_a_suspension():
    """Two requests a minute: after the suspension, both waiting calls are due in a second."""

    async def work():
        limiter = new_limiter(clock, MemoryLedger(), limits(requests=2, period=60.0, burst=2))
        for _ in range(2):
            await leave(limiter)
        first = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(2.5)
        clock.suspend(57.0)
        grant = await limiter.acquire(patience=3.0, is_short=True)
        await send(limiter, await first)
        await send(limiter, grant)
        return asyncio.get_running_loop().time()

    clock = VirtualClock(NOW)
    assert run_virtual(work(), clock) < 6


def test_refusal_of_the_server_ends_during_a_suspension():
    async def work():
        limiter = new_limiter(clock, MemoryLedger(), limits())
        error = ServerError("down", status=503)
        error.set_retry(600.0, now=clock.now())
        limiter.refusal.record(error, 600.0, for_all=True)
        with pytest.raises(ServerError, match="down"):
            await limiter.acquire(patience=120.0)
        clock.suspend(600.0)
        await limiter.acquire(patience=120.0)

    clock = VirtualClock(NOW)
    run_virtual(work(), clock)


def test_clock_without_monotonic_is_paced_by_the_event_loop():
    async def work():
        await asyncio.sleep(5)
        return engine_clock.monotonic_of(NowOnly(VirtualClock(NOW)))() - asyncio.get_running_loop().time()

    assert abs(run_virtual(work())) < 0.001


def test_system_clock_counts_from_the_start_of_the_machine():
    first, second = SystemClock().monotonic(), SystemClock().monotonic()
    assert 0 < first <= second < 10 * 365 * 86_400


def test_virtual_clock_keeps_its_monotonic_time_over_loops_and_steps():
    async def wait():
        await asyncio.sleep(5)

    clock = VirtualClock(NOW)
    run_virtual(wait(), clock)
    clock.step(-3600)
    run_virtual(wait(), clock)
    clock.suspend(100)
    assert clock.monotonic() == pytest.approx(110, abs=0.01)
    assert clock.now() == pytest.approx(NOW - 3600 + 110, abs=0.01)


# ---- the pace after refusals


@pytest.mark.parametrize("refusals", [1, 4, 20])
def test_pace_returns_to_normal_within_ten_minutes_of_refusals(ledger, refusals):
    async def pace(limiter):
        loop, count = asyncio.get_running_loop(), 60
        begun = loop.time()
        for _ in range(count):
            grant = await leave(limiter)
            limiter.answered(grant, 0.02)
        return (loop.time() - begun) / count

    async def work():
        limiter = new_limiter(clock, ledger, limits(requests=10))
        usual = await pace(limiter)
        for _ in range(refusals):
            await limiter.backoff(0.0)
            await leave(limiter)
        limiter.reset_backoff()
        slower = await pace(limiter)
        await asyncio.sleep(600)
        normal = await pace(limiter)
        await ledger.aclose()
        return usual, slower, normal

    clock = VirtualClock(NOW)
    usual, slower, normal = run_virtual(work(), clock)
    assert slower > usual * 1.03
    assert normal <= usual * 1.01
