"""Records when requests were sent and bounds when each reached the server, to run at the documented rate without exceeding it.

A response proves that its request had reached the server by the time of the response, minus the shortest round trip ever
measured. So the request N places later may be sent one period after that time. Only that request waits if a response was
late, whether the network, the server or this machine was slow. For a request without a response yet the recent jitter
is assumed, and never more than `LARGEST_JITTER`.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from attrs import define

LARGEST_JITTER = 0.100
SMALLEST_JITTER = 0.010
_SAMPLES = 128  # responses that the jitter is measured over
_PERIODS = 4  # the shortest round trip is taken over so many times as many responses
# Of the spread: the fastest way there and the fastest way back may never have met in one request.
_GUARD = 1 / 8
_WIDEST = 4  # refusals that widen the jitter at a time
_REFUSAL_COUNTS_FOR = 300.0  # seconds
_FEW = 12  # with about so many responses the shortest round trip may not have been seen yet


class Jitter:
    """How much the latency of requests varies, from the times to the first byte of the last responses.

    The difference between the slowest and the fastest response is an upper bound. The largest value is assumed until
    enough responses were measured. Each refusal of a request by the server adds to it for five minutes.

    Args:
        now: the monotonic time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._lowest: deque[float] = deque(maxlen=_PERIODS)
        self._shortest = float("inf")
        self._low, self._high = float("inf"), -float("inf")
        self._count = 0
        self._refused_at: deque[float] = deque(maxlen=_WIDEST)

    @property
    def seconds(self) -> float:
        """The jitter to assume for a request about which nothing more is known."""
        spread = self._high - self._low + SMALLEST_JITTER / 2 if self._has_enough_samples else LARGEST_JITTER
        return self._bounded(max(spread, SMALLEST_JITTER))

    def arrival_delay(self, seconds: float) -> float:
        """Return how much later than the fastest a request may have arrived whose response took `seconds`."""
        if not self._has_enough_samples:
            return self._bounded(LARGEST_JITTER)
        spread = min(self._high - self._low, 2 * LARGEST_JITTER)  # there and back
        guard = max(spread * max(_GUARD, _FEW / self._count), SMALLEST_JITTER / 2)
        return self._bounded(seconds - min(self._low, self._shortest, seconds) + guard)

    def observe(self, seconds: float) -> None:
        """Record the time from sending a request to the first byte of its response."""
        oldest = self._samples[0] if len(self._samples) == _SAMPLES else None
        self._samples.append(seconds)
        if oldest is not None and oldest in (self._low, self._high):
            self._low, self._high = min(self._samples), max(self._samples)
        else:
            self._low, self._high = min(self._low, seconds), max(self._high, seconds)
        self._count += 1
        if self._count % _SAMPLES == 0:
            self._lowest.append(self._low)
            self._shortest = min(self._lowest)

    def widen(self) -> None:
        """Assume more jitter, because the server refused a request over the rate."""
        self._refused_at.append(self._now())

    @property
    def _has_enough_samples(self) -> bool:
        return len(self._samples) >= _SAMPLES // 8

    def _bounded(self, seconds: float) -> float:
        while self._refused_at and self._now() - self._refused_at[0] > _REFUSAL_COUNTS_FOR:
            self._refused_at.popleft()
        return min(max(seconds, 0.0), LARGEST_JITTER) + len(self._refused_at) * LARGEST_JITTER / 2


@define(eq=False)
class Reservation:
    """The place of a request in the window.

    Attributes:
        predecessor: the request N places before, which must have left the server's window first; None: there is none.
        sent_at: when this request was sent (monotonic seconds); None: not yet.
        arrival_delay: how late it may have reached the server (seconds); None: there is no response yet.
        cancelled: the request is never sent, so the next one waits for this one's predecessor.
    """

    predecessor: "Reservation | None"
    sent_at: float | None = None
    arrival_delay: float | None = None
    cancelled: bool = False

    def free_at(self, now: float, period: float, jitter: Jitter, retry: float) -> float:
        """Return when this request may be sent; `jitter` is assumed for a predecessor without a response."""
        self._skip_cancelled()
        if self.predecessor is None:
            return now
        if self.predecessor.sent_at is None:  # it waits, or it is being signed
            return now + retry
        late = jitter.seconds if self.predecessor.arrival_delay is None else self.predecessor.arrival_delay
        return self.predecessor.sent_at + period + late

    def mark_sent(self, now: float) -> None:
        """Record that the request is sent now."""
        self.sent_at, self.predecessor = now, None

    def cancel(self) -> None:
        """Give up the place; it does not count against the rate."""
        self._skip_cancelled()
        self.cancelled = True

    def _skip_cancelled(self) -> None:
        while self.predecessor is not None and self.predecessor.cancelled:
            self.predecessor = self.predecessor.predecessor


class SlidingWindow:
    """The last requests of one budget, as many as the server accepts in a period. Thread-safe."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self._history = _History(requests)

    def sharing(self, requests: int) -> "SlidingWindow":
        """Return a window over the same requests, for a client of the budget that has another rate."""
        other = SlidingWindow(requests)
        other._history = self._history
        self._history.keep(requests)
        return other

    def reserve(self) -> Reservation:
        """Return the next place."""
        return self._history.append(self.requests)

    def least_wait(self, place: int, period: float, *, now: float, head: float) -> float:
        """Return the least seconds until a request may be sent that is `place` places after the last reservation.

        `head` are the seconds until the next request is sent.
        """
        last = self._history.last(self.requests)
        rounds, column = divmod(place - 1, self.requests)
        index = column - (self.requests - len(last))
        free = head
        if index >= 0:
            sent_at = last[index].sent_at
            free = max(head, (now + head if sent_at is None else sent_at) + period - now)
        return free + rounds * period

    def forked(self) -> None:
        """Give up the places of requests that the parent process had not sent yet; it sends them itself."""
        self._history.forked()


class _History:
    """The last requests of a budget; one for all clients that share it."""

    def __init__(self, requests: int) -> None:
        self._last: deque[Reservation] = deque(maxlen=requests)
        self._lock = Lock()  # the event loops of blocking clients run in threads of their own

    def keep(self, requests: int) -> None:
        with self._lock:
            self._last = deque(self._last, maxlen=max(requests, self._last.maxlen or 0))

    def append(self, requests: int) -> Reservation:
        with self._lock:
            reservation = Reservation(self._last[-requests] if len(self._last) >= requests else None)
            self._last.append(reservation)
            return reservation

    def last(self, requests: int) -> list[Reservation]:
        with self._lock:
            return list(self._last)[-requests:]

    def forked(self) -> None:
        self._lock = Lock()
        for place in self._last:
            unsent: Reservation | None = place
            while unsent is not None and unsent.sent_at is None:
                unsent.cancelled = True
                unsent = unsent.predecessor
