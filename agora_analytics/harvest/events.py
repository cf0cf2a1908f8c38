"""What a harvest tells those who watch, besides the engine's events."""

from collections.abc import Callable

from attrs import frozen


@frozen(kw_only=True)
class CallsListed:
    """So many calls are known by now that this run has to visit, and whether the listing goes on."""

    calls: int
    more: bool


@frozen(kw_only=True)
class PointsStored:
    """The samples of one metrics answer are in the store."""

    call_id: str
    points: int


@frozen(kw_only=True)
class CallStored:
    """A call is in the tables: whole, or, if it still goes on, as far as it went."""

    call_id: str
    sessions: int
    finished: bool


@frozen(kw_only=True)
class CallSkipped:
    """A call could not be harvested; a later run tries again."""

    call_id: str
    reason: str


HarvestEvent = CallsListed | PointsStored | CallStored | CallSkipped
HarvestObserver = Callable[[HarvestEvent], None]
