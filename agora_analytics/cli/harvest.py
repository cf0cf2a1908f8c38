"""`agora-analytics harvest`."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agora_analytics.cli.account import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)

_TIMES = "ISO 8601 (2026-11-20T08:00Z), epoch seconds, or ago (6h, 2d)"


def harvest(
    since: Annotated[str, typer.Option(metavar="TIME", help=f"From when: {_TIMES}.")],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", file_okay=False, help="The store's folder; made if it is not there."),
    ],
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to when: as --since.")] = "now",
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it will cost. Spends a few list requests.")
    ] = False,
    insight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Keep this metric of Data Insights too, hour by hour: joinSuccessRate, say. For each day it "
            "takes one or two of the 40 to 60 requests of a day. Give it again for more.",
        ),
    ] = None,
    no_compact: Annotated[
        bool,
        typer.Option("--no-compact", help="Leave the many small files of days that are over as they are."),
    ] = False,
) -> int:
    """Bring all calls of a time range, their sessions and their metrics, into a folder of Parquet.

    The customer id and secret come from AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET only. Whatever ends it, the same
    command goes on where it stood. Exit code 75: the day's quota is spent, run it again later.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    if dry_run:
        return asyncio.run(_estimate(account, since, until, out))
    insights = insight or ()
    return asyncio.run(_harvest(account, since, until, out, insights, compact=not no_compact))


async def _estimate(account: Account, since: str, until: str, store: Path) -> int:
    from agora_analytics.cli.consoles import out
    from agora_analytics.cli.dry_run import show_estimate

    async with account.client() as client:
        await show_estimate(out(), client, since=since, until=until, store=store)
    return 0


async def _harvest(
    account: Account, since: str, until: str, store: Path, insights: Sequence[str], *, compact: bool
) -> int:
    from agora_analytics.agora.operations import LISTS
    from agora_analytics.cli.consoles import err, one_line, out
    from agora_analytics.cli.exit_codes import DONE, TRY_LATER
    from agora_analytics.cli.progress import Progress
    from agora_analytics.cli.summary import not_finished, show_summary
    from agora_analytics.cli.watching import watching
    from agora_analytics.harvest import harvest as run_harvest
    from agora_analytics.harvest import harvest_insights

    progress, errors = Progress(), err()
    async with account.client(observer=progress.sent) as client:
        client.legal_window(LISTS, since, until)  # before the store's folder is made for nothing
        async with watching(client, progress, errors):
            report = await run_harvest(
                client, since=since, until=until, store=store, observer=progress.stored, compact=compact
            )
        show_summary(out(), report, store)
        if insights:
            told = await harvest_insights(client, insights, since=since, until=until, store=store)
            show_summary(out(), told, store, units="insight days")
    if unfinished := not_finished(report, same_range=is_fixed(since) and is_fixed(until)):
        one_line(errors, f"agora-analytics: {unfinished}")
        return TRY_LATER
    return DONE


def is_fixed(moment: str) -> bool:
    """Return whether a time means the same moment tomorrow."""
    return not re.fullmatch(r"\s*(now|[\d.]+\s*[smhdw])\s*", moment)
