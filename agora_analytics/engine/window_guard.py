"""What a client knows of the server's windows: where they are, and when its own requests arrived in them."""

import math
from collections.abc import Callable

from agora_analytics.core.limits import Limits
from agora_analytics.engine.jitter import LARGEST_JITTER, LONGEST_STALL, Jitter
from agora_analytics.engine.ledger import Grant
from agora_analytics.engine.pace import Pace
from agora_analytics.engine.phase_lock import PhaseLock

WITHOUT_PHASE = 3_600.0
"""Seconds for which windows count as sliding after the server refused a request that its fixed window had room for."""
_PACE_SHARE = 0.75  # of a window, in which its requests are sent, so that they can catch up after a delay
_USABLE_SHARE = 0.9  # the same, of the part of a fixed window that is certain
_LEAST_USABLE = 0.25  # of a fixed window; with less its position is too uncertain

_RESOLUTION = (
    0.005  # seconds before the end of a second, which the drift of the clocks does not reach in a window
)


class WindowGuard:
    """Says how the requests of a budget are paced now, and records when they are sent and answered.

    Args:
        limits: of the budget.
        now: the monotonic time in seconds.
        phase_lock: where the server's fixed windows are.
        late: seconds by which a request may be sent after its slot.
    """

    def __init__(
        self, limits: Limits, now: Callable[[], float], phase_lock: PhaseLock, *, late: float
    ) -> None:
        self.jitter = Jitter(now)
        self.late = late
        self._limits = limits
        self._burst = min(limits.burst, limits.requests)
        self._now = now
        self._phase_lock = phase_lock
        self._without_phase_until = -math.inf
        self._unanswered: dict[int, Grant] = {}  # sent since the last response, by sequence number
        self._answered_up_to = -math.inf

    def pace(self) -> Pace:
        """Return the rate as it is known now."""
        limits, jitter, share = self._limits, self.jitter.seconds, _PACE_SHARE
        phase = self._phase_lock.phase if self._uses_phase else None
        if phase is not None:
            usable = 1 - (phase.high - phase.low + jitter + self.late) / limits.period
            if usable < _LEAST_USABLE:
                phase = None
            else:
                share = min(share, _USABLE_SHARE * usable)
        return Pace(
            requests=limits.requests,
            period=limits.period,
            gap=limits.period * share / limits.requests,
            burst=self._burst,
            jitter=jitter,
            phase=phase,
        )

    def doubt_phase(self) -> bool:
        """Record that the server refused a request over the rate; return whether fixed windows had room for it."""
        phase = self.pace().phase
        self.jitter.widen()
        if phase is None:
            return False
        self._without_phase_until = self._now() + WITHOUT_PHASE
        return True

    def sent(self, grant: Grant) -> None:
        """Record that the bytes of a request leave now."""
        grant.sent_at = now = self._now()
        grant.arrived = now + self.jitter.seconds
        self._unanswered[grant.seq] = grant

    def answered(self, grant: Grant, seconds: float) -> None:
        """Record the time from sending a request to the first byte of its response."""
        delay = self.jitter.observe(seconds)
        if grant.sent_at is None:
            return
        grant.arrived = grant.sent_at + delay
        if grant.sent_at > self._answered_up_to:
            self._answered_up_to = grant.sent_at
        while self._unanswered:
            seq, first = next(iter(self._unanswered.items()))
            if first.sent_at is None or first.sent_at > self._answered_up_to:
                break
            del self._unanswered[seq]

    def dated(self, grant: Grant, date: float) -> None:
        """Record the `Date` of a response (UTC epoch seconds): its request arrived before that second had ended."""
        if (phase := self.pace().phase) is not None:
            grant.arrived = min(grant.arrived, date + 1 - phase.high - _RESOLUTION)

    def failed(self, grant: Grant) -> None:
        """Record that a request gets no response."""
        self._unanswered.pop(grant.seq, None)

    def is_stalled(self, postpone: Callable[[Grant], None]) -> bool:
        """Return whether the last requests may still be on their way, because the network or a machine is stalled.

        They were sent since the last response, and the first of them takes longer than any response lately. Each may
        arrive as late as `LONGEST_STALL`, until its response says more; `postpone` is called for it.
        """
        slowest = self.jitter.slowest + LARGEST_JITTER / 2
        first = next(iter(self._unanswered.values()), None)
        if first is None or not slowest < self._now() - (first.sent_at or 0.0) < slowest + LONGEST_STALL:
            return False
        for grant in self._unanswered.values():
            latest = (grant.sent_at or 0.0) + slowest + LONGEST_STALL
            if latest > grant.arrived:
                grant.arrived = latest
                postpone(grant)
        return True

    @property
    def _uses_phase(self) -> bool:
        return self._limits.windows == "fixed" and self._now() >= self._without_phase_until
