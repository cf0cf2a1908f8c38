"""What a server counts: the requests in its windows, by its own clock, and how full they are."""

from collections import Counter, deque

from attrs import define, field, frozen


@frozen(kw_only=True)
class ServerClock:
    """The server's wall clock, as a function of the true seconds since the start of a run.

    Attributes:
        start: the true time at the start, in epoch seconds.
        ahead: seconds by which it is ahead of the true time.
        drift: parts per million by which it is fast.
        steps: (true second, seconds by which it is then set forward; back, if negative).
    """

    start: float
    ahead: float = 0.0
    drift: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def at(self, true: float) -> float:
        """Return what the clock shows, in epoch seconds."""
        stepped = sum(by for at, by in self.steps if at <= true)
        return self.start + self.ahead + true * (1 + self.drift * 1e-6) + stepped


@frozen
class Arrival:
    """A request as it is counted: the true seconds since the start, the server's clock, and whether it is refused."""

    true: float
    server: float
    refused: bool


@define(kw_only=True)
class Counts:
    """The requests that a server has received.

    Attributes:
        time: the server's clock.
        requests: how many requests it accepts in each `period`.
        arrivals: every request, in the order of the true time.
    """

    time: ServerClock
    requests: int
    period: float = 1.0
    arrivals: list[Arrival] = field(factory=list)

    @property
    def refused(self) -> int:
        """Return how many requests were refused."""
        return sum(arrival.refused for arrival in self.arrivals)

    def most_in_fixed(self, *, excused: float = 0.0) -> int:
        """Return the most requests in one fixed window of the server's clock.

        Args:
            excused: leave out windows that the clock showed within so many seconds after it was set: no client knows of
                that before it has a response. 0: leave out none.
        """
        shown = (self.time.at(at + excused * i / 100) for at, _ in self.time.steps for i in range(101))
        left_out = {int(ts // self.period) for ts in shown if excused}
        counts = Counter(int(each.server // self.period) for each in self.arrivals)
        return max((n for window, n in counts.items() if window not in left_out), default=0)

    def most_in_any(self) -> int:
        """Return the most requests in any time span shorter than the period, in true seconds."""
        most, inside = 0, deque[float]()
        for each in self.arrivals:
            inside.append(each.true)
            while each.true - inside[0] >= self.period:
                inside.popleft()
            most = max(most, len(inside))
        return most

    def utilisation(self, since: float = 3.0) -> float:
        """Return the used share of the limit, in the whole windows of the server's clock after `since` true seconds."""
        arrivals = [each for each in self.arrivals if each.true >= since]
        if not arrivals:
            return 0.0
        first, last = self._next_window(since), self._next_window(arrivals[-1].true - self.period)
        used = sum(first <= each.true < last for each in arrivals)
        return used / (self.requests * (last - first) / self.period)

    def _next_window(self, true: float) -> float:
        """Return the true time of the first beginning of a window after a true time at which the clock is not set."""
        shown = self.time.at(true)
        return true + (-shown % self.period) / (1 + self.time.drift * 1e-6)
