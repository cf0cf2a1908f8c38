"""The rate limiter of one budget: it decides when the next request may be sent.

Two limits apply, a coarse one and an exact one:

- The token bucket, `AsyncLimiter(requests, period)`, has the numbers of the plan table. Because it starts full, it alone
  would admit almost twice as many requests in the first period as the server accepts.
- The guard decides the time of each request, so that no window of the server holds more than `requests`: see `pace`. The
  ledger keeps the places of the last requests. In memory, they have the times at which the bytes of a request left and its
  response came. Processes that share a file assume that a request is sent in its slot, and record it if not.

The bucket has room for nearly every request that the guard admits. It limits the rate if the guard has a defect.

Slots are times of the monotonic clock (see `clock.Clock`), so a wall clock that is set neither delays a request nor breaks
the limit. The server's time decides the day only.
"""

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

from aiolimiter import AsyncLimiter

from agora_analytics.core.limits import Limits
from agora_analytics.engine.arrival_records import ArrivalRecords
from agora_analytics.engine.background_tasks import BackgroundTasks
from agora_analytics.engine.clock import Clock, ServerTime, monotonic_of
from agora_analytics.engine.day_quota import DayQuota
from agora_analytics.engine.events import FixedWindowsRefused, Observer, Waited, WaitReason
from agora_analytics.engine.jitter import LARGEST_JITTER
from agora_analytics.engine.ledger import LATE, Budget, Grant, Ledger, TooEarly
from agora_analytics.engine.ledger_file import LOCK_TIMEOUT
from agora_analytics.engine.phase_lock import PhaseLock
from agora_analytics.engine.slot import Slot
from agora_analytics.engine.standing_refusal import StandingRefusal
from agora_analytics.engine.window_guard import WITHOUT_PHASE, WindowGuard
from agora_analytics.errors import AgoraAnalyticsError, LedgerUnavailable, RateLimited

# Seconds; a longer pause that the server requests is cut to this. All processes with the ledger stay within it.
LONGEST_HOLD = 3_600.0
# Seconds; the event loop's time may stop while the machine is suspended, and the slot pass.
_LONGEST_SLEEP = 1.0
_POLL = 0.05  # seconds between two checks of a request that is not sent or answered yet
_SHORTEST_POLL = 0.001
_WORTH_RECORDING = 0.15  # seconds by which a later request may leave earlier, if the ledger knows
_WORTH_REPORTING = 1.0  # seconds; shorter waits are normal for the rate limit
# Seconds until a ledger that is unavailable is tried again: the first pause, which doubles, and the longest.
_LEDGER_PAUSE, _LONGEST_LEDGER_PAUSE = 0.1, 2.0
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
        phase_lock: PhaseLock | None = None,
    ) -> None:
        self.budget = budget
        self.limits = limits
        self.bucket = AsyncLimiter(limits.requests, limits.period)
        self._ledger = ledger
        self.now = monotonic_of(clock)
        self.is_shared = ledger.ahead > 0
        self.guard = WindowGuard(
            limits, self.now, phase_lock or PhaseLock(self.now), late=LATE if self.is_shared else 0.0
        )
        self.quota = DayQuota(
            budget, limits.per_day, ledger=ledger, server_time=server_time, observer=observer
        )
        self.refusal = StandingRefusal(self.now)
        self._suspended: float | None = None  # how far our clock is ahead of the event loop's
        self._server_time = server_time
        self._observer = observer
        self._turn = asyncio.Lock()
        self._backoffs = 0
        self._held_until = self._recorded_hold = -math.inf
        self._outage: LedgerUnavailable | None = None
        self._background = BackgroundTasks()
        self._arrivals = ArrivalRecords(budget, ledger, self._background)
        self._waiting = 0  # callers of `acquire`, the one that holds the turn included
        self._slot_at = 0.0  # when the one that holds the turn may send
        self._latest = math.inf  # the latest slot that it accepts

    def slot(self, *, patience: float = math.inf, is_short: bool = False, own_deadline: bool = False) -> Slot:
        """Return a context that waits for the next slot and releases it unless a request is handed over; see `acquire`."""
        return Slot(self, patience=patience, is_short=is_short, own_deadline=own_deadline)

    async def acquire(
        self, *, patience: float = math.inf, is_short: bool = False, own_deadline: bool = False
    ) -> Grant:
        """Wait for the next slot and return it; the caller must then call `hand_over` or `release`.

        Args:
            patience: the most seconds until the slot that the caller accepts.
            is_short: never wait longer, and also estimate the time that the callers before this one take.
            own_deadline: the caller chose the deadline for this call.

        Raises:
            QuotaExhausted: the day's quota is spent; raised without waiting.
            RateLimited: the slot comes later than that; nothing is charged.
            APIError: the server's last refusal is for longer.
            LedgerUnavailable: the ledger cannot be reached for so long.
        """
        latest = self.now() + patience
        self._refuse_when_closed(latest, own_deadline=own_deadline)
        if is_short and self._waiting and (wait := self._least_wait()) > patience:
            raise self._too_late(wait, self._rule())
        self._waiting += 1
        try:
            if not is_short:
                return await self._take_turn(latest, own_deadline=own_deadline)
            async with asyncio.timeout(patience) as limit:
                return await self._take_turn(latest, own_deadline=own_deadline)
        except TimeoutError:
            if not (is_short and limit.expired()):
                raise
            raise self._outage or self._too_late(self._least_wait(), self._rule()) from None
        finally:
            self._waiting -= 1

    async def _take_turn(self, latest: float, *, own_deadline: bool) -> Grant:
        is_first = self._waiting == 1
        async with self._turn:
            self._latest, self._slot_at = latest, 0.0
            if not is_first:
                self._refuse_when_closed(latest, own_deadline=own_deadline)
            for attempt in count():
                try:
                    grant = await self._reserve()
                except LedgerUnavailable as outage:
                    self._outage = outage
                    await self._wait_for_ledger(outage, attempt)
                else:
                    self._outage = None
                    return grant
            raise AssertionError

    async def _wait_for_ledger(self, outage: LedgerUnavailable, attempt: int) -> None:
        """Wait until an unavailable ledger is tried again; raise the error if the caller cannot wait so long."""
        seconds = min(_LEDGER_PAUSE * 2 ** min(attempt, 8), _LONGEST_LEDGER_PAUSE)
        if self.now() + seconds > self._latest:
            raise outage
        if seconds < _WORTH_REPORTING:  # otherwise `_sleep` reports it
            self._report_wait(seconds, str(outage), WaitReason.LEDGER)
        await self._sleep(seconds, str(outage), WaitReason.LEDGER)

    async def _reserve(self) -> Grant:
        too_early, delay = 0, 0.0
        while True:
            await self._avoid_midnight()
            await self._wait_while_stalled()
            asked = self.now()
            now = asked + delay  # the reply of a slow ledger may arrive after the slot
            grant = await self._charge(now)
            answered = self.now()
            if grant is None:
                raise self.quota.exhausted()
            if isinstance(grant, TooEarly):
                await self._sleep_until(grant.slot, now, too_early)
                too_early += 1
                continue
            try:
                if (seconds := grant.slot - answered) > 0:
                    await self._sleep(seconds)
                if self.quota.is_today(grant.day) and await self._is_in_time(grant):
                    return grant
            except BaseException:
                await self.abandon(grant)
                raise
            delay = min(max(answered - asked, 0.0), LOCK_TIMEOUT)
            await self.give_back(grant)

    async def _sleep_until(self, slot: float, now: float, too_early: int) -> None:
        """Wait until the ledger grants a slot that is too far ahead."""
        if slot == math.inf:  # the request N places before is not sent yet
            await self._sleep(self._poll())
            return
        if slot - now >= _WORTH_REPORTING:
            await self.quota.check_left()
        # The process that has waited longer retries first.
        await self._sleep(slot - self._ledger.ahead * (1 - 0.5**too_early) - now)

    async def _charge(self, now: float) -> Grant | TooEarly | None:
        await self._record_hold()
        await self._arrivals.flush(now - 2 * self.limits.period)
        charging = self._ledger.reserve(
            self.budget,
            now=now,
            server_now=self._server_time.now(),
            pace=self.guard.pace(),
            per_day=self.quota.per_day,
            waiting=self._waiting,
        )
        # A ledger in memory never waits, so it cannot be cancelled half-way.
        if self.is_shared:
            charging = self._finish_charge(charging)
        return await charging

    async def hand_over(self, grant: Grant) -> bool:
        """Return whether a request may be handed to the transport now; if its slot has passed, it is released."""
        self._renew_bucket_after_suspension()
        try:
            await self.bucket.acquire()
            in_time = self.quota.is_today(grant.day) and await self._is_in_time(grant)
        except BaseException:
            await self.abandon(grant)
            raise
        if not in_time:
            await self.give_back(grant)
        return in_time

    async def _is_in_time(self, grant: Grant) -> bool:
        """Whether a request that is sent now keeps its place in a shared ledger.

        If it may reach a later window than was assumed, the request N places later must wait longer. That one has no slot
        yet, or this request must take a new place.
        """
        if not self.is_shared or (now := self.now()) - grant.slot <= LATE:
            return True
        pace = self.guard.pace()
        free, arrived = pace.free_at(grant.arrived), now + LATE + pace.jitter
        if pace.free_at(arrived) > free:
            if now >= free - self._ledger.ahead - LATE:
                return False
            grant.arrived = arrived
            return await self._arrivals.write(grant)
        return True

    def sent(self, grant: Grant) -> None:
        """Record that the bytes of a request leave now."""
        self.guard.sent(grant)
        self._record_if_needed(grant)

    def unsent(self, grant: Grant, seconds: float) -> None:
        """Record that a request which was handed over has not left, and may not leave for so many seconds."""
        grant.arrived = self.now() + seconds + LATE + self.guard.jitter.seconds
        self._record_if_needed(grant)

    def answered(self, grant: Grant, seconds: float) -> None:
        """Record the time from sending a request to the first byte of its response."""
        self.guard.answered(grant, seconds)
        self._record_if_needed(grant)

    def _record_if_needed(self, grant: Grant) -> None:
        """Update a shared ledger if the request N places later must wait longer, or may leave much earlier."""
        if self.is_shared:
            pace = self.guard.pace()
            longer = pace.free_at(grant.arrived) - pace.free_at(grant.recorded)
            if longer > 0 or longer < -_WORTH_RECORDING:
                self._arrivals.start(grant)

    def _renew_bucket_after_suspension(self) -> None:
        """Replace the bucket if the machine was suspended: the bucket runs on the time of the event loop."""
        ahead = self.now() - asyncio.get_running_loop().time()
        if self._suspended is not None and ahead - self._suspended > _LONGEST_SLEEP:
            self.bucket = AsyncLimiter(self.limits.requests, self.limits.period)
        self._suspended = ahead

    async def _finish_charge(
        self, charging: Coroutine[Any, Any, Grant | TooEarly | None]
    ) -> Grant | TooEarly | None:
        """Wait for a charge, and release it if the caller was cancelled meanwhile."""
        reserving = asyncio.ensure_future(charging)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:  # the thread of a ledger in a file continues and charges the request
            await self._background.start_and_wait(self._undo(reserving), seconds=_GRACE)
            raise

    async def _undo(self, reserving: "asyncio.Future[Grant | TooEarly | None]") -> None:
        with suppress(AgoraAnalyticsError):
            if isinstance(grant := await reserving, Grant):
                await self._ledger.release(self.budget, grant)

    async def abandon(self, grant: Grant) -> None:
        """Release a grant because its caller fails or is cancelled. Does not wait for the lock of a ledger."""
        if self.is_shared:
            await self._background.start_and_wait(self._release_if_possible(grant), seconds=_GRACE)
        else:
            await self.release(grant)

    async def give_back(self, grant: Grant) -> None:
        """Release a grant, also if the caller is cancelled meanwhile."""
        if self.is_shared:
            await asyncio.shield(self._background.start(self.release(grant)))
        else:
            await self.release(grant)

    async def _release_if_possible(self, grant: Grant) -> None:
        with suppress(AgoraAnalyticsError):  # the caller fails anyway, or is cancelled
            await self.release(grant)

    async def aclose(self) -> None:
        """Wait for what is still written to the ledger, such as the releases of cancelled callers."""
        await self._background.finish()

    async def release(self, grant: Grant) -> None:
        """Release the charge and the place of a request that was never sent."""
        self.guard.failed(grant)
        if self.is_shared:
            await self._arrivals.wait(grant)
        await self._ledger.release(self.budget, grant)

    async def backoff(self, seconds: float) -> float:
        """Hold all requests after a rate-limit error of the server, and return for how many seconds.

        Each further error in a row extends the hold.
        """
        left = self._held_until - self.now()
        if left <= 0:  # otherwise it was sent together with the request that was refused first
            self._backoffs += 1
            if self.guard.doubt_phase():
                self._observer(FixedWindowsRefused(endpoint=self.budget.group, seconds=WITHOUT_PHASE))
        extra = LARGEST_JITTER * 2 ** min(self._backoffs, 6)
        held: float = max(min(seconds + extra, LONGEST_HOLD), left)
        self._held_until = self.now() + held
        with suppress(LedgerUnavailable):  # then it is recorded before the next slot is reserved
            await self._record_hold()
        return held

    async def _record_hold(self) -> None:
        if self._held_until > self._recorded_hold:
            await self._ledger.hold(self.budget, self._held_until)
            self._recorded_hold = self._held_until

    def reset_backoff(self) -> None:
        """Record that the server accepts requests again."""
        self._backoffs = 0

    def _refuse_when_closed(self, latest: float, *, own_deadline: bool) -> None:
        self.quota.check_open()
        self.refusal.check(latest, own_deadline=own_deadline)

    async def _avoid_midnight(self) -> None:
        """Wait until the server's midnight has passed, if it is near."""
        while True:
            seconds, is_before = self.quota.near_midnight()
            if seconds <= 0:
                return
            if is_before:
                await self.quota.check_left()
            await self._sleep(seconds, "midnight UTC", WaitReason.MIDNIGHT)

    def _poll(self) -> float:
        return max(_SHORTEST_POLL, min(self.guard.pace().gap, _POLL))

    async def _wait_while_stalled(self) -> None:
        while self.guard.is_stalled(self._record_if_needed):
            await self._sleep(self._poll())

    def _least_wait(self) -> float:
        """Return the least seconds until a new caller gets a slot after the callers that wait."""
        pace, waiting = self.guard.pace(), self._waiting
        head = max(0.0, self._slot_at - self.now())
        windows = (waiting - (pace.phase is not None)) // pace.requests
        return head + max((waiting + 1 - pace.burst) * pace.gap, windows * pace.period, 0.0)

    def _too_late(self, seconds: float, rule: str) -> RateLimited:
        error = RateLimited(
            f"the next rate-limit slot is in {seconds:.3g} s, later than the call may wait ({rule})",
            status=429,
            endpoint=self.budget.group,
        )
        error.set_retry(seconds, now=self._server_time.now())
        return error

    def _rule(self) -> str:
        if self._backoffs:
            return "the hold after a rate-limit error"
        if self.is_shared:
            return "the rate limit shared with other processes"
        return f"the rate limit of {self.limits.requests} requests in {self.limits.period:g} s"

    def _report_wait(self, seconds: float, rule: str, reason: WaitReason) -> None:
        self._observer(Waited(endpoint=self.budget.group, rule=rule, seconds=seconds, reason=reason))

    async def _sleep(self, seconds: float, rule: str = "", reason: WaitReason | None = None) -> None:
        self._slot_at = until = self.now() + seconds
        rule = rule or self._rule()
        if self._slot_at > self._latest and seconds > 0:
            raise self._too_late(seconds, rule)
        if seconds >= _WORTH_REPORTING:
            reason = reason or (WaitReason.HOLD if self._backoffs else WaitReason.RATE_LIMIT)
            self._report_wait(seconds, rule, reason)
        while seconds > 0:
            await asyncio.sleep(min(seconds, _LONGEST_SLEEP))
            seconds = until - self.now()
