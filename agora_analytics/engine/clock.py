"""The time: what the wall says here, and what the server's wall says."""

import time
from typing import Protocol

from agora_analytics.core.http_times import http_date


class Clock(Protocol):
    """Tells the time. Whatever waits, waits on the event loop's own time.

    A test passes a clock that follows a loop whose time jumps: see `agora_analytics.testing`.
    """

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        return time.time()


class ServerTime:
    """The server's clock, as far as its `Date` headers tell it.

    Days, windows and limits are counted on the server's clock. A `Date` header has whole seconds, so each
    answer gives bounds for the difference of the clocks; as long as zero is possible, zero it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._low, self._high = -float("inf"), float("inf")
        self.skew = 0.0
        """How far the server's clock is ahead of ours, in seconds."""

    def here(self) -> float:
        """Return the time on our clock in UTC epoch seconds."""
        return self._clock.now()

    def now(self) -> float:
        """Return the time on the server's clock in UTC epoch seconds."""
        return self._clock.now() + self.skew

    def observe(self, date: str | None, *, sent: float, received: float) -> None:
        """Learn from the `Date` header of an answer; `sent` and `received` are on our clock."""
        said = http_date(date or "")
        if said is None:
            return
        low, high = said - received, said + 1 - sent
        self._low, self._high = max(low, self._low), min(high, self._high)
        if self._low > self._high:  # one of the clocks was set: begin again
            self._low, self._high = low, high
        self.skew = 0.0 if self._low <= 0 <= self._high else (self._low + self._high) / 2
