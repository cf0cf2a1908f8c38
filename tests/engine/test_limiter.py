"""The limiter, minutes of it on virtual time: never over the server's count, and not far under it."""

import asyncio
import random
from collections import Counter, deque
from contextlib import suppress

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.events import FixedWindowsRefused, QuotaClosed, Waited
from agora_analytics.engine.jitter import LARGEST_JITTER, SMALLEST_JITTER, Jitter
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import LONGEST_HOLD, Limiter
from agora_analytics.engine.phase_lock import PhaseLock
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.engine.window_guard import WITHOUT_PHASE
from agora_analytics.errors import QuotaExhausted
from agora_analytics.instants import utc_day
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, leave, limits, send

MIDNIGHT = 1_795_132_800.0
BUDGET = Budget("account", "call/lists")
pytestmark = pytest.mark.filterwarnings("error")


class LimiterHarness:
    """A limiter, its clock, its ledger and its events."""

    def __init__(self, start=NOW, ledger=None, **rows):
        self.clock = VirtualClock(start)
        self.events = []
        self.ledger = ledger or MemoryLedger()
        self.limiter = self.another(**rows)

    def another(self, **rows):
        return Limiter(
            BUDGET,
            limits(**rows),
            ledger=self.ledger,
            clock=self.clock,
            server_time=ServerTime(self.clock),
            observer=self.events.append,
        )

    def run(self, work):
        return run_virtual(work, self.clock)

    async def spent(self):
        return (await self.ledger.spent(BUDGET, "2026-11-19"))[0]


def worst_fixed(arrivals, period):
    return max(Counter(int(at // period) for at in arrivals).values())


def worst_sliding(arrivals, period):
    worst, inside = 0, deque()
    for at in sorted(arrivals):
        inside.append(at)
        while at - inside[0] >= period:
            inside.popleft()
        worst = max(worst, len(inside))
    return worst


async def traffic(limiters, clock, count, latency, seed=1, workers=32):
    """Send `count` requests from many workers; return when each reached the server, after part of its latency."""
    arrivals, rng, left = [], random.Random(seed), iter(range(count))

    async def worker(limiter):
        for _ in left:
            await leave(limiter)
            there, back = rng.uniform(*latency) / 2, rng.uniform(*latency) / 2
            await asyncio.sleep(there)
            arrivals.append(clock.now())
            await asyncio.sleep(back)
            limiter.guard.jitter.observe(there + back)

    async with asyncio.TaskGroup() as group:
        for i in range(workers):
            group.create_task(worker(limiters[i % len(limiters)]))
    return arrivals


@pytest.mark.parametrize("latency", [(0, 0), (0, 0.1), (0.02, 0.08), (0.05, 0.15)])
@pytest.mark.parametrize(
    ("requests", "period", "count"), [(10, 1.0, 1500), (3, 1.0, 500), (1, 1.0, 180), (3, 60.0, 12)]
)
def test_no_server_window_exceeds_the_rate_limit(requests, period, count, latency):
    harness = LimiterHarness(requests=requests, period=period)
    arrivals = harness.run(traffic([harness.limiter], harness.clock, count, latency))
    assert len(arrivals) == count
    assert worst_fixed(arrivals, period) <= requests
    assert worst_sliding(arrivals, period) <= requests
    assert (count - 1) * period / requests / (arrivals[-1] - arrivals[0]) >= 0.90


def ways(kind):
    """Return the way there and the way back, in seconds, of one request after the other."""
    lowest, highest = {"narrow": (0.0, 0.02), "wide": (0.0, 0.1), "harvest": (0.01, 0.04)}[kind.split(",")[0]]

    def there_and_back(rng):
        there = rng.uniform(lowest, highest)
        return there, {"both alike": there, "back at once": 0.0}.get(
            kind.partition(", ")[2], rng.uniform(lowest, highest)
        )

    return there_and_back


async def matched_traffic(limiters, clock, count, way, seed=1, workers=64, work=lambda _: 0.0):
    """As `traffic`, but each response is matched to its request, as in the request loop."""
    arrivals, rng, left = [], random.Random(seed), iter(range(count))

    async def worker(limiter):
        for _ in left:
            grant = await leave(limiter)
            (there, back), busy = way(rng), work(rng)
            await asyncio.sleep(there)
            arrivals.append(clock.now())
            await asyncio.sleep(busy + back)
            limiter.answered(grant, there + busy + back)

    async with asyncio.TaskGroup() as group:
        for i in range(workers):
            group.create_task(worker(limiters[i % len(limiters)]))
    return sorted(arrivals)


def used(arrivals, requests, period=1.0):
    return (len(arrivals) - 1) * period / requests / (arrivals[-1] - arrivals[0])


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("wide, both alike", 0.90), ("wide, back at once", 0.90), ("wide, each", 0.90),
        ("narrow, both alike", 0.95), ("narrow, back at once", 0.95), ("narrow, each", 0.95),
        ("harvest, both alike", 0.94),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("requests", "count"), [(10, 1500), pytest.param(100, 4000, marks=pytest.mark.slow)])
def test_rate_limit_is_nearly_reached_and_never_exceeded(requests, count, kind, least):
    for seed in range(2):
        harness = LimiterHarness(requests=requests)
        arrivals = harness.run(matched_traffic([harness.limiter], harness.clock, count, ways(kind), seed))
        assert worst_fixed(arrivals, 1.0) <= requests
        assert worst_sliding(arrivals, 1.0) <= requests
        assert used(arrivals, requests) >= least


@pytest.mark.parametrize("kind", ["wide, each", "wide, back at once", "narrow, both alike"])
@pytest.mark.parametrize(("requests", "period", "count"), [(1, 1.0, 120), (3, 1.0, 300), (3, 60.0, 40)])
@pytest.mark.parametrize("seed", range(4))
def test_small_rate_limits_hold_from_the_first_request(requests, period, count, kind, seed):
    harness = LimiterHarness(requests=requests, period=period)
    arrivals = harness.run(matched_traffic([harness.limiter], harness.clock, count, ways(kind), seed))
    assert worst_fixed(arrivals, period) <= requests
    assert worst_sliding(arrivals, period) <= requests
    assert used(arrivals, requests, period) >= 0.90


def test_late_response_delays_only_one_request():
    def way(rng):
        return (0.090 if rng.random() < 0.01 else 0.010), 0.005

    harness = LimiterHarness()
    arrivals = harness.run(matched_traffic([harness.limiter], harness.clock, 2000, way))
    assert worst_sliding(arrivals, 1.0) <= 10
    assert used(arrivals, 10) >= 0.97  # a margin that is the same for all would leave 0.92


def test_response_slower_than_the_period_counts_as_the_largest_jitter():
    harness = LimiterHarness()
    arrivals = harness.run(
        matched_traffic(
            [harness.limiter], harness.clock, 1500, ways("wide, each"), work=lambda rng: rng.uniform(0.3, 3)
        )
    )
    assert worst_sliding(arrivals, 1.0) <= 10
    assert used(arrivals, 10) >= 0.90


@pytest.mark.parametrize("requests", [1, 3, 10])
def test_clients_of_one_process_share_the_rate_limit(requests):
    harness = LimiterHarness(requests=requests)
    both = [harness.limiter, harness.another(requests=requests)]
    arrivals = harness.run(matched_traffic(both, harness.clock, 60 * requests, ways("wide, each")))
    assert worst_sliding(arrivals, 1.0) <= requests
    assert used(arrivals, requests) >= 0.85


def test_clock_set_back_does_not_block_the_limiter():
    async def work():
        for _ in range(20):
            await leave(harness.limiter)
        harness.clock.step(-86_400)
        start = asyncio.get_running_loop().time()
        await leave(harness.limiter)
        return asyncio.get_running_loop().time() - start

    harness = LimiterHarness()
    assert harness.run(work()) < 2


class Unpaced(MemoryLedger):
    """A ledger of a user's that keeps the windows, but leaves no gap between the slots."""

    async def reserve(self, *args, **kwargs):
        return await super().reserve(*args, **(kwargs | {"pace": evolve(kwargs["pace"], gap=0.0)}))


@pytest.mark.parametrize("requests", [3, 10])
def test_rate_limit_holds_without_pacing_by_the_ledger(requests):
    harness = LimiterHarness(ledger=Unpaced(), requests=requests)
    arrivals = harness.run(traffic([harness.limiter], harness.clock, 300, (0, 0.1)))
    assert worst_fixed(arrivals, 1.0) <= requests
    assert worst_sliding(arrivals, 1.0) <= requests


def test_constant_latency_uses_nearly_the_whole_rate():
    harness = LimiterHarness(requests=10)
    arrivals = harness.run(traffic([harness.limiter], harness.clock, 2000, (0.05, 0.05)))
    assert worst_sliding(arrivals, 1.0) == 10
    assert 199.9 / (arrivals[-1] - arrivals[0]) >= 0.98


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_clients_with_one_ledger_share_the_rate(kind, tmp_path):
    harness = LimiterHarness(
        ledger=MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    )
    arrivals = harness.run(traffic([harness.limiter, harness.another()], harness.clock, 300, (0.0, 0.08)))
    assert worst_sliding(arrivals, 1.0) <= 10
    assert 29.9 / (arrivals[-1] - arrivals[0]) >= 0.85
    harness.run(harness.ledger.aclose())


@pytest.mark.parametrize(
    ("kind", "least"), [("narrow, each", 0.95), ("narrow, both alike", 0.95), ("wide, each", 0.90)]
)
@pytest.mark.parametrize(("requests", "count"), [(10, 900), (100, 3000)])
def test_processes_with_one_ledger_nearly_reach_the_rate_limit(tmp_path, requests, count, kind, least):
    harness = LimiterHarness(ledger=SqliteLedger(tmp_path / "ledger.db"), requests=requests)
    clients = [harness.limiter, harness.another(requests=requests), harness.another(requests=requests)]
    arrivals = harness.run(matched_traffic(clients, harness.clock, count, ways(kind)))
    assert worst_fixed(arrivals, 1.0) <= requests
    assert worst_sliding(arrivals, 1.0) <= requests
    assert used(arrivals, requests) >= least
    harness.run(harness.ledger.aclose())


# ---- a ledger that processes share


class SharedLedgerHarness(LimiterHarness):
    """As many clients of one ledger in a file as processes would be."""

    def __init__(self, path, clients, start=NOW, **rows):
        super().__init__(start, SqliteLedger(path), **rows)
        self.limiters = [self.limiter, *(self.another(**rows) for _ in range(clients - 1))]
        self.times = []

    async def leave(self, limiter):
        await leave(limiter)
        self.times.append(self.clock.now())

    def run(self, work):
        try:
            return super().run(work)
        finally:
            self.ledger.close()


@pytest.mark.parametrize("clients", [2, 3, 8, 12])
@pytest.mark.parametrize(("requests", "burst"), [(3, 3), (10, 8), (3, 1)])
def test_processes_share_a_limit_per_minute(tmp_path, clients, requests, burst):
    harness = SharedLedgerHarness(
        tmp_path / "ledger.db", clients, requests=requests, burst=burst, period=60.0
    )
    arrivals = harness.run(traffic(harness.limiters, harness.clock, 30, (0, 0.1)))
    assert worst_sliding(arrivals, 60.0) <= requests
    assert arrivals[-1] - arrivals[0] <= 29 * 60.2 / (requests + 1 - burst)


@pytest.mark.parametrize("clients", [2, 3, 6])
def test_no_process_with_a_shared_ledger_starves(tmp_path, clients):
    async def busy(limiter):
        while harness.clock.now() < NOW + 7200:
            asked = harness.clock.now()
            await harness.leave(limiter)
            waited.append(harness.clock.now() - asked)

    async def work():
        await asyncio.gather(*map(busy, harness.limiters))

    waited = []
    harness = SharedLedgerHarness(tmp_path / "ledger.db", clients, requests=10, burst=8, period=60.0)
    harness.run(work())
    assert max(waited) <= (clients + 1) * 20.1
    assert len(waited) >= 7200 / 20.1


def test_server_back_off_holds_for_every_waiter(tmp_path):
    async def work():
        await harness.leave(harness.limiter)
        await harness.limiter.backoff(50)
        await asyncio.gather(*map(harness.leave, harness.limiters))

    harness = SharedLedgerHarness(tmp_path / "ledger.db", 3, requests=3, burst=3, period=60.0)
    harness.run(work())
    assert [at - NOW >= 50 for at in harness.times] == [False, True, True, True]


def test_common_pause_is_not_followed_by_a_burst(tmp_path):
    async def busy(limiter):
        while harness.clock.now() < NOW + 20:
            await harness.leave(limiter)

    async def work():
        asyncio.get_running_loop().call_later(4.03, harness.clock.step, 3.0)  # nobody ran in these seconds
        await asyncio.gather(*map(busy, harness.limiters))

    harness = SharedLedgerHarness(tmp_path / "ledger.db", 10, requests=10)
    harness.run(work())
    assert worst_sliding(harness.times, 1.0) <= 10
    assert len(harness.times) >= 140  # of 170


@pytest.mark.parametrize("slow", [0.05, 0.3])
def test_slow_ledger_neither_breaks_the_rate_nor_blocks(tmp_path, slow):
    class Slow(SqliteLedger):
        async def reserve(self, *args, **kwargs):
            await asyncio.sleep(slow * (3 if harness.clock.now() - NOW < 1 else 1))
            return await super().reserve(*args, **kwargs)

    async def busy(limiter):
        while harness.clock.now() < NOW + 30:
            await harness.leave(limiter)

    async def work():
        limiters = [harness.limiter, *(harness.another(requests=10) for _ in range(5))]
        for limiter in limiters:
            for _ in range(20):
                limiter.guard.jitter.observe(0.02)
        await asyncio.gather(*map(busy, limiters))
        await harness.ledger.aclose()

    harness = SharedLedgerHarness(tmp_path / "ledger.db", 1, requests=10)
    harness.ledger = Slow(tmp_path / "ledger.db")
    harness.limiter = harness.another(requests=10)
    harness.run(work())
    assert worst_sliding(harness.times, 1.0) <= 10
    assert len(harness.times) >= 60


def test_cancelled_waiters_neither_break_nor_use_the_rate(tmp_path):
    async def impatient(limiter):
        while harness.clock.now() < NOW + 600:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await harness.leave(limiter)
            await asyncio.sleep(1)

    async def work():
        await asyncio.gather(*map(impatient, harness.limiters))
        return await harness.spent()

    harness = SharedLedgerHarness(tmp_path / "ledger.db", 3, requests=3, burst=3, period=60.0)
    assert harness.run(work()) == len(harness.times)
    assert worst_sliding(harness.times, 60.0) <= 3
    assert len(harness.times) >= 3 + 600 / 60 - 2


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_request_that_waits_over_midnight_is_charged_when_sent(kind, tmp_path):
    async def worker(limiter):
        while harness.clock.now() < MIDNIGHT + 1800:
            try:
                grant = await leave(limiter)
                left.append((grant.day, harness.clock.now()))
            except QuotaExhausted as error:
                await asyncio.sleep(min(max(1, error.retry_at - harness.clock.now()), 600))

    async def work():
        await asyncio.gather(*(worker(limiter) for limiter in limiters))
        days = [(await harness.ledger.spent(BUDGET, day))[0] for day in ("2026-11-19", "2026-11-20")]
        await harness.ledger.aclose()
        return days

    left, rows = [], {"requests": 3, "period": 60.0, "per_day": 40}
    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = LimiterHarness(start=MIDNIGHT - 400, ledger=ledger, **rows)
    limiters = [harness.limiter, harness.another(**rows), harness.another(**rows)]
    before, after = harness.run(work())
    assert [day for day, _ in left] == [utc_day(at) for _, at in left]
    assert (before, after) == (sum(at < MIDNIGHT for _, at in left), 40)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_request_prepared_over_midnight_is_charged_when_sent(kind, tmp_path):
    async def work():
        grant = await harness.limiter.acquire()
        assert grant.day == "2026-11-19"
        await asyncio.sleep(5)
        grant = await send(harness.limiter, grant)
        days = [(await harness.ledger.spent(BUDGET, day))[0] for day in ("2026-11-19", "2026-11-20")]
        await harness.ledger.aclose()
        return grant.day, days

    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = LimiterHarness(start=MIDNIGHT - 4, ledger=ledger)
    assert harness.run(work()) == ("2026-11-20", [0, 1])


def test_waiters_are_served_in_order():
    async def work():
        served = []

        async def ask(number):
            await leave(harness.limiter)
            served.append(number)

        await asyncio.gather(*map(ask, range(30)))
        return served

    harness = LimiterHarness()
    assert harness.run(work()) == list(range(30))


@settings(max_examples=60, deadline=None)
@given(
    lives=st.lists(st.tuples(st.floats(0, 3), st.none() | st.floats(0, 2)), min_size=1, max_size=25),
    hold=st.none() | st.floats(0, 3),
)
def test_cancelled_waiter_releases_its_slot(lives, hold):
    """Each life asks at a moment and may be cancelled after a while."""

    async def work():
        times = []

        async def ask(at):
            await asyncio.sleep(at)
            await leave(harness.limiter)
            times.append(harness.clock.now())

        if hold:
            await harness.limiter.backoff(hold)
        tasks = [asyncio.create_task(ask(at)) for at, _ in lives]
        loop = asyncio.get_running_loop()
        for task, (at, after) in zip(tasks, lives, strict=True):
            if after is not None:
                loop.call_later(at + after, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await harness.spent() == len(times)
        start = loop.time()
        await leave(harness.limiter)  # nobody left a lock behind
        assert loop.time() - start < 7
        return times

    harness = LimiterHarness(requests=3)
    times = harness.run(work())
    assert len(times) >= sum(after is None for _, after in lives)
    assert not times or worst_sliding(times, 1.0) <= 3


@pytest.mark.parametrize("retry", [5, 10, 19, 25, 40])
@pytest.mark.parametrize("clients", [1, 3])
def test_cancelled_waiters_starve_no_other(retry, clients):
    async def impatient(limiter):
        while harness.clock.now() < NOW + 1200:
            with suppress(TimeoutError):
                async with asyncio.timeout(retry):
                    await leave(limiter)
                left.append(harness.clock.now())
            await asyncio.sleep(1)

    async def work():
        limiters = [harness.limiter, *(harness.another(**rows) for _ in range(clients - 1))]
        await asyncio.gather(*map(impatient, limiters))

    left, rows = [], {"requests": 3, "period": 60.0, "burst": 3}
    harness = LimiterHarness(**rows)
    harness.run(work())
    assert worst_sliding(left, 60.0) <= 3
    assert len(left) >= 50  # of 60


@pytest.mark.parametrize("seed", range(10))
def test_cancellation_at_any_point_never_exceeds_the_rate_limit(seed):
    async def fickle(limiter):
        while harness.clock.now() < NOW + 1500:
            with suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(1, 70)):
                    grant = await limiter.acquire()
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.uniform(0, 3))
                    await limiter.release(grant)
                else:
                    grant = await send(limiter, grant)
                    left.append(harness.clock.now())
                    if rng.random() < 0.5:
                        limiter.answered(grant, rng.uniform(0, 0.2))
            await asyncio.sleep(rng.uniform(0, 5))

    async def work():
        await asyncio.gather(*(fickle(limiter) for limiter in limiters * 2))

    left, rng, rows = [], random.Random(seed), {"requests": 3, "period": 60.0, "burst": 3}
    harness = LimiterHarness(**rows)
    limiters = [harness.limiter, harness.another(**rows)]
    harness.run(work())
    assert worst_sliding(left, 60.0) <= 3
    assert len(left) >= 50  # of 75


def test_requests_refused_before_midnight_use_no_quota_of_the_new_day():
    async def work():
        left = []
        while len(left) < 6:
            try:
                await leave(harness.limiter)
                left.append(harness.clock.now() - MIDNIGHT)
            except QuotaExhausted:
                await asyncio.sleep(2)
        return left

    harness = LimiterHarness(start=MIDNIGHT - 300, requests=3, period=60.0, burst=3, per_day=3)
    assert harness.run(work())[3] < 3


def test_reservation_cancelled_during_the_write_is_released():
    class Slow(MemoryLedger):
        ahead = 0.25

        async def reserve(self, *args, **kwargs):
            writing = asyncio.ensure_future(self.write(*args, **kwargs))
            return await asyncio.shield(writing)  # as a thread continues after its waiter was cancelled

        async def write(self, *args, **kwargs):
            await asyncio.sleep(0.5)
            return await super().reserve(*args, **kwargs)

    async def work():
        task = asyncio.create_task(leave(harness.limiter))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await harness.spent()

    harness = LimiterHarness(ledger=Slow())
    assert harness.run(work()) == 0


def test_exhausted_quota_fails_immediately_and_resets_at_midnight():
    async def work():
        for _ in range(3):
            await leave(harness.limiter)
        start = harness.clock.now()
        with pytest.raises(QuotaExhausted, match="3 requests a day is spent; retry at 2026-11-20") as caught:
            await asyncio.gather(*(leave(harness.limiter) for _ in range(5)))
        assert harness.clock.now() - start < 0.5
        assert caught.value.retry_at == MIDNIGHT
        assert caught.value.endpoint == "call/lists"
        await asyncio.sleep(MIDNIGHT - harness.clock.now() - 0.001)
        with pytest.raises(QuotaExhausted):
            await leave(harness.limiter)
        await asyncio.sleep(0.002)
        return await leave(harness.limiter)

    harness = LimiterHarness(per_day=3)
    assert harness.run(work()).day == "2026-11-20"
    assert harness.events.count(QuotaClosed(endpoint="call/lists", retry_at=MIDNIGHT)) == 1


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("burst", [1, 3])
def test_exhausted_quota_fails_immediately_with_a_limit_per_minute(kind, burst, tmp_path):
    async def work():
        for _ in range(3):
            await leave(harness.limiter)
        start = harness.clock.now()
        with pytest.raises(QuotaExhausted):
            await leave(harness.limiter)
        await harness.ledger.aclose()
        return harness.clock.now() - start

    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = LimiterHarness(ledger=ledger, requests=3, period=60.0, burst=burst, per_day=3)
    assert harness.run(work()) < 0.5


def test_request_that_was_not_sent_frees_the_exhausted_quota():
    async def work():
        grant = await leave(harness.limiter)
        with pytest.raises(QuotaExhausted):
            await leave(harness.limiter)
        await harness.limiter.release(grant)
        await leave(harness.limiter)
        return await harness.spent()

    harness = LimiterHarness(per_day=1)
    assert harness.run(work()) == 1


def test_day_closed_by_the_server_is_closed_for_every_client_of_the_ledger():
    async def work():
        other = harness.another()
        await leave(other)
        await harness.limiter.quota.close(MIDNIGHT)
        for limiter in (harness.limiter, other):
            with pytest.raises(QuotaExhausted) as caught:
                await leave(limiter)
            assert caught.value.retry_at == MIDNIGHT
        await asyncio.sleep(MIDNIGHT + 1 - harness.clock.now())
        await leave(other)

    harness = LimiterHarness()
    harness.run(work())


def test_nothing_is_sent_around_midnight():
    harness = LimiterHarness(start=MIDNIGHT - 5)
    arrivals = harness.run(traffic([harness.limiter], harness.clock, 100, (0, 0.1)))
    assert not [at for at in arrivals if MIDNIGHT - 0.9 < at < MIDNIGHT + 0.45]
    before = sum(at < MIDNIGHT for at in arrivals)
    days = [harness.run(harness.ledger.spent(BUDGET, day))[0] for day in ("2026-11-19", "2026-11-20")]
    assert days == [before, 100 - before]
    assert worst_sliding(arrivals, 1.0) <= 10


def test_quota_day_follows_the_server_clock():
    async def work():
        harness.limiter._server_time.observe("Fri, 20 Nov 2026 00:10:00 GMT", sent=NOW, received=NOW + 0.01)
        return await leave(harness.limiter)

    harness = LimiterHarness(start=NOW)
    assert harness.run(work()).day == "2026-11-20"


def test_rate_limited_response_holds_and_slows_all_requests():
    async def pace(count=20):
        start = harness.clock.now()
        for _ in range(count):
            await leave(harness.limiter)
        return (harness.clock.now() - start) / count

    async def work():
        before = await pace()
        moment = harness.clock.now()
        await harness.limiter.backoff(0.7)
        await leave(harness.limiter)
        assert harness.clock.now() - moment >= 0.7 + LARGEST_JITTER
        return before, await pace()

    harness = LimiterHarness()
    before, after = harness.run(work())
    assert after > before * 1.03


def test_consecutive_rate_limited_responses_back_off_longer():
    async def held():
        start = harness.clock.now()
        await harness.limiter.backoff(0.0)
        await leave(harness.limiter)
        return harness.clock.now() - start

    async def work():
        row = [await held() for _ in range(6)]
        harness.limiter.reset_backoff()
        return row, await held()

    harness = LimiterHarness()
    row, calm = harness.run(work())
    assert row == sorted(row)
    assert row[-1] > 10 * row[0]
    assert calm < row[1]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("seconds", [90, 600, 1e9])
def test_long_retry_after_is_obeyed_up_to_a_bound(kind, seconds, tmp_path):
    async def work():
        start = harness.clock.now()
        await harness.limiter.backoff(seconds)
        await leave(harness.limiter)
        return harness.clock.now() - start

    harness = LimiterHarness(
        ledger=MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    )
    assert min(seconds, 99) <= harness.run(work()) < LONGEST_HOLD + 1
    harness.run(harness.ledger.aclose())


def test_long_wait_is_reported_with_its_rule():
    async def work():
        await harness.limiter.backoff(5.0)
        await leave(harness.limiter)

    harness = LimiterHarness()
    harness.run(work())
    (waited,) = [event for event in harness.events if isinstance(event, Waited)]
    assert (waited.endpoint, waited.rule) == ("call/lists", "the hold after a rate-limit error")
    assert waited.seconds > 4


def test_jitter_starts_large_and_follows_the_measurements():
    jitter = Jitter()
    assert jitter.seconds == LARGEST_JITTER
    for i in range(200):
        jitter.observe(0.05 + 0.03 * (i % 2))
    assert jitter.seconds == pytest.approx(0.035)
    for _ in range(200):
        jitter.observe(0.05)
    assert jitter.seconds == SMALLEST_JITTER
    jitter.observe(9.0)
    assert jitter.seconds == LARGEST_JITTER
    usual = jitter.observe(0.05)
    assert usual < SMALLEST_JITTER * 3
    assert jitter.observe(0.09) == pytest.approx(0.04 + usual, abs=0.001)
    assert jitter.observe(9.0) == LARGEST_JITTER
    jitter.widen()
    assert jitter.seconds > LARGEST_JITTER


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(("requests", "period", "burst"), [(1, 1, 1), (10, 1, 1), (3, 60, 3), (10, 60, 8)])
def test_estimate_of_a_wait_is_never_too_long(kind, requests, period, burst, tmp_path):
    """A call whose turn would come in time is not refused, and nearly every call whose turn comes later is."""

    async def wait():
        waiting, estimate = harness.limiter._waiting, harness.limiter._least_wait()
        start = harness.clock.now()
        await leave(harness.limiter)
        return waiting, estimate, harness.clock.now() - start

    async def work():
        calls = []
        for _ in range(40):
            calls.append(asyncio.create_task(wait()))
            await asyncio.sleep(0)
        return await asyncio.gather(*calls)

    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = LimiterHarness(ledger=ledger, requests=requests, period=period, burst=burst)
    waits = [(estimate, actual) for waiting, estimate, actual in harness.run(work()) if waiting]
    assert len(waits) > 20
    assert all(estimate <= actual + 0.01 for estimate, actual in waits)
    # Until the first caller knows its slot, the estimate assumes that a burst is allowed.
    too_short = period * 1.3 + burst * harness.limiter.guard.pace().gap
    assert all(actual <= estimate * 1.15 + too_short for estimate, actual in waits)
    harness.run(ledger.aclose())


def test_fixed_windows_that_the_server_refuses_count_as_sliding_for_an_hour():
    async def full_second():
        """Send ten requests at the end of a second of the server, and return when the next one leaves."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(2 + (0.1 - loop.time()) % 1)
        for _ in range(10):
            await leave(limiter)
        sent = loop.time()
        await leave(limiter)
        return loop.time() - sent

    def learn():
        """The server's second begins at each whole second of ours."""
        at = int(asyncio.get_running_loop().time())
        for seconds in (at + 0.999, at + 1.001):
            phase_lock.learn("host", int(NOW + seconds), sent=seconds, received=seconds)

    async def work():
        learn()
        before = await full_second()
        await limiter.backoff(0.0)
        refused = await full_second()
        await asyncio.sleep(WITHOUT_PHASE)
        learn()
        return before, refused, await full_second()

    harness = LimiterHarness(requests=10)
    phase_lock = PhaseLock(harness.clock.monotonic)
    limiter = Limiter(
        BUDGET,
        limits(requests=10, windows="fixed"),
        ledger=harness.ledger,
        clock=harness.clock,
        server_time=ServerTime(harness.clock),
        observer=harness.events.append,
        phase_lock=phase_lock,
    )
    before, refused, after = harness.run(work())
    told = [event for event in harness.events if isinstance(event, FixedWindowsRefused)]
    assert told == [FixedWindowsRefused(endpoint="call/lists", seconds=WITHOUT_PHASE)]
    assert before < 0.3 < refused
    assert after < 0.3
