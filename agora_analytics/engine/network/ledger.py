"""The base class of ledgers on a server."""

from collections.abc import Sequence
from copy import copy
from itertools import groupby
from typing import Self

from attrs import define, field

from agora_analytics.engine.background_tasks import BackgroundTasks
from agora_analytics.engine.clock import Clock, SystemClock, monotonic_of
from agora_analytics.engine.ledger import Budget, Grant, TooEarly
from agora_analytics.engine.network.leases import Leases
from agora_analytics.engine.network.per_loop import PerLoop
from agora_analytics.engine.network.server import Fence, LedgerServer, Unused
from agora_analytics.engine.network.server_clock import ServerClock
from agora_analytics.engine.pace import Pace
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.instants import utc_day
from agora_analytics.logs import logger_of

_log = logger_of("ledger")


@define(eq=False)
class _LoopState:
    """The clock, the leases and the tasks of a ledger in one event loop."""

    clock: ServerClock
    leases: dict[tuple[Budget, int], Leases] = field(factory=dict)
    background: BackgroundTasks = field(factory=BackgroundTasks)


class NetworkLedger:
    """Base class of the ledgers on a server. All processes that name the same server share the limits.

    The server's clock decides. The difference to this machine's clock is bounded by the replies, and the limits are kept
    whatever it is within the bounds. The uncertainty, which is about the shortest round trip, costs rate.

    If several callers wait, several slots are reserved in one round trip, and the next ones before these are used. Slots
    that nobody uses are released. Those of a process that dies stay charged to the day's quota.

    It may be used in several event loops and threads, and on both sides of a fork.

    Attributes:
        address: the server, without credentials.
    """

    ahead = 0.5

    def __init__(self, server: LedgerServer, *, clock: Clock | None = None) -> None:
        self._server = server
        self.address = server.address
        self._clock = clock or SystemClock()
        self._fence: Fence | None = None
        self._owns_connections = True
        self._now = monotonic_of(self._clock)
        self._states = PerLoop(self._new_state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def fenced(self, name: str, token: int) -> Self:
        """Return a ledger on the same connections that grants slots to the newest holder of `name` only.

        Its `aclose` releases the slots that were not used, and leaves the connections open.

        Args:
            name: the work that one holder at a time may do, such as the harvest of an account.
            token: a number that grows with each holder, from the claim of the work: see `Fence`.
        """
        fenced = copy(self)
        fenced._states = PerLoop(self._new_state)  # noqa: SLF001 - it is this class
        fenced._fence = Fence(name, token)  # noqa: SLF001
        fenced._owns_connections = False  # noqa: SLF001
        return fenced

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, pace: Pace, per_day: int, waiting: int = 1
    ) -> Grant | TooEarly | None:
        """See `Ledger.reserve`.

        Raises:
            LedgerUnavailable: the server cannot be reached, so nothing may be sent.
            FencedOff: a holder with a newer fencing token has reserved a slot.
        """
        state = self._states.get()
        if (leases := state.leases.get((budget, per_day))) is None:
            # A caller that leaves a reserve to others must not use their slots, so `per_day` is part of the key.
            leases = state.leases[budget, per_day] = Leases(
                budget,
                per_day,
                server=self._server,
                clock=state.clock,
                fence=self._fence,
                ahead=self.ahead,
                now=self._now,
                release=self._release_in_background,
            )
        delay = max(now - self._now(), 0.0)
        return await leases.take(utc_day(server_now), pace, waiting=waiting, delay=delay)

    async def postpone(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.postpone`."""
        await self._server.postpone(
            budget, grant.seq, self._states.get().clock.latest_on_server(grant.arrived)
        )

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`. Does not wait for the server."""
        self._release_in_background(budget, [grant])

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        for (held, _), leases in self._states.get().leases.items():
            if held == budget:
                leases.hold(until)
        await self._server.hold(budget, until - self._now())

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `Ledger.close_day`."""
        await self._server.close_day(budget, day)

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `Ledger.spent`."""
        return await self._server.spent(budget, day)

    async def aclose(self) -> None:
        """Release the slots that were not used, and close the connections of the running event loop."""
        state = self._states.get()
        for leases in list(state.leases.values()):
            await leases.aclose()
        await state.background.finish()
        if self._owns_connections:
            await self._server.aclose()

    def _new_state(self) -> _LoopState:
        return _LoopState(ServerClock(self._now))

    def _release_in_background(self, budget: Budget, unused: Sequence[Grant]) -> None:
        for day, grants in groupby(unused, key=lambda grant: grant.day):
            self._states.get().background.start(self._release(budget, day, list(grants)))

    async def _release(self, budget: Budget, day: str, grants: Sequence[Grant]) -> None:
        places = [Unused(grant.seq, grant.predecessor, grant.previous_free) for grant in grants]
        try:
            await self._server.release(budget, day, places)
        except AgoraAnalyticsError as error:
            # Not repeated: it may have been done, and the places may be taken again.
            _log.warning(
                "%s: %d unused requests stay charged to %s: %s", budget.group, len(places), day, error
            )
