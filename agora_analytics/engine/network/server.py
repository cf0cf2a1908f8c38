"""The interface of a server that keeps a ledger. All times are seconds of the server's clock."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.pace import WindowPhase


@frozen
class Fence:
    """A fencing token: once a holder with a newer token has reserved a slot, older holders get none.

    Attributes:
        name: the work that one holder at a time may do, such as the harvest of an account.
        token: a number that grows with each holder, from the claim of the work. It must not be drawn at the first
            request, or a holder that was replaced before it would get the newest token.
    """

    name: str
    token: int


@frozen(kw_only=True)
class LeaseRequest:
    """A request for the next slots of a budget.

    Attributes:
        budget: the budget.
        day: the UTC day that they are charged to.
        per_day: the day's quota.
        requests: how many requests a window of the vendor may hold.
        period: the length of the window in seconds.
        gap: seconds between two slots.
        burst: how many slots may be at the same time after a pause.
        late: seconds after its slot by which a request reaches the vendor at the latest, relative to the fastest way.
        delay: seconds that the reply may take. No slot is before the reply.
        ahead: seconds in advance for which slots are granted.
        most: the largest number of slots.
        phase: where the vendor's windows are, relative to the clock of the ledger's server; None: windows slide.
        fence: the fencing token of the caller; None: it has none.
    """

    budget: Budget
    day: str
    per_day: int
    requests: int
    period: float
    gap: float
    burst: int
    late: float
    delay: float
    ahead: float
    most: int
    phase: WindowPhase | None
    fence: Fence | None


@frozen(kw_only=True)
class LeaseReply:
    """The slots that a server granted: consecutive places of a budget.

    Attributes:
        now: the server's time.
        seq: the sequence number of the first place.
        slots: when each request may be sent. Empty: none is granted now.
        predecessors: for each place, when the request N places before has arrived.
        frees: for each place, when the next slot was due by the gap before it was reserved.
        next_slot: when the next slot is free, if none is granted.
        spent: the day's quota is spent.
        newest_token: the newest fencing token, if it is not the caller's.
    """

    now: float
    seq: int = 0
    slots: Sequence[float] = ()
    predecessors: Sequence[float] = ()
    frees: Sequence[float] = ()
    next_slot: float = 0.0
    spent: bool = False
    newest_token: int | None = None


@frozen
class Unused:
    """A place that is released: its sequence number, its predecessor, and when the next slot was due before it."""

    seq: int
    predecessor: float
    free: float


class LedgerServer(Protocol):
    """Keeps the ledgers of many processes. Each method is one round trip.

    An object may be used in several event loops and on both sides of a fork; each loop has connections of its own.

    Attributes:
        address: the server, without credentials.

    Raises:
        LedgerUnavailable: every method, if the server cannot be reached or does not answer.
        ConfigurationError: every method, if the address, the credentials or the privileges are wrong.
    """

    address: str

    async def reserve(self, request: LeaseRequest) -> LeaseReply:
        """Charge the next slots to the day and return them."""
        ...

    async def postpone(self, budget: Budget, seq: int, arrived: float) -> None:
        """Record when the request of a place arrives."""
        ...

    async def release(self, budget: Budget, day: str, unused: Sequence[Unused]) -> None:
        """Release charges and places of one day."""
        ...

    async def hold(self, budget: Budget, seconds: float) -> None:
        """Grant no slot for so many seconds."""
        ...

    async def close_day(self, budget: Budget, day: str) -> None:
        """Record that the vendor reports the day's quota as spent."""
        ...

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """Return how many requests were charged to the day, and whether it is closed."""
        ...

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The next method opens them again."""
        ...
