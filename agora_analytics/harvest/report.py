"""What a harvest did, and what is left."""

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.harvest.events import CallSkipped, CallsListed, CallStored, HarvestEvent, PointsStored


@frozen(kw_only=True)
class HarvestReport:
    """What one run did.

    Attributes:
        window: the time range that was harvested: what of the wanted one was in the plan's reach.
        calls: calls stored by this run, those that still go on included.
        ongoing: of these, calls that still go on; the next run visits them again.
        known_before: calls of the time range that were in the store already.
        sessions: sessions stored by this run.
        points: samples stored by this run.
        requests: requests sent by this run, for each endpoint.
        skipped: calls that could not be harvested, and why; the next run tries again.
        too_recent: calls that began or ended so recently that their samples are not out yet; the next run takes them.
        left: calls that are known but were not reached because the day's quota is spent.
        listing_left: whether calls may be unknown still, because the quota of the listing is spent.
        retry_at: when the quota opens again (UTC epoch seconds), if it ended this run; else None.
        seconds: how long the run took.
    """

    window: Window
    calls: int
    ongoing: int
    known_before: int
    sessions: int
    points: int
    requests: Mapping[str, int]
    skipped: Sequence[CallSkipped]
    too_recent: int
    left: int
    listing_left: bool
    retry_at: float | None
    seconds: float

    @property
    def complete(self) -> bool:
        """True if all that could be asked for is in the store."""
        return self.retry_at is None and not self.skipped


@define
class Counts:
    """What is counted while a harvest runs."""

    listed: int = 0
    calls: int = 0
    ongoing: int = 0
    known_before: int = 0
    sessions: int = 0
    points: int = 0
    too_recent: int = 0
    left: int = 0
    listing_left: bool = False
    retry_at: float | None = None
    skipped: list[CallSkipped] = field(factory=list)

    def add(self, event: HarvestEvent) -> None:
        """Count what an event tells."""
        match event:
            case CallStored(sessions=sessions, finished=finished):
                self.calls += 1
                self.sessions += sessions
                self.ongoing += not finished
            case PointsStored(points=points):
                self.points += points
            case CallSkipped():
                self.skipped.append(event)
            case CallsListed(calls=calls):
                self.listed = calls

    def quota_spent(self, retry_at: float) -> None:
        """Note that a quota is spent until then."""
        self.retry_at = max(self.retry_at or 0.0, retry_at)

    def report(self, window: Window, requests: Mapping[str, int], seconds: float) -> HarvestReport:
        """Return what was counted."""
        return HarvestReport(
            window=window,
            calls=self.calls,
            ongoing=self.ongoing,
            known_before=self.known_before,
            sessions=self.sessions,
            points=self.points,
            requests=requests,
            skipped=tuple(self.skipped),
            too_recent=self.too_recent,
            left=self.left,
            listing_left=self.listing_left,
            retry_at=self.retry_at,
            seconds=seconds,
        )
