"""The rate limiters that this library is compared with, on the clock of a server model.

None of them knows the server's windows or the latency: a request takes its slot when it is sent.
"""

import asyncio
from collections import deque

from aiolimiter import AsyncLimiter
from pyrate_limiter import GCRA, AbstractClock, Limiter, Rate, StateBucket

from tests.pacing.harness import Acquire
from tests.pacing.server import ServerModel

MARGIN = 1.10


def even_pace(server: ServerModel) -> Acquire:
    """Requests are evenly spaced, with a margin of 10 %."""
    return AsyncLimiter(1, MARGIN * server.period / server.requests).acquire


def token_bucket(server: ServerModel) -> Acquire:
    """aiolimiter, as its documentation uses it."""
    return AsyncLimiter(server.requests, server.period).acquire


def gcra(server: ServerModel) -> Acquire:
    """pyrate-limiter's GCRA without a burst. Its default buffer of 50 ms a request would halve the rate."""

    class Clock(AbstractClock):
        def now(self) -> int:
            return int(server.clock.now() * 1000)

    rate = Rate(server.requests, int(server.period * 1000), burst=1)
    return Limiter(StateBucket([rate], GCRA(), clock=Clock()), buffer_ms=0).try_acquire_async


def sliding_log(server: ServerModel) -> Acquire:
    """An exact log of the times at which requests were sent: the limit in any period, as the client sees it."""
    sent: deque[float] = deque(maxlen=server.requests)
    turn = asyncio.Lock()

    async def acquire() -> None:
        async with turn:
            while len(sent) == server.requests:
                wait = sent[0] + server.period - server.clock.monotonic()
                if wait <= 0:
                    break
                await asyncio.sleep(wait)
            sent.append(server.clock.monotonic())

    return acquire


LIMITERS = {
    "even pace, 10 % margin": even_pace,
    "sliding log of send times": sliding_log,
    "pyrate-limiter, GCRA": gcra,
    "aiolimiter, AsyncLimiter(N, 1)": token_bucket,
}
