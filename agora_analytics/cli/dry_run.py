"""What a harvest will cost, shown before it is begun."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.cli.client_context import format_requests
from agora_analytics.cli.harvest_summary import show_skipped
from agora_analytics.cli.terminal import for_people
from agora_analytics.harvest import Estimate, estimate
from agora_analytics.harvest.run import Client
from agora_analytics.instants import iso


async def show_estimate(
    console: Console, client: Client, *, since: str, until: str, store: Path | None, units: str = "calls"
) -> None:
    """Ask what a harvest will cost and write it; `units` are what it visits. Spends what `estimate` says."""
    cost = await estimate(client, since=since, until=until, store=store)
    under = f" under the {client.settings.plan.name} plan" if isinstance(client, AsyncAgora) else ""
    console.print(
        f"[good]A harvest[/] of {iso(cost.window.start)} to {iso(cost.window.end + 1)}{under}", soft_wrap=True
    )
    known = f" ({cost.known:,} more are in the store)" if cost.known else ""
    console.print(f"  [fact]{cost.calls:,}[/] {units} to visit{known}", soft_wrap=True)
    console.print(f"  about [fact]{for_people(cost.seconds)}[/] at the pace that is allowed", soft_wrap=True)
    console.print(_table(cost))
    if cost.skipped:
        console.print("[warn]What cannot be listed is not counted, and the harvest will skip it:[/]")
        show_skipped(console, cost.skipped)
    _show_quota(console, cost)
    spent = f"Asking this took {format_requests(client.sent)}." if client.sent else "Nothing was sent."
    console.print(f"[faint]Nothing was stored. {spent}[/]", soft_wrap=True)


def _show_quota(console: Console, cost: Estimate) -> None:
    """Say whether the day's quota suffices, where there is one."""
    daily = [cost.quotas[name] for name in cost.requests if cost.quotas[name].daily]
    if not cost.enough:
        opens = max(quota.opens_at for quota in daily)
        console.print(
            f"[warn]What is left of the day's quota does not suffice:[/] the harvest will stop at it, "
            f"and goes on when it is run again after {iso(opens)}.",
            soft_wrap=True,
        )
    elif daily:
        console.print("[good]What is left of the day's quota suffices.[/]")


def _table(cost: Estimate) -> Table:
    daily = any(cost.quotas[name].daily for name in cost.requests)
    table = Table(box=None, header_style="dim", padding=(0, 2))
    table.add_column("endpoint")
    table.add_column("requests", justify="right")
    if daily:
        table.add_column("left today", justify="right")
        table.add_column("share", justify="right")
    for name, count in cost.requests.items():
        left = cost.quotas[name].left
        share = f"{count / left:.0%}" if left else "-"
        of_the_day = (f"{left:,}", share) if daily else ()
        table.add_row(name, f"{count:,}", *of_the_day, style="yellow" if daily and count > left else "")
    return table
