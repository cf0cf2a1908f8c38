"""The rate limiter of one budget: it decides when the next request may be sent.

Two limits apply, a coarse one and an exact one:

- The token bucket, `AsyncLimiter(requests, period)`, has the numbers of the plan table. Because it starts full, it alone
  would admit almost twice as many requests in the first period as the server accepts.
- The guard decides the time of each request, so that no window of the server holds more than `requests`. If this
  process knows all requests of the budget, the guard is a sliding window over them (see `sliding_window`). If processes
  share a ledger, the guard is the ledger's next slot: slots are `(period + jitter) / (requests + 1 - burst)` apart, so
  any `requests + 1` requests span a period and the jitter of their latency.

The bucket has room for every request that the guard admits, because the guard admits at most n times `requests` in n
periods. So the bucket does not delay admitted requests. It limits the rate if the guard has a defect.

Slots are times of the monotonic clock (see `clock.Clock`), so nobody who sets the wall clock delays a request or breaks
the limit. The server's time decides the day only.
"""

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
from aiolimiter import AsyncLimiter

from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import Clock, ServerTime, monotonic_of
from agora_analytics.engine.events import Observer, QuotaClosed, Waited
from agora_analytics.engine.ledger import AHEAD, Budget, Grant, Ledger, MemoryLedger, TooEarly
from agora_analytics.engine.quota_reserve import usable
from agora_analytics.engine.sliding_window import LARGEST_JITTER, Jitter, Reservation, SlidingWindow
from agora_analytics.engine.standing_refusal import StandingRefusal
from agora_analytics.errors import AgoraAnalyticsError, QuotaExhausted, RateLimited
from agora_analytics.instants import DAY, next_midnight, utc_day

CATCH_UP = 0.002  # seconds by which a timer may be late without delaying later requests
# Seconds; a longer pause that the server requests is cut to this. All processes with the ledger stay within it.
LONGEST_HOLD = 3_600.0
_LONGEST_WAIT = 120.0  # seconds for a predecessor; longer means that the window was used with another clock
# Seconds; the event loop's time may stop while the machine is suspended, and the slot pass.
_LONGEST_SLEEP = 1.0
_POLL = 0.05  # seconds between two checks of a predecessor that is not sent yet
# Factor of the even gap, so that requests can catch up after a delay within the server's window.
_PACE_FACTOR = 0.75
# Seconds before and after midnight without requests, because their day would be uncertain.
_MIDNIGHT_GUARD = (1.0, 0.5)
_WORTH_REPORTING = 1.0  # seconds; shorter waits are normal for the rate limit
_GRACE = 0.1  # seconds that a cancelled caller waits for its release before that continues in the background


class Limiter:
    """Admits the requests of one budget at the documented rate, in the order of arrival.

    A limiter is bound to the event loop that first uses it. Cancelling `acquire` releases the slot.
    """

    def __init__(
        self,
        budget: Budget,
        limits: Limits,
        *,
        ledger: Ledger,
        clock: Clock,
        server_time: ServerTime,
        observer: Observer,
    ) -> None:
        self.budget = budget
        self.limits = limits
        self.jitter = Jitter(monotonic_of(clock))
        self.bucket = AsyncLimiter(limits.requests, limits.period)
        self._ledger = ledger
        self._now = monotonic_of(clock)
        self._suspended: float | None = None  # how far our clock is ahead of the event loop's
        self._server_time = server_time
        self._observer = observer
        self._turn = asyncio.Lock()
        self._burst = min(limits.burst, limits.requests)
        self._window: SlidingWindow | None = None
        if isinstance(ledger, MemoryLedger):  # this process knows all requests of the budget
            self._window = ledger.sliding_window(budget, limits.requests)
        self._closed_until = 0.0  # set by the server; unlike the ledger's count, not lowered by releases
        self._announced_until = 0.0
        self._backoffs = 0
        self.refusal = StandingRefusal(self._now)
        self._releases: set[asyncio.Future[None]] = set()
        self._waiting = 0  # callers of `acquire`, the one that holds the turn included
        self._slot_at = 0.0  # when the one that holds the turn may send
        self._latest = math.inf  # the latest slot that it accepts

    async def acquire(
        self, *, patience: float = math.inf, is_short: bool = False, own_deadline: bool = False
    ) -> Grant:
        """Wait for the next slot and return it; the caller must then call `mark_sent` or `release`.

        Args:
            patience: the most seconds until the slot that the caller accepts.
            is_short: never wait longer, and also estimate the time that the callers before this one take.
            own_deadline: the caller chose the deadline for this call.

        Raises:
            QuotaExhausted: the day's quota is spent; raised without waiting.
            RateLimited: the slot comes later than that; nothing is charged.
            APIError: the server's last refusal is for longer.
        """
        latest = self._now() + patience
        self._refuse_when_closed(latest, own_deadline=own_deadline)
        if is_short and self._waiting and (wait := self._least_wait()) > patience:
            raise self._too_late(wait, self._pace_rule())
        self._waiting += 1
        try:
            if not is_short:
                return await self._take_turn(latest, own_deadline=own_deadline)
            async with asyncio.timeout(patience) as limit:
                return await self._take_turn(latest, own_deadline=own_deadline)
        except TimeoutError:
            if not (is_short and limit.expired()):
                raise
            raise self._too_late(self._least_wait(), self._pace_rule()) from None
        finally:
            self._waiting -= 1

    async def _take_turn(self, latest: float, *, own_deadline: bool) -> Grant:
        is_first = self._waiting == 1
        async with self._turn:
            self._latest, self._slot_at = latest, 0.0
            if not is_first:
                self._refuse_when_closed(latest, own_deadline=own_deadline)
            if self._window is None:
                return await self._reserve()
            reservation = self._window.reserve()
            try:
                await self._wait_for_predecessor(reservation)
                grant = await self._reserve()
            except BaseException:
                reservation.cancel()
                raise
            grant.reservation = reservation
            return grant

    def _least_wait(self) -> float:
        """Return the least seconds until a new caller gets a slot after the callers that wait."""
        head = max(0.0, self._slot_at - self._now())
        if self._window is None:
            burst = 1 if head > 0 else self._burst  # if a caller waits, its burst is used up
            return head + max(0, self._waiting + 1 - burst) * self._gap()
        period = self.limits.period
        return self._window.least_wait(self._waiting, period, now=self._now(), head=head)

    def _too_late(self, seconds: float, rule: str) -> RateLimited:
        error = RateLimited(
            f"the next rate-limit slot is in {seconds:.3g} s, later than the call may wait ({rule})",
            status=429,
            endpoint=self.budget.group,
        )
        error.set_retry(seconds, now=self._server_time.now())
        return error

    async def _reserve(self) -> Grant:
        too_early, delay = 0, 0.0
        while True:
            await self._avoid_midnight()
            asked = self._now()
            now = asked + delay  # the reply of a slow ledger may arrive after the slot
            grant = await self._charge(now)
            answered = self._now()
            if grant is None:
                raise self._exhausted(next_midnight(self._server_time.now()))
            if isinstance(grant, TooEarly):
                early = AHEAD * (1 - 0.5**too_early)  # the request that has waited longer retries first
                await self._sleep(grant.slot - early - now, self._slot_rule())
                too_early += 1
                continue
            if (seconds := grant.slot - answered) > 0:
                try:
                    await self._sleep(seconds, self._slot_rule())
                except BaseException:
                    await self.abandon(grant)
                    raise
            if self._is_of_its_day(grant) and not self._has_passed(grant):
                return grant
            delay = min(max(answered - asked, 0.0), AHEAD)
            await asyncio.shield(self._ledger.release(self.budget, grant))

    async def _charge(self, now: float) -> Grant | TooEarly | None:
        charging = self._ledger.reserve(
            self.budget,
            now=now,
            server_now=self._server_time.now(),
            gap=self._gap(),
            per_day=usable(self.limits.per_day),
            burst=self._burst,
        )
        # A MemoryLedger never waits, so it cannot be cancelled half-way.
        if type(self._ledger) is not MemoryLedger:
            charging = self._finish_charge(charging)
        return await charging

    async def _wait_for_predecessor(self, reservation: Reservation) -> None:
        """Wait until the request N places before has left the server's window, however late it was."""
        poll = min(self._gap(), _POLL)
        while reservation.predecessor is not None:
            now = self._now()
            seconds = reservation.free_at(now, self.limits.period, self.jitter, poll) - now
            if seconds <= 0 or seconds >= _LONGEST_WAIT:
                reservation.predecessor = None
                return
            if seconds >= _WORTH_REPORTING:
                await self._refuse_when_spent()
            await self._sleep(seconds, self._pace_rule())

    async def mark_sent(self, grant: Grant) -> Grant:
        """Record that a request is sent now, and return its slot: a new one if its slot has passed.

        Raises:
            QuotaExhausted: as `acquire`; the first slot is released.
        """
        self._renew_bucket_after_suspension()
        try:
            await self.bucket.acquire()
        except BaseException:
            await self.abandon(grant)
            raise
        if self._has_passed(grant) or not self._is_of_its_day(grant):
            await asyncio.shield(self.release(grant))
            grant = await self.acquire()
        if grant.reservation is not None:
            grant.reservation.mark_sent(self._now())
        return grant

    def _renew_bucket_after_suspension(self) -> None:
        """Replace the bucket if the machine was suspended: the bucket runs on the time of the event loop."""
        ahead = self._now() - asyncio.get_running_loop().time()
        if self._suspended is not None and ahead - self._suspended > _LONGEST_SLEEP:
            self.bucket = AsyncLimiter(self.limits.requests, self.limits.period)
        self._suspended = ahead

    def answered(self, grant: Grant, seconds: float) -> None:
        """Record the time from sending a request to the first byte of its response."""
        self.jitter.observe(seconds)
        if grant.reservation is not None:
            grant.reservation.arrival_delay = self.jitter.arrival_delay(seconds)

    async def _finish_charge(
        self, charging: Coroutine[Any, Any, Grant | TooEarly | None]
    ) -> Grant | TooEarly | None:
        """Wait for a charge, and release it if the caller was cancelled meanwhile."""
        reserving = asyncio.ensure_future(charging)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:  # the thread of a ledger in a file continues and charges the request
            await self._in_background(self._undo(reserving))
            raise

    async def _undo(self, reserving: "asyncio.Future[Grant | TooEarly | None]") -> None:
        with suppress(AgoraAnalyticsError):
            if isinstance(grant := await reserving, Grant):
                await self._ledger.release(self.budget, grant)

    async def abandon(self, grant: Grant) -> None:
        """Release a grant because its caller fails or is cancelled. Does not wait for the lock of a ledger."""
        if type(self._ledger) is MemoryLedger:
            await self.release(grant)
        else:
            await self._in_background(self.release(grant))

    async def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        release = asyncio.ensure_future(work)
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)
        with anyio.move_on_after(_GRACE, shield=True):
            await asyncio.shield(release)

    async def aclose(self) -> None:
        """Wait for the releases of cancelled callers."""
        await asyncio.gather(*self._releases, return_exceptions=True)

    async def release(self, grant: Grant) -> None:
        """Release the charge of a request that was never sent."""
        if grant.reservation is not None and grant.reservation.sent_at is None:
            grant.reservation.cancel()
        await self._ledger.release(self.budget, grant)

    async def backoff(self, seconds: float) -> float:
        """Hold all requests after a rate-limit error of the server, and return for how many seconds.

        Each further error in a row extends the hold.
        """
        self.jitter.widen()
        self._backoffs += 1
        extra = LARGEST_JITTER * 2 ** min(self._backoffs, 6)
        early = (self._burst - 1) * self._gap()  # a burst would begin this long before the hold ends
        held: float = min(seconds + extra, LONGEST_HOLD)
        await self._ledger.hold(self.budget, self._now() + held + early)
        return held

    def reset_backoff(self) -> None:
        """Record that the server accepts requests again."""
        self._backoffs = 0

    async def close_day(self, until: float) -> None:
        """Close the budget for every process that shares the ledger, because the server says that the day is spent."""
        await self._ledger.close_day(self.budget, utc_day(until - 1))
        self._closed_until = max(until, self._closed_until)
        self._announce_closed(until)

    def _refuse_when_closed(self, latest: float, *, own_deadline: bool) -> None:
        if self._closed_until and self._server_time.now() < self._closed_until:
            raise self._exhausted(self._closed_until)
        self.refusal.check(latest, own_deadline=own_deadline)

    async def _refuse_when_spent(self) -> None:
        """Raise `QuotaExhausted` before a long wait instead of after it."""
        now = self._server_time.now()
        spent, closed = await self._ledger.spent(self.budget, utc_day(now))
        if closed or spent >= usable(self.limits.per_day):
            raise self._exhausted(next_midnight(now))

    def _exhausted(self, until: float) -> QuotaExhausted:
        self._announce_closed(until)
        return QuotaExhausted(
            f"the quota of {usable(self.limits.per_day)} requests a day is spent",
            retry_at=until,
            retry_after=max(0.0, until - self._server_time.now()),
            endpoint=self.budget.group,
        )

    def _announce_closed(self, until: float) -> None:
        if until > self._announced_until:
            self._announced_until = until
            self._observer(QuotaClosed(endpoint=self.budget.group, retry_at=until))

    def _gap(self) -> float:
        """Return the seconds between two slots of the ledger."""
        if self._window is not None:  # the sliding window is the guard then
            return self.limits.period / self.limits.requests * _PACE_FACTOR
        after_burst = self.limits.requests + 1 - self._burst
        return (self.limits.period + self.jitter.seconds + CATCH_UP) / after_burst

    async def _avoid_midnight(self) -> None:
        """Wait until the server's midnight has passed, if it is near."""
        while (seconds := _uncertain_for(self._server_time.now())) > 0:
            if seconds > _MIDNIGHT_GUARD[1]:  # before midnight
                await self._refuse_when_spent()
            await self._sleep(seconds, "midnight UTC")

    def _is_of_its_day(self, grant: Grant) -> bool:
        now = self._server_time.now()
        return utc_day(now) == grant.day and _uncertain_for(now) <= 0

    def _has_passed(self, grant: Grant) -> bool:
        """Whether a slot of the ledger is too old; after a pause of the machine, all requests would be sent at once."""
        return self._window is None and self._now() - grant.slot > self.jitter.seconds

    def _slot_rule(self) -> str:
        if self._backoffs:
            return "the hold after a rate-limit error"
        return "the rate limit shared with other processes" if self._window is None else self._pace_rule()

    def _pace_rule(self) -> str:
        return f"the rate limit of {self.limits.requests} requests in {self.limits.period:g} s"

    async def _sleep(self, seconds: float, rule: str) -> None:
        self._slot_at = until = self._now() + seconds
        if self._slot_at > self._latest and seconds > 0:
            raise self._too_late(seconds, rule)
        if seconds >= _WORTH_REPORTING:
            self._observer(Waited(endpoint=self.budget.group, rule=rule, seconds=seconds))
        while seconds > 0:
            await asyncio.sleep(min(seconds, _LONGEST_SLEEP))
            seconds = until - self._now()


def _uncertain_for(server_now: float) -> float:
    before, after = _MIDNIGHT_GUARD
    into = (server_now + before) % DAY
    return before + after - into if into < before + after else 0.0
