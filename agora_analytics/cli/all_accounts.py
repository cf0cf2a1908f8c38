"""`agora-analytics harvest --all-accounts`: the passes, their live view, the table and the exit code."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any

from rich.live import Live

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.fleet_progress import FleetProgress
from agora_analytics.cli.fleet_summary import show_fleet, trouble_of
from agora_analytics.cli.live_progress import LineTimer
from agora_analytics.cli.options import HarvestOptions
from agora_analytics.cli.runner import DONE
from agora_analytics.cli.terminal import err, one_line, out
from agora_analytics.engine.call_options import call_limits
from agora_analytics.engine.ledger import Ledger
from agora_analytics.engine.open_ledger import open_ledger
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.fleet import AccountReport, harvest_accounts
from agora_analytics.fleet.local import harvestable
from agora_analytics.kit.config_file import read_config

_TICK = 0.25  # seconds between two looks at the clock for the plain lines


def harvest_all(
    options: HarvestOptions,
    account: AgoraAccount,
    of_one: Mapping[str, Any],
    *,
    concurrency: int,
    compact: bool,
) -> int:
    """Harvest all accounts of the configuration file, show their table, and return the exit code.

    The exit code is that of the first account with an error, in the order of the file, or else that of the first account
    that is not complete.

    Args:
        options: of the harvest; what is missing comes from the file.
        account: the options of the account.
        of_one: options that describe a single account, which the file describes here.
        concurrency: how many accounts are harvested at a time.
        compact: merge the files of past days.
    """
    _refuse_options_of_one(options, account, of_one)
    config = read_config(account.config)
    chosen = harvestable(config)
    if not chosen:
        raise ConfigurationError(f"{config.file} has no account that can be harvested; add [[account]]")
    progress = FleetProgress(total=len(chosen), quiet=options.quiet)
    reports: dict[str, AccountReport] = {}
    ledger = open_ledger(account.ledger) if account.ledger else None
    work = harvest_accounts(
        config=config.file,
        since=options.since,
        until=options.until,
        store=options.out,
        durable=not options.no_durable,
        verify=options.verify,
        compact=compact,
        max_concurrent=concurrency,
        ledger=ledger,
        retry=account.retry_policy(),
        observer=progress.observe,
    )
    try:
        with call_limits({} if account.max_wait is None else {"max_wait": account.max_wait}):
            reports = asyncio.run(_closing(ledger, _shown(work, progress)))
    finally:  # also after Ctrl-C: what is stored so far
        if not options.quiet and (progress.ended or progress.active):
            show_fleet(out(), config, reports or progress.ended, progress)
    codes = []
    for report in reports.values():
        if trouble := trouble_of(report):
            text, code = trouble
            one_line(err(), f"agora-analytics: {report.account}: {text}")
            codes.append((report.error is None, code))
    return min(codes, key=lambda each: each[0])[1] if codes else DONE


async def _closing(
    ledger: Ledger | None, work: Awaitable[dict[str, AccountReport]]
) -> dict[str, AccountReport]:
    try:
        return await work
    finally:
        if ledger is not None:
            await ledger.aclose()


async def _shown(
    work: Awaitable[dict[str, AccountReport]], progress: FleetProgress
) -> dict[str, AccountReport]:
    """Run the passes with a live view on a terminal, or else with plain lines on stderr."""
    if progress.quiet:
        return await work
    console = err()
    if console.is_terminal:
        with Live(
            get_renderable=progress.view,
            console=console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        ):
            return await work
    lines = asyncio.create_task(_write_lines(progress))
    try:
        return await work
    finally:
        lines.cancel()
        with suppress(asyncio.CancelledError):
            await lines


async def _write_lines(progress: FleetProgress) -> None:
    due = LineTimer()
    while True:
        await asyncio.sleep(_TICK)
        if due.reached(progress.seconds):
            one_line(err(), progress.line())


def _refuse_options_of_one(options: HarvestOptions, account: AgoraAccount, of_one: Mapping[str, Any]) -> None:
    given = {
        "--account": account.account,
        "--app-id": account.app_id,
        "--plan": account.plan,
        "--region": account.region,
        "--base-url": account.base_url,
        "--dry-run": options.dry_run or None,
        **of_one,
    }
    if names := [name for name, value in given.items() if value is not None]:
        raise InvalidRequest(f"--all-accounts excludes {', '.join(names)}; set it in the configuration file")
