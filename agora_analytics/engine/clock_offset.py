"""Bounds the difference between a server's clock and the monotonic clock of this machine."""

import math

_DRIFT = 50e-6
"""Seconds a second by which two clocks may run apart."""


class ClockOffset:
    """An interval that contains `server time - monotonic time`, in seconds.

    Each exchange with the server gives a lower and an upper bound. The intersection of all narrows to about the shortest
    round trip. It widens with time, because clocks drift. Bounds that contradict it replace it: a clock was set.

    Example:
        >>> offset = ClockOffset()
        >>> offset.narrow(99.7, 100.2, at=10.0)
        >>> offset.narrow(99.9, 100.4, at=11.0)
        >>> low, high = offset.bounds(11.0)
        >>> round(low, 1), round(high, 1)
        (99.9, 100.2)
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: the server is another one."""
        self._low, self._low_at = -math.inf, 0.0
        self._high, self._high_at = math.inf, 0.0

    def bounds(self, at: float) -> tuple[float, float]:
        """Return the interval as of the monotonic time `at`; infinite without any exchange."""
        return self._low - (at - self._low_at) * _DRIFT, self._high + (at - self._high_at) * _DRIFT

    def narrow(self, low: float, high: float, *, at: float) -> None:
        """Intersect the interval with the bounds from an exchange that ended `at`."""
        known_low, known_high = self.bounds(at)
        if low > known_high or high < known_low:
            self.reset()
            known_low, known_high = self.bounds(at)
        if low >= known_low:
            self._low, self._low_at = low, at
        if high <= known_high:
            self._high, self._high_at = high, at
