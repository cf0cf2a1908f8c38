"""Records in a shared ledger that requests arrive at another time than was assumed when their slots were reserved."""

import asyncio

from agora_analytics.engine.background_tasks import BackgroundTasks
from agora_analytics.engine.ledger import Budget, Grant, Ledger
from agora_analytics.errors import AgoraAnalyticsError, LedgerUnavailable


class ArrivalRecords:
    """Writes the arrivals of one budget's requests to the ledger, one write at a time for each request.

    What could not be written, because the ledger is unavailable, is written before the next slot is reserved: see
    `flush`. Otherwise the request N places later might reach the same window.
    """

    def __init__(self, budget: Budget, ledger: Ledger, background: BackgroundTasks) -> None:
        self._budget = budget
        self._ledger = ledger
        self._background = background
        self._writing: dict[int, asyncio.Task[None]] = {}
        self._unwritten: dict[int, Grant] = {}

    def start(self, grant: Grant) -> "asyncio.Task[None]":
        """Write `grant.arrived` in the background, and again as long as it changes meanwhile."""
        if grant.seq not in self._writing:
            self._writing[grant.seq] = self._background.start(self._write(grant))
        return self._writing[grant.seq]

    async def write(self, grant: Grant) -> bool:
        """Write `grant.arrived`, and return whether the ledger has it."""
        await asyncio.shield(self.start(grant))
        return grant.recorded == grant.arrived

    async def flush(self, since: float) -> None:
        """Write the arrivals since a monotonic time that could not be written before.

        Raises:
            LedgerUnavailable: the ledger is still unavailable.
        """
        for grant in list(self._unwritten.values()):
            if grant.arrived < since:
                del self._unwritten[grant.seq]
            elif not await self.write(grant) and grant.seq in self._unwritten:
                raise LedgerUnavailable(
                    "the ledger is unavailable: the arrival of a request is not recorded yet"
                )

    async def wait(self, grant: Grant) -> None:
        """Wait until nothing is written for a request, and forget what could not be written: it was never sent."""
        if (writing := self._writing.get(grant.seq)) is not None:
            await asyncio.wait([writing])
        self._unwritten.pop(grant.seq, None)

    async def _write(self, grant: Grant) -> None:
        try:
            while grant.recorded != (arrived := grant.arrived):
                await self._ledger.postpone(self._budget, grant)
                grant.recorded = arrived
            self._unwritten.pop(grant.seq, None)
        except LedgerUnavailable:
            self._unwritten[grant.seq] = grant
        except AgoraAnalyticsError:  # a ledger that fails is an error of the next request
            pass
        finally:
            del self._writing[grant.seq]
