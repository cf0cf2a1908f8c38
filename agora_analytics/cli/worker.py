"""Runs a worker of a fleet until a signal ends it."""

import asyncio
import logging
import signal
import sys

from agora_analytics.cli.terminal import err, one_line
from agora_analytics.engine.network.ledger import NetworkLedger
from agora_analytics.errors import ConfigurationError
from agora_analytics.fleet.local import harvestable
from agora_analytics.fleet.queue import JobQueue
from agora_analytics.fleet.worker import Worker
from agora_analytics.kit.config_file import Config
from agora_analytics.logs import set_up_from_environment

_LIBRARIES = ("procrastinate", "psycopg")


def run_worker(config: Config, dsn: str, *, ledger: NetworkLedger, max_concurrent: int) -> None:
    """Harvest accounts until SIGTERM.

    Args:
        config: the accounts.
        dsn: of the queue.
        ledger: counts the requests. It is closed at the end.
        max_concurrent: how many accounts are harvested at the same time.

    Raises:
        ConfigurationError: no account can be harvested.
        KeyboardInterrupt: Ctrl-C.
        QueueUnavailable: PostgreSQL cannot be reached.
    """
    accounts = harvestable(config)
    if not accounts:
        raise ConfigurationError(f"{config.file} has no account that can be harvested; add [[account]]")
    set_up_from_environment(config.log or "info")
    for name in _LIBRARIES:  # their errors are ours too, with what to do
        logging.getLogger(name).addHandler(logging.NullHandler())
    number = f"{len(accounts):,} account{'' if len(accounts) == 1 else 's'}"
    local = [each.name for each in accounts if each.harvest.store and "://" not in each.harvest.store]
    if local:
        one_line(
            err(),
            f"agora-analytics: {len(local):,} of {len(accounts):,} accounts have a folder as the store, such as {local[0]}. "
            "All workers must see the same folder; on several machines, use a bucket.",
            "warn",
        )
    one_line(err(), f"agora-analytics: working on {number}, {max_concurrent} at a time", "faint")
    try:
        asyncio.run(_work(config, dsn, ledger, max_concurrent))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; other workers continue the passes in progress") from None


async def _work(config: Config, dsn: str, ledger: NetworkLedger, max_concurrent: int) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a coroutine
    terminated = asyncio.Event()

    def terminate() -> None:
        terminated.set()
        task.cancel()

    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        async with JobQueue(dsn) as queue:
            await Worker(queue, config, ledger=ledger, max_concurrent=max_concurrent).run()
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise
    finally:
        await ledger.aclose()
