"""Learns where the server's fixed windows are from the `Date` headers of its responses.

A response that is dated D was written in the second after D of the server's clock. Its request arrived before that second
ended, and the response came after the second had begun. So each response bounds the difference between the server's clock
and the monotonic clock, and the intersection of all bounds narrows to about the shortest round trip.
"""

import math
from collections.abc import Callable

from agora_analytics.engine.pace import WindowPhase

_DRIFT = 50e-6
"""Seconds a second by which the two clocks may run apart."""
_GUARD = 0.002
"""Seconds added on both sides, for the resolution of clocks and the time from reading a clock to sending."""


class PhaseLock:
    """An interval for the difference between the server's clock and ours, in seconds, as of the last responses.

    Args:
        now: the monotonic time in seconds.

    Example:
        >>> lock = PhaseLock(lambda: 11.0)
        >>> lock.learn("https://api.agora.io", 1_795_089_600, sent=10.0, received=10.1)
        >>> lock.phase is None
        True
        >>> lock.learn("https://api.agora.io", 1_795_089_601, sent=10.2, received=10.3)
        >>> round(lock.phase.high - lock.phase.low, 1)
        0.3
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._host = ""
        self._low, self._low_at = -math.inf, 0.0
        self._high, self._high_at = math.inf, 0.0

    @property
    def phase(self) -> WindowPhase | None:
        """Where the windows are; None as long as the uncertainty is a second or more."""
        now = self._now()
        low = self._low - (now - self._low_at) * _DRIFT - _GUARD
        high = self._high + (now - self._high_at) * _DRIFT + _GUARD
        return WindowPhase(low, high) if high - low < 1 else None

    def follow(self, host: str) -> None:
        """Start over if requests go to another host (a base URL), which has a clock and a latency of its own."""
        if host != self._host:
            self._host = host
            self._low, self._high = -math.inf, math.inf

    def learn(self, host: str, date: float, *, sent: float, received: float) -> None:
        """Narrow the interval with a response, or start over if the bounds contradict each other: a clock was set.

        Args:
            host: the base URL that answered; see `follow`.
            date: the `Date` header in UTC epoch seconds.
            sent: when the request was sent at the earliest (monotonic).
            received: when the response arrived.
        """
        self.follow(host)
        low, high = date - received, date + 1 - sent
        if low > self._high_now(received) or high < self._low_now(received):
            self._low, self._high = -math.inf, math.inf
        if low >= self._low_now(received):
            self._low, self._low_at = low, received
        if high <= self._high_now(received):
            self._high, self._high_at = high, received

    def _low_now(self, now: float) -> float:
        return self._low - (now - self._low_at) * _DRIFT

    def _high_now(self, now: float) -> float:
        return self._high + (now - self._high_at) * _DRIFT
