"""What a harvest will cost, shown before it is begun."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from agora_analytics.cli.consoles import for_people
from agora_analytics.harvest import Estimate, estimate
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora


async def show_estimate(
    console: Console, client: "AsyncAgora", *, since: str, until: str, store: Path | None
) -> None:
    """Ask what a harvest will cost and write it. Spends a few list requests."""
    cost = await estimate(client, since=since, until=until, store=store)
    spent = client.sent.get("call/lists", 0)
    console.print(
        f"[good]A harvest[/] of {iso(cost.window.start)} to {iso(cost.window.end + 1)} "
        f"under the {client.settings.plan.name} plan",
        soft_wrap=True,
    )
    known = f" ({cost.known:,} more are in the store)" if cost.known else ""
    console.print(f"  [fact]{cost.calls:,}[/] calls to visit{known}", soft_wrap=True)
    console.print(f"  about [fact]{for_people(cost.seconds)}[/] at the plan's pace", soft_wrap=True)
    console.print(_table(cost))
    if cost.enough:
        console.print("[good]What is left of the day's quota suffices.[/]")
    else:
        opens = max(quota.opens_at for quota in cost.quotas.values())
        console.print(
            f"[warn]What is left of the day's quota does not suffice:[/] the harvest will stop at it, "
            f"and goes on when it is run again after {iso(opens)}.",
            soft_wrap=True,
        )
    console.print(f"[faint]Nothing was stored. Asking this took {spent} list request(s).[/]", soft_wrap=True)


def _table(cost: Estimate) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    table.add_column("endpoint")
    table.add_column("requests", justify="right")
    table.add_column("left today", justify="right")
    table.add_column("share", justify="right")
    for name, count in cost.requests.items():
        left = cost.quotas[name].left
        share = f"{count / left:.0%}" if left else "-"
        table.add_row(name, f"{count:,}", f"{left:,}", share, style="" if count <= left else "yellow")
    return table
