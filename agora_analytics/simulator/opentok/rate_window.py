"""How many requests came in any 30 seconds: of each key, and from each IP address."""

from collections import Counter, defaultdict, deque

from attrs import field, frozen


@frozen
class RateWindow:
    """Sliding windows. Every arrival counts, those that are refused too.

    Attributes:
        requests: how many may come in less than `period` seconds.
        period: the window in seconds.
        worst: the most that came in one window, by key or address.
    """

    requests: int
    period: float
    worst: Counter[str] = field(factory=Counter, init=False)
    _windows: defaultdict[str, deque[float]] = field(
        factory=lambda: defaultdict(deque), init=False, repr=False
    )

    def exceeded(self, who: str, now: float) -> bool:
        """Count one arrival, and return whether there were too many."""
        window = self._windows[who]
        window.append(now)
        while now - window[0] >= self.period:
            window.popleft()
        self.worst[who] = max(self.worst[who], len(window))
        return len(window) > self.requests
