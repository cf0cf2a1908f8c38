"""Learns where the server's fixed windows are from the `Date` headers of its responses.

A response that is dated D was written in the second after D of the server's clock. Its request arrived before that second
ended, and the response came after the second had begun. So each response bounds the difference between the server's clock
and the monotonic clock, and the intersection of all bounds narrows to about the shortest round trip.
"""

from collections.abc import Callable

from agora_analytics.engine.clock_offset import ClockOffset
from agora_analytics.engine.pace import WindowPhase

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
        self._offset = ClockOffset()

    @property
    def phase(self) -> WindowPhase | None:
        """Where the windows are; None as long as the uncertainty is a second or more."""
        low, high = self._offset.bounds(self._now())
        low, high = low - _GUARD, high + _GUARD
        return WindowPhase(low, high) if high - low < 1 else None

    def follow(self, host: str) -> None:
        """Start over if requests go to another host (a base URL), which has a clock and a latency of its own."""
        if host != self._host:
            self._host = host
            self._offset.reset()

    def learn(self, host: str, date: float, *, sent: float, received: float) -> None:
        """Narrow the interval with a response, or start over if the bounds contradict each other: a clock was set.

        Args:
            host: the base URL that answered; see `follow`.
            date: the `Date` header in UTC epoch seconds.
            sent: when the request was sent at the earliest (monotonic).
            received: when the response arrived.
        """
        self.follow(host)
        self._offset.narrow(date - received, date + 1 - sent, at=received)
