"""What a harvest has done so far, counted from its events, and what is left at the plan's pace."""

import math
import time
from collections import Counter
from collections.abc import Mapping

from attrs import define, field

from agora_analytics.agora.plans import CALL_METRICS
from agora_analytics.cli.terminal import for_people
from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import (
    AttemptFailed,
    Event,
    HostSwitched,
    ListingNarrowed,
    QuotaClosed,
    ResponseReceived,
    Waited,
    log_event,
)
from agora_analytics.harvest import CallSkipped, CallsListed, CallStored, PointsStored
from agora_analytics.harvest.events import HarvestEvent
from agora_analytics.instants import iso

_NEW_FOR = 6.0  # seconds, a little more than between two plain lines
_ENOUGH_TO_TELL = 8  # finished calls from which the mean cost of a call is worth something


@define
class Progress:
    """The counts of one run. Written in the event loop, read wherever it is shown.

    Attributes:
        calls: calls stored.
        known: calls that are known to be there for this run.
        listing: whether more may become known.
        sessions: sessions stored.
        points: samples stored.
        skipped: calls that could not be harvested.
        requests: attempts, by endpoint.
        quotas: what is left today, by endpoint, as it was last looked at.
    """

    calls: int = 0
    known: int = 0
    listing: bool = True
    sessions: int = 0
    points: int = 0
    skipped: int = 0
    requests: Counter[str] = field(factory=Counter)
    quotas: Mapping[str, Quota] = field(factory=dict)
    _open: Counter[str] = field(factory=Counter)
    _answers: int = 0
    _note: str = ""
    _note_ends: float = 0.0

    @property
    def note(self) -> str:
        """The last thing worth knowing that is not a count, while it is new."""
        return self._note if time.monotonic() < self._note_ends else ""

    def _noted(self, text: str, seconds: float = 0.0) -> None:
        self._note, self._note_ends = text, time.monotonic() + max(seconds, _NEW_FOR)

    def sent(self, event: Event) -> None:
        """Take an event of the engine."""
        log_event(event)
        match event:
            case ResponseReceived():
                self.requests[event.endpoint] += 1
            case AttemptFailed():
                self.requests[event.endpoint] += 1
                self._noted(f"{event.endpoint}: no answer ({event.kind}), asking again")
            case Waited():
                self._noted(
                    f"{event.endpoint} waits {for_people(event.seconds)}: {event.rule}", event.seconds
                )
            case HostSwitched():
                self._noted(f"now asking {event.new}: {event.reason}")
            case QuotaClosed():
                self._noted(
                    f"{event.endpoint}: the day's quota is spent until {iso(event.retry_at)}", math.inf
                )
            case ListingNarrowed():
                self._noted("the server hides calls of a busy time, so it is asked for in smaller parts")
            case _:
                pass

    def stored(self, event: HarvestEvent) -> None:
        """Take an event of the harvest."""
        match event:
            case CallsListed():
                self.known, self.listing = event.calls, event.more
            case PointsStored():
                self.points += event.points
                self._open[event.call_id] += 1
            case CallStored():
                self.calls += 1
                self.sessions += event.sessions
                self._answers += self._open.pop(event.call_id, 0)
            case CallSkipped():
                self.skipped += 1
                self._open.pop(event.call_id, None)

    @property
    def seconds_left(self) -> float | None:
        """The time that the known calls will still take at the plan's pace; None: too early to say."""
        quota = self.quotas.get(CALL_METRICS)
        if self.calls < _ENOUGH_TO_TELL or quota is None:
            return None
        left = max(0, self.known - self.calls - self.skipped) * self._answers / self.calls
        under_way = self._open.total()
        return max(0.0, left - under_way) * quota.period / quota.requests
