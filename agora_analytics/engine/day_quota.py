"""The day's quota of one budget: requests are refused when it is spent, and none is sent around midnight UTC."""

from contextlib import suppress

from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.events import Observer, QuotaClosed
from agora_analytics.engine.ledger import Budget, Ledger
from agora_analytics.engine.quota_reserve import usable
from agora_analytics.errors import LedgerUnavailable, QuotaExhausted
from agora_analytics.instants import DAY, next_midnight, utc_day

# Seconds before and after midnight without requests, because their day would be uncertain.
_MIDNIGHT_GUARD = (1.0, 0.5)


class DayQuota:
    """The quota of one budget, which the ledger counts in UTC days of the server's clock."""

    def __init__(
        self, budget: Budget, per_day: int, *, ledger: Ledger, server_time: ServerTime, observer: Observer
    ) -> None:
        self._budget = budget
        self._per_day = per_day
        self._ledger = ledger
        self._server_time = server_time
        self._observer = observer
        self._closed_until = 0.0  # set by the server; unlike the ledger's count, not lowered by releases
        self._announced_until = 0.0

    @property
    def per_day(self) -> int:
        """The requests that the current block of code may send in a day; see `quota_reserve`."""
        return usable(self._per_day)

    async def close(self, until: float) -> None:
        """Close the budget for every process that shares the ledger, because the server says that the day is spent."""
        self._closed_until = max(until, self._closed_until)
        self._announce(until)
        with suppress(LedgerUnavailable):  # the server refuses the requests of other processes as well
            await self._ledger.close_day(self._budget, utc_day(until - 1))

    def check_open(self) -> None:
        """Raise `QuotaExhausted` if the server has closed the day."""
        if self._closed_until and self._server_time.now() < self._closed_until:
            raise self.exhausted(self._closed_until)

    async def check_left(self) -> None:
        """Raise `QuotaExhausted` before a long wait instead of after it."""
        now = self._server_time.now()
        spent, closed = await self._ledger.spent(self._budget, utc_day(now))
        if closed or spent >= self.per_day:
            raise self.exhausted()

    def exhausted(self, until: float | None = None) -> QuotaExhausted:
        """Return the error of a spent quota, and notify the observer once a day."""
        until = next_midnight(self._server_time.now()) if until is None else until
        self._announce(until)
        return QuotaExhausted(
            f"the quota of {self.per_day} requests a day is spent",
            retry_at=until,
            retry_after=max(0.0, until - self._server_time.now()),
            endpoint=self._budget.group,
        )

    def near_midnight(self) -> tuple[float, bool]:
        """Return for how many seconds the day is uncertain, and whether midnight is still to come."""
        return _near_midnight(self._server_time.now())

    def is_today(self, day: str) -> bool:
        """Return whether it is certainly this day."""
        now = self._server_time.now()
        return utc_day(now) == day and _near_midnight(now)[0] <= 0

    def _announce(self, until: float) -> None:
        if until > self._announced_until:
            self._announced_until = until
            self._observer(QuotaClosed(endpoint=self._budget.group, retry_at=until))


def _near_midnight(now: float) -> tuple[float, bool]:
    before, after = _MIDNIGHT_GUARD
    into = (now + before) % DAY
    return (before + after - into, into < before) if into < before + after else (0.0, False)
