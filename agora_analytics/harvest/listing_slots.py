"""Limits the session requests that a harvest prepares ahead of the rate limit.

With too few, the endpoint would idle while responses are on their way. With too many, the pages of large calls would
take turns, all of these calls would be listed late, and the metrics endpoint would idle meanwhile. So the limit follows
the latency of the responses.
"""

import asyncio
import math
from collections import deque

_FIRST_ESTIMATE = 1.0  # seconds of a response before any was measured
_RECENT = 16  # responses
_HEADROOM = 1.5  # times the slowest recent response
_STORE_SECONDS = 0.2  # to read what is stored of a call, and to commit its sessions
_WAITING = 2  # requests that wait for their rate-limit slot


class ListingSlots:
    """Admits session listings in the order of their arrival; each holds a slot for every page that it waits for.

    Args:
        rate: the requests a second that the plan allows.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()
        self._in_use = 0
        self._latencies = deque([_FIRST_ESTIMATE], maxlen=_RECENT)

    @property
    def limit(self) -> int:
        """The number of pages in progress at which no other listing starts."""
        seconds = max(self._latencies) * _HEADROOM + _STORE_SECONDS
        return _WAITING + math.ceil(self._rate * seconds)

    async def acquire(self, pages: int) -> None:
        """Wait until fewer pages than the limit are in progress, then add those of a listing."""
        async with self._turn:
            while self._in_use >= self.limit:
                self._released.clear()
                await self._released.wait()
            self._in_use += pages

    def release(self, pages: int) -> None:
        """Remove pages that were received, or will not be requested."""
        self._in_use -= pages
        self._released.set()

    def observe(self, seconds: float) -> None:
        """Record how long a response took."""
        if self._latencies[0] == _FIRST_ESTIMATE and len(self._latencies) == 1:
            self._latencies.clear()
        self._latencies.append(seconds)
