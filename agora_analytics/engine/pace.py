"""When the next request of a budget may be sent. Pure: times are arguments, in seconds of one monotonic clock.

Each request has a place in the order of its budget. No window of the server holds more than N requests if, for every
place, the request N places later certainly reaches a later window. That request is sent

- one period after the time by which the earlier one has arrived, if windows slide or their position is unknown, or
- when the next fixed window begins, if the position of the windows is known (see `WindowPhase`).

The times of arrival are relative to the fastest way to the server, because only differences of latency matter.
"""

import math
from typing import NamedTuple

from attrs import frozen


class WindowPhase(NamedTuple):
    """Where the server's fixed windows are: a request sent at `t` arrives between `t + low` and `t + high`, if it is fast.

    Attributes:
        low: in seconds, from the monotonic clock to the server's UTC clock.
        high: likewise. The difference is the uncertainty.
    """

    low: float
    high: float

    def next_window(self, arrived: float, period: float) -> float:
        """Return from when on requests are certainly in a later window than one that arrived by `arrived`."""
        return (math.floor((arrived + self.high) / period) + 1) * period - self.low


@frozen(kw_only=True)
class Pace:
    """The rate of a budget, as a client knows it now.

    Attributes:
        requests: how many requests a window of the server may hold.
        period: the length of the window in seconds.
        gap: seconds between two slots. Smaller than `period / requests`, so that delayed requests can catch up.
        burst: how many slots may be at the same time after a pause.
        jitter: seconds by which a request may arrive later than the fastest, until its response says more. For shared
            ledgers, which do not know when the request was sent.
        phase: where the fixed windows are; None: windows slide, or it is unknown.
    """

    requests: int
    period: float
    gap: float
    burst: int = 1
    jitter: float = 0.0
    phase: WindowPhase | None = None

    def free_at(self, arrived: float) -> float:
        """Return when the request may be sent that is N places after one that arrived by `arrived`."""
        later = arrived + self.period
        if self.phase is None or math.isinf(arrived):
            return later
        return min(later, self.phase.next_window(arrived, self.period))
