"""A worker: harvests the accounts whose jobs it gets from the queue, until it is stopped."""

import os
import socket
import time
from collections.abc import Callable
from logging import INFO, WARNING
from typing import NoReturn

from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.errors import FencedOff
from agora_analytics.fleet.local import harvestable, open_resources
from agora_analytics.fleet.one_account import pass_over
from agora_analytics.fleet.queue import JobQueue
from agora_analytics.fleet.records import Claim, StartedPass
from agora_analytics.fleet.report import AccountReport
from agora_analytics.fleet.schedule import schedule
from agora_analytics.instants import iso
from agora_analytics.kit.config_file import Account, Config
from agora_analytics.logs import logged_as, logger_of

FENCED_OFF = 75
"""The exit code of a process whose work was taken over. A supervisor starts it again."""

_log = logger_of("fleet")


def end_process(account: str) -> NoReturn:
    """End this process at once, and report nothing.

    The process stood still for so long that other workers have taken its jobs over. Procrastinate would let it end a job
    that another worker has.
    """
    _log.error("account %s was taken over by another worker; this process ends", account)
    os._exit(FENCED_OFF)


class Worker:
    """Harvests accounts as the queue has jobs for them.

    Args:
        queue: the queue, which is open.
        config: the configuration file with the accounts.
        ledger: counts the requests, and refuses those of workers that were replaced.
        max_concurrent: how many accounts are harvested at the same time.
        end: called with the account of a claim that was lost. Default: the process ends.
    """

    def __init__(
        self,
        queue: JobQueue,
        config: Config,
        *,
        ledger: NetworkLedger,
        max_concurrent: int = 8,
        end: Callable[[str], NoReturn] = end_process,
    ) -> None:
        self._queue = queue
        self._config = config
        self._ledger = ledger
        self._max_concurrent = max_concurrent
        self._end = end
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    async def run(self) -> None:
        """Work until the task is cancelled.

        Raises:
            QueueUnavailable: the queue cannot be reached.
            ConfigurationError: the queue refuses a statement, for example because a privilege is missing.
        """
        accounts = [account.name for account in harvestable(self._config)]
        async with open_resources(self._max_concurrent) as resources:
            self._resources = resources
            await self._queue.work(self._pass, accounts, max_concurrent=self._max_concurrent)

    async def _pass(self, claim: Claim) -> None:
        account = self._config.accounts[claim.account]
        started = await self._queue.records.begin(claim, vendor=account.vendor, worker=self._name)
        if started is None:
            self._end(account.name)
        with logged_as(account.name):
            await self._harvest(account, started)

    async def _harvest(self, account: Account, started: StartedPass) -> None:
        begun = time.monotonic()
        _log.info("the pass begins")
        report = await self._report(account, started.token)
        if isinstance(report.error, FencedOff):
            self._end(account.name)
        # In the time of the queue, because the clock of this machine may be wrong.
        ended = started.at + time.monotonic() - begun
        every = account.harvest.every
        next_pass = schedule(report, begun=started.at, ended=ended, every=every, failures=started.failures)
        if not await self._queue.records.end(started, report, next_pass):
            self._end(account.name)
        due = "parked" if next_pass.due is None else f"the next one begins at {iso(next_pass.due)}"
        reason = f" ({next_pass.reason})" if next_pass.reason else ""
        level = INFO if next_pass.outcome in {"complete", "quota used up"} else WARNING
        _log.log(level, "the pass has ended: %s%s; %s", next_pass.outcome, reason, due)

    async def _report(self, account: Account, token: int) -> AccountReport:
        arguments = {"since": None, "until": "now", "store": None, "durable": True, "verify": False}
        # Fleets with different queues may share the ledger and the name of an account.
        ledger = self._ledger.fenced(f"{self._queue.id}/{account.name}", token)
        try:
            options = {"ledger": ledger, "resources": self._resources}
            return await pass_over(account, arguments, options, compact=True, observer=None)
        finally:
            await ledger.aclose()
