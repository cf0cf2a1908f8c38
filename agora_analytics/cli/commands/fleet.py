"""`agora-analytics worker` and the group `fleet`: harvests of many accounts by workers on several machines."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import frozen

from agora_analytics.cli.options import option_groups
from agora_analytics.cli.output import Output
from agora_analytics.cli.terminal import out
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.kit.config_file import CONFIG, Config, default_file, read_config

if TYPE_CHECKING:
    from agora_analytics.engine.network.ledger import NetworkLedger

QUEUE = "AGORA_QUEUE"
"""The environment variable that names the queue."""


@frozen(kw_only=True)
class FleetOptions:
    """The options of every command of a fleet."""

    queue: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"PostgreSQL database with the queue: postgresql://... Default: {QUEUE}, or `queue` in the "
            "configuration file.",
            show_default=False,
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help=f"Configuration file with the accounts. Default: {CONFIG}, or agora-analytics.toml in the working "
            "directory or in the user's configuration folder.",
            show_default=False,
        ),
    ] = None

    @property
    def file(self) -> Config:
        """The configuration file.

        Raises:
            ConfigurationError: there is none, or it is not valid.
        """
        return read_config(self.config)

    @property
    def found_file(self) -> Config | None:
        """The configuration file; None: no file is named, and there is none at the default places."""
        is_there = self.config or os.environ.get(CONFIG) or default_file()
        return self.file if is_there else None

    @property
    def ledger(self) -> "NetworkLedger":
        """The ledger of the workers. By default it is in the database of the queue.

        Raises:
            ConfigurationError: it is not on a server.
        """
        from agora_analytics.engine.network.ledger import NetworkLedger
        from agora_analytics.engine.network.postgres import PostgresLedger
        from agora_analytics.engine.open_ledger import LEDGER, open_ledger

        config = self.found_file
        name = os.environ.get(LEDGER) or (config.ledger if config else None)
        opened = open_ledger(name) if name else PostgresLedger(self.dsn)
        if not isinstance(opened, NetworkLedger):
            raise ConfigurationError(
                "workers share a ledger on a server; use postgresql:// or redis://, not a file"
            )
        return opened

    @property
    def dsn(self) -> str:
        """The connection string of the queue.

        Raises:
            ConfigurationError: nothing names a queue.
        """
        if dsn := self.queue or os.environ.get(QUEUE, "").strip():
            return dsn
        config = self.file
        if not config.queue:
            raise ConfigurationError(
                f'no queue is named; pass --queue, set {QUEUE}, or add queue = "postgresql://..." to {config.file}'
            )
        return config.queue


app = typer.Typer(
    name="fleet",
    help="Workers on several machines that harvest the accounts of the configuration file. Their queue is in PostgreSQL.",
    no_args_is_help=True,
)

AccountsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ACCOUNT",
        help="Accounts whose pass begins now, also parked ones. Default: all that have no pass, but not parked ones.",
    ),
]


@app.command("init")
@option_groups
def init(*, options: FleetOptions) -> None:
    """Create or migrate the schemas of the queue and of the ledger. Safe to repeat."""
    from agora_analytics.engine.network.postgres import PostgresLedger
    from agora_analytics.fleet.queue_schema import MIGRATION_TIMEOUT, create_schema, queue_connections

    connections = queue_connections(options.dsn, timeout=MIGRATION_TIMEOUT)

    ledger = options.ledger

    async def run() -> None:
        try:
            await create_schema(connections)
            if isinstance(ledger, PostgresLedger):
                await ledger.create_schema()
        finally:
            await connections.aclose()
            await ledger.aclose()

    asyncio.run(run())
    out().print(f"The queue is ready: {connections.address}. The ledger: {ledger.address}", markup=False)


@app.command("plan")
@option_groups
def plan(*, account: AccountsArgument = None, options: FleetOptions) -> None:
    """Enqueue a pass over each account that has none. Workers do so every minute.

    An account that is named begins now: if it is parked, and if its next pass waits for a later time.
    """
    from agora_analytics.fleet.local import harvestable
    from agora_analytics.fleet.queue import JobQueue

    config = options.file
    known = [each.name for each in harvestable(config)]
    for name in account or ():
        if config.named(name).name not in known:
            raise ConfigurationError(
                f"accounts of vendor {config.named(name).vendor!r} cannot be harvested: {name}"
            )

    async def run() -> list[str]:
        async with JobQueue(options.dsn) as queue:
            if not account:
                return await queue.jobs.plan(known)
            return await queue.jobs.plan(account, parked_too=True) + await queue.jobs.start_now(account)

    planned = asyncio.run(run())
    if planned:
        out().print(f"Planned: {', '.join(planned)}", markup=False)
    else:
        out().print("Nothing to plan: each account runs, waits for its next pass, or is parked.")


@app.command("status")
@option_groups
def status(*, output: Output, options: FleetOptions) -> None:
    """Show each account: the last pass, what is left, the quota, the next run, the worker, and why it is parked."""
    from agora_analytics.cli.fleet_status import show_status
    from agora_analytics.fleet.local import harvestable
    from agora_analytics.fleet.queue_schema import queue_connections
    from agora_analytics.fleet.status import AccountStatus, FleetStatus, fleet_status

    connections = queue_connections(options.dsn)

    async def run() -> FleetStatus:
        try:
            return await fleet_status(connections)
        finally:
            await connections.aclose()

    found = asyncio.run(run())
    config = options.found_file
    known = [each.name for each in harvestable(config)] if config else []
    names = dict.fromkeys((*known, *found.accounts))
    rows = [found.accounts.get(name) or AccountStatus(account=name, state="not planned") for name in names]
    show_status(found, rows, output)


@app.command("remove")
@option_groups
def remove(
    *,
    account: Annotated[list[str], typer.Argument(metavar="ACCOUNT", help="Accounts to remove.")],
    options: FleetOptions,
) -> None:
    """Remove accounts from the queue: cancel the waiting pass and forget the last one. The store keeps its rows.

    First take the account out of the configuration file and restart the workers. Otherwise they plan it again.
    """
    from agora_analytics.fleet.queue import JobQueue

    async def run() -> list[str]:
        running = []
        async with JobQueue(options.dsn) as queue:
            for name in account:
                is_running, was_there = await queue.jobs.remove(name)
                running += [name] if is_running else []
                if not is_running:
                    out().print(f"Removed {name}" if was_there else f"The queue has no {name}", markup=False)
        return running

    if running := asyncio.run(run()):
        raise InvalidRequest(
            f"{', '.join(running)}: a worker is harvesting it; restart the worker without the account, and try again"
        )


@option_groups
def worker(
    *,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many accounts are harvested at the same time.")
    ] = 8,
    options: FleetOptions,
) -> None:
    """Harvest accounts as the queue has passes for them, until Ctrl-C or SIGTERM. Run several, on any machine.

    It ends with exit code 69 if PostgreSQL cannot be reached, and with 75 if another worker has taken its work over. Let a
    supervisor such as systemd start it again.
    """
    from agora_analytics.cli.worker import run_worker

    run_worker(options.file, options.dsn, ledger=options.ledger, max_concurrent=concurrency)
