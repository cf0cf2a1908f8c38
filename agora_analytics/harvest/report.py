"""The events of a harvest, for its observer, and the report at its end.

The engine's events go to the client's observer.
"""

from collections.abc import Callable, Mapping, Sequence

from attrs import asdict, define, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.windows import Window
from agora_analytics.store.records import FileDamaged, Unreadable


@frozen(kw_only=True)
class CallsListed(Record):
    """The number of units listed so far that this run has to fetch, and whether the listing continues."""

    calls: int
    more: bool


@frozen(kw_only=True)
class PointsStored(Record):
    """The samples of one response are in the store."""

    call_id: str
    points: int


@frozen(kw_only=True)
class CallStored(Record):
    """A call is visible in the tables: complete, or as a snapshot if it is still ongoing."""

    call_id: str
    sessions: int
    finished: bool


@frozen(kw_only=True)
class CallSkipped(Record):
    """A call failed; a later run retries it."""

    call_id: str
    reason: str


HarvestEvent = CallsListed | PointsStored | CallStored | CallSkipped | FileDamaged | Unreadable
"""What the observer of a harvest receives."""
HarvestObserver = Callable[[HarvestEvent], None]
"""A function that a harvest calls with each event."""


@frozen(kw_only=True)
class HarvestReport(Record):
    """The result of one run.

    Attributes:
        window: the harvested time range: the part of the requested range that the plan's retention includes.
        calls: calls stored by this run, including ongoing ones.
        ongoing: stored calls that are still ongoing; the next run fetches them again.
        known_before: calls of the time range that the store already had.
        sessions: sessions stored by this run.
        points: samples stored by this run.
        requests: requests sent by this run, by endpoint.
        skipped: calls that failed, with the reason; the next run retries them.
        too_recent: calls that began or ended within the plan's data delay; the next run fetches them.
        left: listed calls that were not fetched because the daily quota is exhausted.
        expiring: how many of these leave the plan's reach before the daily quota can pay for them.
        listing_left: whether some calls may not be listed, because the daily quota of the listing is exhausted.
        retry_at: when the quota resets (UTC epoch seconds), if it ended this run; otherwise None.
        seconds: duration of the run.
        damaged: files of the store that were damaged or missing. Their rows are fetched again, as far as the vendor
            still has them.
        unreadable: records that this run could not read and that no earlier run has reported. Everything else is
            stored. A later run retries whole calls and pages of a listing, and reports none of them again.
        unreadable_before: how many records earlier runs could not read.
        lost: listed calls that left the plan's reach before any run could store them, since the store was created.
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
    damaged: Sequence[FileDamaged] = ()
    unreadable: Sequence[Unreadable] = ()
    unreadable_before: int = 0
    expiring: int = 0
    lost: int = 0

    _IN_JSON = ("complete",)

    @property
    def complete(self) -> bool:
        """True if everything that can be fetched and read is in the store."""
        return self.retry_at is None and not self.skipped


@define
class Counts:
    """The running totals of a harvest, with the meanings of `HarvestReport`."""

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
    damaged: list[FileDamaged] = field(factory=list)
    unreadable: list[Unreadable] = field(factory=list)
    unreadable_before: int = 0
    expiring: int = 0
    lost: int = 0

    @property
    def complete(self) -> bool:
        """True if nothing is left for another run."""
        return self.retry_at is None and not self.skipped

    def add(self, event: HarvestEvent) -> None:
        """Add what an event reports."""
        match event:
            case CallStored(sessions=sessions, finished=finished):
                self.calls += 1
                self.sessions += sessions
                self.ongoing += not finished
            case PointsStored(points=points):
                self.points += points
            case CallSkipped():
                self.skipped.append(event)
            case FileDamaged():
                self.damaged.append(event)
            case Unreadable():
                self.unreadable.append(event)

    def quota_spent(self, retry_at: float) -> None:
        """Record that a daily quota is exhausted until `retry_at`."""
        self.retry_at = max(self.retry_at or 0.0, retry_at)

    def report(self, window: Window, requests: Mapping[str, int], seconds: float) -> HarvestReport:
        """Return the report of these totals."""
        lists = {name: tuple(getattr(self, name)) for name in ("skipped", "damaged", "unreadable")}
        totals = asdict(self, recurse=False) | lists
        return HarvestReport(window=window, requests=requests, seconds=seconds, **totals)
