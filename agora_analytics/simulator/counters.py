"""What a simulator counts: rate windows and day quotas, which it enforces, and everything that it saw, for tests."""

from collections import Counter, defaultdict, deque
from datetime import UTC, datetime

from attrs import field, frozen

from agora_analytics.core.limits import Limits

_DAY = 86_400


@frozen
class RateWindows:
    """Counts the requests of each key in rate windows and in UTC days.

    Attributes:
        sliding: windows slide; otherwise they are the fixed windows of the UTC clock. If that is set back, a window that
            it shows again keeps its requests.
        worst: the most requests in one window, by key.
    """

    sliding: bool = False
    worst: Counter[str] = field(factory=Counter, init=False)
    _recent: defaultdict[str, deque[float]] = field(
        factory=lambda: defaultdict(deque), init=False, repr=False
    )
    _fixed: Counter[tuple[str, int]] = field(factory=Counter, init=False, repr=False)
    _accepted: Counter[tuple[str, int]] = field(factory=Counter, init=False, repr=False)

    def is_exceeded(self, key: str, limits: Limits, now: float) -> bool:
        """Count one request in its window, and return whether the window has too many. Refused requests count too."""
        count = self._count_in_window(key, limits.period, now)
        self.worst[key] = max(self.worst[key], count)
        return count > limits.requests

    def _count_in_window(self, key: str, period: float, now: float) -> int:
        if not self.sliding:
            window = key, int(now // period)
            self._fixed[window] += 1
            return self._fixed[window]
        recent = self._recent[key]
        recent.append(now)
        while now - recent[0] >= period:
            recent.popleft()
        return len(recent)

    def refusal(self, key: str, limits: Limits, now: float) -> str | None:
        """Count one request in its window and its day. Return the reason why it is refused, or None.

        A request that exceeds the rate of its window does not count in the day.
        """
        if self.is_exceeded(key, limits, now):
            return "qpm limit error" if limits.period >= 60 else "qps limit error"
        day = (key, int(now // _DAY))
        if self._accepted[day] >= limits.per_day:
            return "qpd limit error"
        self._accepted[day] += 1
        return None


@frozen
class Seen:
    """Everything that a simulator received, by the server's clock. Endpoints have the names of the plans: `call/lists`.

    Attributes:
        requests: the requests to each endpoint, including refused and failed ones.
        accepted: the requests within the limits, which count in the day.
        refused: by (endpoint, message), every response that is not a success: limits, parameters, authentication.
        faults: the injected faults, by kind.
        dirt: the dirty records and responses, by kind.
        unreadable: (endpoint, key) of each record that was sent in a form that no client can read.
        by_day: the requests, by (endpoint, UTC day such as 2026-11-20).
        arrivals: the time of each request in epoch seconds, in order.
        points: the data points in complete responses.
    """

    requests: Counter[str] = field(factory=Counter, init=False)
    accepted: Counter[str] = field(factory=Counter, init=False)
    refused: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    faults: Counter[str] = field(factory=Counter, init=False)
    dirt: Counter[str] = field(factory=Counter, init=False)
    unreadable: set[tuple[str, str]] = field(factory=set, init=False)
    by_day: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    arrivals: defaultdict[str, list[float]] = field(factory=lambda: defaultdict(list), init=False, repr=False)
    points: Counter[str] = field(factory=Counter, init=False)

    def arrived(self, endpoint: str, now: float) -> None:
        """Record one request."""
        self.requests[endpoint] += 1
        self.by_day[endpoint, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")] += 1
        self.arrivals[endpoint].append(now)

    def worst_window(self, endpoint: str, period: float = 1.0) -> int:
        """Return the most requests in one fixed window of the UTC clock, over all apps."""
        return max(Counter(int(ts // period) for ts in self.arrivals[endpoint]).values(), default=0)

    def worst_sliding(self, endpoint: str, period: float = 1.0) -> int:
        """Return the most requests in any time span shorter than `period` seconds, over all apps."""
        worst, inside = 0, deque[float]()
        for ts in sorted(self.arrivals[endpoint]):
            inside.append(ts)
            while ts - inside[0] >= period:
                inside.popleft()
            worst = max(worst, len(inside))
        return worst
