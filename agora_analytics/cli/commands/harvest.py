"""`agora-analytics harvest`, and what the harvests of all vendors have in common."""

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import open_client
from agora_analytics.cli.options import HarvestOptions, option_groups

if TYPE_CHECKING:
    from agora_analytics.harvest.run import HarvestClient


class HarvestAccount(Protocol):
    """An account of a vendor that can be harvested."""

    def client(self, **options: Any) -> "HarvestClient":
        """Return a client."""
        ...


@option_groups
def harvest(
    insight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Also store this metric of Data Insights, such as joinSuccessRate, hour by hour; repeat it for more. "
            "Each day takes one or two of the 40 to 60 requests that the plan allows a day.",
        ),
    ] = None,
    no_compact: Annotated[
        bool, typer.Option("--no-compact", help="Do not merge the small files of past days.")
    ] = False,
    *,
    options: HarvestOptions,
    account: AgoraAccount,
) -> int:
    """Store all calls of a time range, with their sessions and metrics, in a folder of Parquet files.

    The customer id and secret are read from AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET only. If the harvest stops, the
    same command continues it. Exit code 75: the day's quota is used up; run the command again later.
    """
    return run_harvest(account, options, insights=insight or (), compact=not no_compact)


def run_harvest(
    account: HarvestAccount,
    options: HarvestOptions,
    *,
    units: str = "calls",
    insights: tuple[str, ...] | list[str] = (),
    **more: Any,
) -> int:
    """Harvest a vendor into a store, show the progress and the summary, and return the exit code.

    Args:
        account: the account.
        options: the time range and the store.
        units: the name of what the harvest visits, in the plural.
        insights: metrics of Data Insights to store in addition.
        more: further arguments of `harvest.harvest`.
    """
    if options.dry_run:
        return asyncio.run(_estimate(account, options, units))
    return asyncio.run(_harvest(account, options, units, insights, more))


async def _estimate(account: HarvestAccount, options: HarvestOptions, units: str) -> int:
    from agora_analytics.cli.harvest_summary import show_estimate
    from agora_analytics.cli.terminal import out

    async with open_client(account.client) as client:
        await show_estimate(
            out, client, since=options.since, until=options.until, store=options.out, units=units
        )
    return 0


async def _harvest(
    account: HarvestAccount,
    options: HarvestOptions,
    units: str,
    insights: tuple[str, ...] | list[str],
    more: dict[str, Any],
) -> int:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.operations import LISTS
    from agora_analytics.cli.exit_codes import DONE, TRY_LATER
    from agora_analytics.cli.harvest_summary import not_finished, show_summary
    from agora_analytics.cli.live_progress import Progress, show_progress
    from agora_analytics.cli.terminal import err, one_line, out
    from agora_analytics.harvest import harvest as store_all
    from agora_analytics.harvest import harvest_insights

    since, until, store = options.since, options.until, options.out
    progress = Progress(units=units)
    async with account.client(observer=progress.sent) as client:
        if isinstance(client, AsyncAgora):
            client.legal_window(LISTS, since, until)  # before the folder of the store is created for nothing
        async with show_progress(client, progress, err()):
            report = await store_all(
                client, since=since, until=until, store=store, observer=progress.stored, **more
            )
        show_summary(out(), report, store, units=units)
        if insights and isinstance(client, AsyncAgora):
            days = await harvest_insights(client, insights, since=since, until=until, store=store)
            show_summary(out(), days, store, units="insight days")
    same_range = is_absolute(since) and is_absolute(until)
    if unfinished := not_finished(report, same_range=same_range, units=units):
        one_line(err(), f"agora-analytics: {unfinished}")
        return TRY_LATER
    return DONE


def is_absolute(time: str) -> bool:
    """Return whether a time option means the same time in every run, as `6h` and `now` do not."""
    return not re.fullmatch(r"\s*(now|[\d.]+\s*[smhdw])\s*", time)
