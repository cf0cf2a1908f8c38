"""How much the latency of requests varies, and so by how much a request may arrive later than the fastest."""

import math
import time
from collections import deque
from collections.abc import Callable

LARGEST_JITTER = 0.100
SMALLEST_JITTER = 0.010
LONGEST_STALL = 1.0
"""Seconds; a request without a response for longer is lost, and does not delay others."""
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

    @property
    def slowest(self) -> float:
        """Seconds to the slowest of the last responses; inf until enough were measured."""
        return self._high if self._has_enough_samples else math.inf

    def observe(self, seconds: float) -> float:
        """Record the time from sending a request to the first byte of its response.

        Returns:
            How much later than the fastest this request may have arrived. Not more than `LARGEST_JITTER`, because the
            server may have worked on it for long; but for a response that is slower than all before, all of its time up to
            `LONGEST_STALL`, because the network, the server or this machine may have stood still.
        """
        stalled = seconds > self.slowest + LARGEST_JITTER
        self._record(seconds)
        if not self._has_enough_samples:
            return self._bounded(LARGEST_JITTER)
        spread = min(self._high - self._low, 2 * LARGEST_JITTER)  # there and back
        guard = max(spread * max(_GUARD, _FEW / self._count), SMALLEST_JITTER / 2)
        delay = seconds - min(self._low, self._shortest, seconds) + guard
        return min(delay, LONGEST_STALL) if stalled else self._bounded(delay)

    def _record(self, seconds: float) -> None:
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
