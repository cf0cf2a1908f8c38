"""When requests left, and how late each may have reached the server: what the pace at the contract's edge is made of.

Of a request that was answered it is known when it reached the server at the latest: when its answer came, less the
shortest way there and back that was ever seen. So the request N places behind it may leave a period after that
moment, and only that one waits if the answer was late, whether the way, the server or this machine was slow. Of one
that has not been answered yet the recent jitter is taken, and never more than `LARGEST_JITTER` of any.
"""

from collections import deque
from threading import Lock

from attrs import define

LARGEST_JITTER = 0.100
SMALLEST_JITTER = 0.010
_SEEN = 128  # how many ways to the server the jitter is taken from
_SHORTEST_OF = 4  # how many times as many the shortest way is taken from
_GUARD = (
    1 / 8
)  # of the spread: the shortest way there and the shortest way back may never have met in one request
_FEW = 12  # among so many answers, or a few more, the shortest way may be far from the shortest there is


class Jitter:
    """How much the ways to the server differ, from the times to the first byte of the last answers.

    The difference between the slowest and the fastest answer bounds it from above. Until enough was seen, and
    after the server complained, the largest value is taken.
    """

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_SEEN)
        self._lowest: deque[float] = deque(maxlen=_SHORTEST_OF)
        self._shortest = float("inf")
        self._low, self._high = float("inf"), -float("inf")
        self._noted = 0
        self._complaints = 0

    @property
    def seconds(self) -> float:
        """The jitter to allow for where nothing more is known of a request."""
        spread = self._high - self._low + SMALLEST_JITTER / 2 if self._has_enough_samples else LARGEST_JITTER
        return self._bounded(max(spread, SMALLEST_JITTER))

    def arrival_delay(self, seconds: float) -> float:
        """Return how much later than the fastest a request may have arrived whose answer took `seconds`."""
        if not self._has_enough_samples:
            return self._bounded(LARGEST_JITTER)
        spread = min(self._high - self._low, 2 * LARGEST_JITTER)  # there and back
        guard = max(spread * max(_GUARD, _FEW / self._noted), SMALLEST_JITTER / 2)
        return self._bounded(seconds - min(self._low, self._shortest, seconds) + guard)

    def observe(self, seconds: float) -> None:
        """Note the time from the grant to the first byte of an answer."""
        leaves = self._seen[0] if len(self._seen) == _SEEN else None
        self._seen.append(seconds)
        if leaves is not None and leaves in (self._low, self._high):
            self._low, self._high = min(self._seen), max(self._seen)
        else:
            self._low, self._high = min(self._low, seconds), max(self._high, seconds)
        self._noted += 1
        if self._noted % _SEEN == 0:
            self._lowest.append(self._low)
            self._shortest = min(self._lowest)

    def widen(self) -> None:
        """Note that the server counted too many all the same."""
        self._complaints = min(self._complaints + 1, 4)

    @property
    def _has_enough_samples(self) -> bool:
        return len(self._seen) >= _SEEN // 8

    def _bounded(self, seconds: float) -> float:
        return min(max(seconds, 0.0), LARGEST_JITTER) + self._complaints * LARGEST_JITTER / 2


@define(eq=False)
class Reservation:
    """A request on its way out: when it left, and how late it may have been, as far as that is known.

    `behind` is the one N places before, which must be out of the server's window first; None: nothing is in its way.
    A place is `vacant` where nothing will ever leave from it: what was in its way is in the way of the next one too.
    """

    predecessor: "Reservation | None"
    sent_at: float | None = None
    arrival_delay: float | None = None
    cancelled: bool = False

    def free_at(self, now: float, period: float, jitter: Jitter, retry: float) -> float:
        """Return from when it may leave; `jitter` is for what has not been answered."""
        self._skip_cancelled()
        if self.predecessor is None:
            return now
        if self.predecessor.sent_at is None:  # it still waits, or is being made ready: its credentials, say
            return now + retry
        late = jitter.seconds if self.predecessor.arrival_delay is None else self.predecessor.arrival_delay
        return self.predecessor.sent_at + period + late

    def mark_sent(self, now: float) -> None:
        """Note that it leaves now."""
        self.sent_at, self.predecessor = now, None

    def cancel(self) -> None:
        """Note that nothing leaves from here: who gives up uses up nothing of the pace."""
        self._skip_cancelled()
        self.cancelled = True

    def _skip_cancelled(self) -> None:
        while self.predecessor is not None and self.predecessor.cancelled:
            self.predecessor = self.predecessor.predecessor


class SlidingWindow:
    """The last requests of one budget, as many as a period takes."""

    def __init__(self, requests: int) -> None:
        self._last: deque[Reservation] = deque(maxlen=requests)
        self._lock = Lock()  # the loops of blocking clients run in threads of their own

    def reserve(self) -> Reservation:
        """Return the next place."""
        with self._lock:
            full = len(self._last) == self._last.maxlen
            reservation = Reservation(self._last[0] if full else None)
            self._last.append(reservation)
            return reservation
