"""The clock of a ledger's server, as one process knows it from the replies."""

import math
from collections.abc import Callable

from agora_analytics.engine.clock_offset import ClockOffset
from agora_analytics.engine.pace import WindowPhase

_SHARE = 0.2  # of a new measurement in the averages


class ServerClock:
    """Bounds the server's time, and measures how long the replies take.

    Args:
        now: the monotonic time in seconds.

    Attributes:
        round_trip: the average, in seconds.
        delay: seconds after the earliest possible time at which replies arrive, on average.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._offset = ClockOffset()
        self.round_trip = 0.0
        self.delay = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there was an exchange with the server."""
        return self.width < math.inf

    @property
    def width(self) -> float:
        """The uncertainty of the server's time in seconds."""
        low, high = self._offset.bounds(self._now())
        return high - low

    def earliest(self, server_time: float) -> float:
        """Return the monotonic time at which the server's clock certainly shows `server_time` or later."""
        return server_time - self._offset.bounds(self._now())[0]

    def latest_on_server(self, time: float) -> float:
        """Return what the server's clock shows at most at a monotonic time."""
        return time + self._offset.bounds(self._now())[1]

    def phase_on_server(self, phase: WindowPhase | None) -> WindowPhase | None:
        """Return where the vendor's windows are, relative to the server's clock. None if that is too uncertain."""
        if phase is None:
            return None
        low, high = self._offset.bounds(self._now())
        moved = WindowPhase(phase.low - high, phase.high - low)
        return moved if moved.high - moved.low < 1 else None

    def learn(self, server_time: float, *, sent: float, received: float) -> None:
        """Learn from a reply that contains the server's time; `sent` and `received` are monotonic times."""
        self._offset.narrow(server_time - received, server_time - sent, at=received)
        first = self.round_trip == 0
        self.round_trip += (received - sent - self.round_trip) * (1 if first else _SHARE)
        self.delay += (received - self.earliest(server_time) - self.delay) * (1 if first else _SHARE)
