"""What the simulator counts: the budgets that it enforces, and everything it saw, for tests to prove things with."""

from collections import Counter, defaultdict, deque
from datetime import UTC, datetime

from attrs import field, frozen

from agora_analytics.core.limits import Limits

QPS, QPM, QPD = "qps limit error", "qpm limit error", "qpd limit error"


@frozen
class RateCounter:
    """Fixed windows of the UTC clock and UTC days, for each app and group of endpoints. Only the last of each is kept."""

    _windows: dict[tuple[str, str], tuple[int, int]] = field(factory=dict, init=False)
    _days: dict[tuple[str, str], tuple[int, int]] = field(factory=dict, init=False)

    def refusal(self, app_id: str, group: str, limits: Limits, now: float) -> str | None:
        """Count one request that arrives at `now` and return why it is refused, or None.

        A request over the second's (or minute's) limit does not count in the day.
        """
        key = (app_id, group)
        window, in_window = int(now // limits.period), 1
        if key in self._windows and self._windows[key][0] == window:
            in_window += self._windows[key][1]
        self._windows[key] = (window, in_window)
        if in_window > limits.requests:
            return QPM if limits.period >= 60 else QPS
        day, in_day = int(now // 86_400), 1
        if key in self._days and self._days[key][0] == day:
            in_day += self._days[key][1]
        if in_day > limits.per_day:
            return QPD
        self._days[key] = (day, in_day)
        return None


@frozen
class Seen:
    """Everything that arrived, by the server's clock. Endpoints are named as in the plans: `call/lists`.

    Attributes:
        requests: what arrived at each endpoint, refused and broken ones included.
        accepted: what passed the limits and so counts in the day.
        refused: by (endpoint, message), every answer that was not a success: limits, parameters, authentication.
        faults: by kind, the faults that were played.
        by_day: by (endpoint, UTC day as 2026-11-20), what arrived.
        arrivals: the time of each arrival in epoch seconds, in order.
        points: how many points were sent in whole answers.
    """

    requests: Counter[str] = field(factory=Counter, init=False)
    accepted: Counter[str] = field(factory=Counter, init=False)
    refused: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    faults: Counter[str] = field(factory=Counter, init=False)
    by_day: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    arrivals: defaultdict[str, list[float]] = field(factory=lambda: defaultdict(list), init=False, repr=False)
    points: Counter[str] = field(factory=Counter, init=False)

    def arrived(self, endpoint: str, now: float) -> None:
        """Note one arrival."""
        self.requests[endpoint] += 1
        self.by_day[endpoint, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")] += 1
        self.arrivals[endpoint].append(now)

    def worst_window(self, endpoint: str, period: float = 1.0) -> int:
        """Return the most requests that arrived in one fixed window of the UTC clock; all apps together."""
        return max(Counter(int(ts // period) for ts in self.arrivals[endpoint]).values(), default=0)

    def worst_sliding(self, endpoint: str, period: float = 1.0) -> int:
        """Return the most requests that arrived in any span of time shorter than `period` seconds."""
        worst, inside = 0, deque[float]()
        for ts in sorted(self.arrivals[endpoint]):
            inside.append(ts)
            while ts - inside[0] >= period:
                inside.popleft()
            worst = max(worst, len(inside))
        return worst
