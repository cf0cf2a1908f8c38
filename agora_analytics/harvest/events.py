"""The events of a harvest, for its observer. The engine's events go to the client's observer."""

from collections.abc import Callable

from attrs import frozen


@frozen(kw_only=True)
class CallsListed:
    """The number of units listed so far that this run has to fetch, and whether the listing continues."""

    calls: int
    more: bool


@frozen(kw_only=True)
class PointsStored:
    """The samples of one response are in the store."""

    call_id: str
    points: int


@frozen(kw_only=True)
class CallStored:
    """A call is visible in the tables: complete, or as a snapshot if it is still ongoing."""

    call_id: str
    sessions: int
    finished: bool


@frozen(kw_only=True)
class CallSkipped:
    """A call failed; a later run retries it."""

    call_id: str
    reason: str


HarvestEvent = CallsListed | PointsStored | CallStored | CallSkipped
HarvestObserver = Callable[[HarvestEvent], None]
