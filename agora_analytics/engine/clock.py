"""The wall-clock time, of this machine and of the server."""

import time
from typing import Protocol

from agora_analytics.core.http_times import http_date


class Clock(Protocol):
    """Returns the wall-clock time. Waits use the time of the event loop instead.

    For tests there is a clock that follows an event loop with virtual time: see `agora_analytics.testing`.
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
    """An estimate of the server's clock from its `Date` headers.

    The server counts days, windows and limits on its own clock. A `Date` header has whole seconds, so each response
    bounds the difference of the clocks. The estimate is zero as long as zero is within the bounds.
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
        """Update the estimate with the `Date` header of a response; `sent` and `received` are on our clock."""
        server_date = http_date(date or "")
        if server_date is None:
            return
        low, high = server_date - received, server_date + 1 - sent
        self._low, self._high = max(low, self._low), min(high, self._high)
        if self._low > self._high:  # one of the clocks was set: start over
            self._low, self._high = low, high
        self.skew = 0.0 if self._low <= 0 <= self._high else (self._low + self._high) / 2
