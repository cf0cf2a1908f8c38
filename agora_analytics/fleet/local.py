"""Harvests all accounts of a configuration file in one process, on one event loop."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from agora_analytics.core.windows import time_range
from agora_analytics.engine.clock import SystemClock
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.open_ledger import LEDGER, open_ledger
from agora_analytics.engine.shared_resources import SharedResources
from agora_analytics.engine.transports import CONNECTIONS
from agora_analytics.errors import InvalidRequest
from agora_analytics.fleet.one_account import pass_over
from agora_analytics.fleet.report import AccountBegun, AccountObserver, AccountReport
from agora_analytics.harvest.run import HarvestStore
from agora_analytics.instants import Instant
from agora_analytics.kit.client import ConfigPath
from agora_analytics.kit.config_file import Account, Config, read_config
from agora_analytics.logs import logged_as, logger_of, one_line

if TYPE_CHECKING:
    from agora_analytics.engine.clock import Clock
    from agora_analytics.engine.ledger import Ledger
    from agora_analytics.engine.retry_policy import RetryPolicy

MAX_CONCURRENT = 8
"""The default number of accounts at a time: one core carries about three at full pace, and others wait for their limits."""
_MOST_CONNECTIONS = 512

_log = logger_of("harvest")


async def harvest_accounts(
    accounts: Sequence[str] | None = None,
    config: ConfigPath | None = None,
    *,
    since: Instant | None = None,
    until: Instant = "now",
    store: HarvestStore | None = None,
    durable: bool = True,
    verify: bool = False,
    compact: bool = True,
    max_concurrent: int = MAX_CONCURRENT,
    ledger: "Ledger | None" = None,
    resources: SharedResources | None = None,
    retry: "RetryPolicy | None" = None,
    clock: "Clock | None" = None,
    observer: AccountObserver | None = None,
) -> dict[str, AccountReport]:
    """Harvest accounts of the configuration file once, several at a time, on the running event loop.

    The accounts share connections, the memory for responses, and the ledger. An error of one account is in its report
    and does not end the others. If the task is cancelled, all harvests end; what they have stored is safe, and the next
    run continues from there.

    Args:
        accounts: their names. Default: all accounts of the file whose vendor has a harvest.
        config: the configuration file; None: the one that `AGORA_CONFIG` names, or the default one.
        since: the start of the time range. Default: `since` of each account.
        until: its end.
        store: a store, or the folder of one, for all accounts. Default: `store` of each account or of the file.
        durable: flush every object to the disk before it counts as written.
        verify: read every page of the store first, as for `harvest`.
        compact: merge the files of days that are over, as for `harvest`; one account at a time.
        max_concurrent: how many accounts are harvested at the same time.
        ledger: counts the requests of all accounts. Default: that of `AGORA_LEDGER` or of the file.
        resources: what the clients share. Default: new ones.
        retry: timeouts, deadline, back-off and number of attempts.
        clock: as for the clients.
        observer: called with the name of an account and each event of its pass, in addition to the log.

    Returns:
        The report of each account, by name, in the order of the names.

    Raises:
        ConfigurationError: the file cannot be used, or it has no account of a name.
        InvalidRequest: `max_concurrent` is less than 1, or `since` and `until` are not a time range.

    Example:
        reports = await harvest_accounts()
        for name, report in reports.items():
            print(name, report.error or report.report.calls)
    """
    if max_concurrent < 1:
        raise InvalidRequest(f"max_concurrent={max_concurrent} must be at least 1")
    if since is not None:  # otherwise each account would report the same mistake
        time_range(since, until, now=(clock or SystemClock()).now())
    opened = read_config(config)
    chosen = (
        harvestable(opened) if accounts is None else [opened.named(name) for name in dict.fromkeys(accounts)]
    )
    arguments = {"since": since, "until": until, "store": store, "durable": durable, "verify": verify}
    places = asyncio.Semaphore(max_concurrent)
    reports: dict[str, AccountReport] = {}

    async def one(account: Account, options: dict[str, Any]) -> None:
        async with places:
            _notify(observer, account.name, AccountBegun(vendor=account.vendor))
            with logged_as(account.name):
                report = await pass_over(account, arguments, options, compact=compact, observer=observer)
                _log_end(report)
            reports[account.name] = report
            _notify(observer, account.name, report)

    async with AsyncExitStack() as stack:
        if resources is None:
            resources = await stack.enter_async_context(open_resources(max_concurrent))
        if ledger is None:
            ledger = _ledger(opened, clock)
            stack.push_async_callback(ledger.aclose)
        options = {"ledger": ledger, "resources": resources, "retry": retry, "clock": clock}
        async with asyncio.TaskGroup() as group:
            for account in chosen:
                group.create_task(one(account, options), name=f"harvest of {account.name}")
    return {account.name: reports[account.name] for account in chosen}


def open_resources(max_concurrent: int) -> AbstractAsyncContextManager[SharedResources]:
    """Return what the clients share, with enough connections for so many accounts at a time."""
    return SharedResources.open(
        connections=min(CONNECTIONS * max_concurrent, _MOST_CONNECTIONS, _open_files() // 2)
    )


def _open_files() -> int:
    """Return how many files and connections the system lets this process open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def harvestable(config: Config) -> list[Account]:
    """Return the accounts whose vendor has a harvest, in the order of the file."""
    return [account for account in config.accounts.values() if account.can_be_harvested]


def _ledger(config: Config, clock: "Clock | None") -> Any:
    if clock is not None:  # another clock's times must not enter a file that programs share
        return MemoryLedger()
    return open_ledger(os.environ.get(LEDGER) or config.ledger)


def _notify(observer: AccountObserver | None, name: str, event: AccountBegun | AccountReport) -> None:
    try:
        if observer is not None:
            observer(name, event)
    except Exception:  # noqa: BLE001 - of the caller; the accounts continue
        _log.exception("the observer raised an error for %s", type(event).__name__)


def _log_end(report: AccountReport) -> None:
    if report.error is not None:
        _log.error("the pass ended with an error: %s", one_line(str(report.error)))
    elif report.complete:
        _log.info("the pass is complete")
    else:
        _log.warning("the pass ended with something left for the next run")
