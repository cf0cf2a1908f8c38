"""The clocks: the wall-clock time of this machine, the server's time, and the monotonic time that requests are paced on."""

import asyncio
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from attrs import frozen

from agora_analytics.core.http_times import http_date
from agora_analytics.instants import LAST_SECOND
from agora_analytics.messages import Response, TransportFailure

LARGEST_STEP = 60.0
"""Seconds by which one response may move the estimate of the server's clock."""
PROBATION = 60.0
"""Seconds for which the first response alone may set the estimate further than that."""
_EARLIEST = 1_577_836_800
"""2020-01-01 in UTC epoch seconds. Earlier dates are errors."""


class Clock(Protocol):
    """Returns the wall-clock time, which decides days and time ranges.

    A clock may have a second method, `monotonic() -> float`: seconds on a clock that is never set and that includes the
    time in which the machine is suspended. The rate limit runs on it. For a clock with `now` only, it runs on the time
    of the event loop. Processes that share a `SqliteLedger` need the same `monotonic`.

    For tests there is a clock that follows an event loop with virtual time: see `agora_analytics.testing`.
    """

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds since the machine was started. All processes have the same clock, and nobody can set it."""
        # `time.monotonic` stops while Linux or macOS is suspended.
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        if sys.platform == "darwin":
            return time.clock_gettime(time.CLOCK_MONOTONIC)
        return time.monotonic()


def monotonic_of(clock: Clock) -> Callable[[], float]:
    """Return the function that the rate limit reads the time from."""
    own: Callable[[], float] | None = getattr(clock, "monotonic", None)
    return own or (lambda: asyncio.get_running_loop().time())


@frozen(kw_only=True, eq=False)
class ClockReading:
    """How far the server's clock is ahead of ours, in seconds, according to the `Date` header of one response.

    Attributes:
        low: at least; the header has whole seconds, so a response can only give bounds.
        high: at most.
        sent: when the request was sent, on our clock (epoch seconds).
        received: when the response arrived, likewise.
    """

    low: float
    high: float
    sent: float
    received: float

    @classmethod
    def of(cls, date: str | None, *, sent: float, received: float) -> "ClockReading | None":
        """Read a `Date` header; None if it is not a date, or not one of this century."""
        server_date = http_date(date or "")
        if server_date is None or not _EARLIEST <= server_date < LAST_SECOND:
            return None
        return cls(low=server_date - received, high=server_date + 1 - sent, sent=sent, received=received)

    @property
    def date(self) -> float:
        """The `Date` header in UTC epoch seconds."""
        return self.low + self.received

    @property
    def skew(self) -> float:
        """The estimate: zero if zero is within the bounds."""
        return 0.0 if self.low <= 0 <= self.high else (self.low + self.high) / 2

    def distance(self, skew: float) -> float:
        """Return by how much an estimate is outside of the bounds."""
        return max(self.low - skew, skew - self.high, 0.0)

    def confirms(self, earlier: "ClockReading") -> bool:
        """Whether this is an independent reading of the same clock; concurrent responses are not independent."""
        return self.sent >= earlier.received and max(self.low, earlier.low) <= min(self.high, earlier.high)


class ServerTime:
    """An estimate of the server's clock from the `Date` headers of good responses.

    The server counts days, windows and limits on its own clock. The first good response sets the estimate. A later one
    that differs by more than `LARGEST_STEP` changes nothing until a second one agrees with it: a proxy may have a wrong
    clock. For the same reason, a first response that differs so much must be confirmed within `PROBATION` seconds.
    Otherwise the client returns to its own clock; it may not send another request with the wrong one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._estimate: ClockReading | None = None
        self._doubted: ClockReading | None = None
        self._on_probation = False

    @property
    def skew(self) -> float:
        """How far the server's clock is ahead of ours, in seconds."""
        estimate = self._current() if self._on_probation else self._estimate
        return 0.0 if estimate is None else estimate.skew

    @property
    def in_doubt(self) -> bool:
        """Whether the last response contradicts the estimate, and none has confirmed it yet."""
        return self._doubted is not None

    def here(self) -> float:
        """Return the time on our clock in UTC epoch seconds."""
        return self._clock.now()

    def now(self, reading: ClockReading | None = None) -> float:
        """Return the time on the server's clock in UTC epoch seconds, as it would be after a reading is learned."""
        merged = self._merged(reading) if reading else None
        return self._clock.now() + (merged.skew if merged else self.skew)

    def read(self, outcome: Response | TransportFailure, *, seconds: float) -> ClockReading | None:
        """Return what a response that has just arrived says about the server's clock; `seconds` is its round trip.

        None for a response with an `Age` header: it is from a cache, and its `Date` is old.
        """
        if isinstance(outcome, TransportFailure) or "age" in outcome.headers:
            return None
        now = self.here()
        return ClockReading.of(outcome.headers.get("date"), sent=now - seconds, received=now)

    def shift(self, reading: ClockReading | None, *, since: float) -> float:
        """Return how much further the server's clock is ahead than `since`, an earlier skew, if a reading is right."""
        if reading is None:
            return self.skew - since
        return (self._merged(reading) or reading).skew - since

    def learn(self, reading: ClockReading | None) -> None:
        """Update the estimate with a response that is known to be from the server; None changes nothing."""
        if reading is None:
            return
        current, doubted, merged = self._current(), self._doubted, self._merged(reading)
        confirmed = doubted is not None and reading.confirms(doubted)
        self._doubted = None
        if current is None:
            self._estimate = reading
            self._on_probation = abs(reading.skew) > LARGEST_STEP and not confirmed
        elif merged is not None:
            self._estimate = merged
            self._on_probation = self._on_probation and not reading.confirms(current)
        elif confirmed:
            self._estimate, self._on_probation = reading, False
        else:
            self._doubted = reading

    def observe(self, date: str | None, *, sent: float, received: float) -> None:
        """Learn from the `Date` header of a good response; `sent` and `received` are on our clock."""
        self.learn(ClockReading.of(date, sent=sent, received=received))

    def _current(self) -> ClockReading | None:
        estimate = self._estimate
        if estimate and self._on_probation and abs(self.here() - estimate.received) > PROBATION:
            self._estimate, self._doubted, self._on_probation = None, estimate, False
        return self._estimate

    def _merged(self, reading: ClockReading) -> ClockReading | None:
        """Return the estimate after a reading; None: the reading is too far from it."""
        current = self._current() if self._on_probation else self._estimate
        return reading if current is None else _merge(current, reading)


@lru_cache(maxsize=4)  # each response needs the result three times
def _merge(current: ClockReading, reading: ClockReading) -> ClockReading | None:
    if reading.low <= current.low and current.high <= reading.high:
        return current
    if reading.distance(current.skew) > LARGEST_STEP:
        return None
    low, high = max(reading.low, current.low), min(reading.high, current.high)
    if low > high:  # one of the clocks was set: start over
        low, high = reading.low, reading.high
    # The first reading's times remain, so that a later request can confirm it.
    return ClockReading(low=low, high=high, sent=current.sent, received=current.received)
