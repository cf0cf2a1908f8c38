"""What the command groups of the other vendors share: their options, and the way of a harvest."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from agora_analytics.cli.commands.harvest import is_fixed
from agora_analytics.cli.find_call import TIMES
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from agora_analytics.harvest.run import Client

PANEL = "Who asks"

SinceOption = Annotated[str, typer.Option(metavar="TIME", help=f"From when: {TIMES}.")]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="Up to when: as --since.")]
StoreOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        file_okay=False,
        help="The store's folder; made if it is not there. Several vendors may share one.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what it will cost; nothing is stored.")
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0: a free one.")]
LatencyOption = Annotated[str, typer.Option(metavar="MIN:MAX", help="Milliseconds that an answer takes.")]
FaultOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="Share of requests that fail: resets, 5xx, broken answers, hangs."),
]


class VendorAccount(Protocol):
    """Who asks a vendor that can be harvested."""

    def client(self, **means: Any) -> "Client":
        """Return a client, with further arguments of it."""
        ...


def require(missing: list[str], vendor: str) -> None:
    """Refuse to begin without what the environment should name.

    Raises:
        ConfigurationError: naming all of it.
    """
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)}; "
            f"to try it without an account: agora-analytics {vendor} simulate"
        )


def run_harvest(
    account: VendorAccount, since: str, until: str, store: Path, *, units: str, dry_run: bool
) -> int:
    """Harvest a vendor into a store, show the progress and the summary, and return the exit code.

    Args:
        account: who asks.
        since: as the options say it.
        until: likewise.
        store: the folder.
        units: what the harvest visits, in words.
        dry_run: only say what it will cost.
    """
    work = _estimate if dry_run else _harvest
    return asyncio.run(work(account, since, until, store, units))


async def _estimate(account: VendorAccount, since: str, until: str, store: Path, units: str) -> int:
    from agora_analytics.cli.client_context import open_client
    from agora_analytics.cli.dry_run import show_estimate
    from agora_analytics.cli.terminal import out

    async with open_client(account) as client:
        await show_estimate(out(), client, since=since, until=until, store=store, units=units)
    return 0


async def _harvest(account: VendorAccount, since: str, until: str, store: Path, units: str) -> int:
    from agora_analytics.cli.exit_codes import DONE, TRY_LATER
    from agora_analytics.cli.harvest_summary import not_finished, show_summary
    from agora_analytics.cli.live_progress import show_progress
    from agora_analytics.cli.progress import Progress
    from agora_analytics.cli.terminal import err, one_line, out
    from agora_analytics.harvest import harvest

    progress, errors = Progress(), err()
    async with account.client(observer=progress.sent) as client, show_progress(client, progress, errors):
        report = await harvest(client, since=since, until=until, store=store, observer=progress.stored)
    show_summary(out(), report, store, units=units)
    same_range = is_fixed(since) and is_fixed(until)
    if unfinished := not_finished(report, same_range=same_range, units=units):
        one_line(errors, f"agora-analytics: {unfinished}")
        return TRY_LATER
    return DONE
