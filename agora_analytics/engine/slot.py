"""One slot of a budget, from its reservation to the response of its request."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agora_analytics.messages import Response, TransportFailure

if TYPE_CHECKING:
    from agora_analytics.engine.ledger import Grant
    from agora_analytics.engine.limiter import Limiter

# Seconds until it is checked whether a request that was handed over has left, and between two later checks.
_FIRST_CHECK, _LATER_CHECKS = 0.02, 0.1


class Slot:
    """A slot that is acquired on entry and released on exit, unless the request was handed over to the transport.

    Attributes:
        handed_over_at: when that was (monotonic seconds); None: not yet.
        received_at: when the head of the response arrived.

    Example:
        async with limiter.slot(patience=10) as slot:
            await slot.hand_over()  # True: the slot has not passed
            outcome = await transport.send(request)  # calls `slot.sent`
            await slot.close(outcome)
    """

    def __init__(
        self, limiter: "Limiter", *, patience: float, is_short: bool = False, own_deadline: bool = False
    ) -> None:
        self._limiter = limiter
        self._options = (patience, is_short, own_deadline)
        self._grant: Grant | None = None
        self.handed_over_at: float | None = None
        self.received_at = 0.0
        self._answered: Grant | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        patience, is_short, own_deadline = self._options
        self._grant = await self._limiter.acquire(
            patience=patience, is_short=is_short, own_deadline=own_deadline
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_watch()
        if self._grant is None:
            return
        if self.handed_over_at is None:  # for instance because the time range is out of reach
            await self._limiter.abandon(self._grant)
        else:  # cancelled: the request may have left
            self._fail(self._grant)

    async def hand_over(self) -> bool:
        """Return whether the slot is still valid, right before the request is passed to the transport.

        If not, the slot is released, and the request must be built again in another one.
        """
        assert self._grant is not None  # noqa: S101 - within the context
        grant, self._grant = self._grant, None  # released by `Limiter.hand_over` if it fails
        if not await self._limiter.hand_over(grant):
            return False
        self._grant = grant
        self.handed_over_at = self._limiter.now()
        if self._limiter.is_shared:
            self._watch(_FIRST_CHECK)
        return True

    def _watch(self, seconds: float) -> None:
        """Record in a shared ledger, as long as it is so, that the request has not left. It may have to connect."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._find_unsent)

    def _find_unsent(self) -> None:
        if self._grant is not None and self._grant.sent_at is None:
            self._limiter.unsent(self._grant, _LATER_CHECKS)
            self._watch(_LATER_CHECKS)

    def _end_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def sent(self) -> None:
        """Record that the bytes of the request leave now. Only the first call counts."""
        if self._grant is not None and self._grant.sent_at is None:
            self._end_watch()
            self._limiter.sent(self._grant)

    async def close(self, outcome: Response | TransportFailure) -> None:
        """Record how the request ended. It is not counted if the failure proves that it never left."""
        grant, self._grant = self._grant, None
        assert grant is not None  # noqa: S101 - within the context
        if isinstance(outcome, TransportFailure):
            if outcome.kind.never_left:
                await self._limiter.give_back(grant)
            else:
                self._fail(grant)
            return
        sent_at = grant.sent_at or self.handed_over_at or 0.0
        if grant.sent_at is None:
            self._limiter.sent(grant)
        # The transfer of the body does not delay the request.
        transfer = outcome.elapsed - (outcome.first_byte or outcome.elapsed)
        self.received_at = self._limiter.now() - transfer
        self._answered = grant
        self._limiter.answered(grant, max(self.received_at - sent_at, 0.0))

    def dated(self, date: float) -> None:
        """Record the `Date` of the response, which is known to be from the server (UTC epoch seconds)."""
        if self._answered is not None:
            self._limiter.guard.dated(self._answered, date)

    def _fail(self, grant: "Grant") -> None:
        if grant.sent_at is None:
            self._limiter.sent(grant)
        self._limiter.guard.failed(grant)
