"""`agora-analytics demo`."""

import asyncio
import hashlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agora_analytics.harvest import HarvestReport
    from agora_analytics.simulator import World

SEED = 7
CALLS = 220
_DAY = 86_400


def demo(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="The store's folder. If it is there, the harvest goes on where it stood.",
        ),
    ] = Path("agora-demo"),
    seed: Annotated[
        int, typer.Option(help="Where the calls come from: the same seed, the same calls.")
    ] = SEED,
    calls: Annotated[int, typer.Option(min=1, help="How many calls there are.")] = CALLS,
) -> None:
    """Show the whole job in under a minute, without an account.

    A simulated server on this machine, yesterday's calls of a made-up project, harvested over HTTP at the Enterprise
    plan's real pace, and three questions with their answers.
    """
    from agora_analytics.cli.commands.demo_queries import show_questions
    from agora_analytics.cli.harvest_summary import show_summary
    from agora_analytics.cli.serve import asked
    from agora_analytics.cli.terminal import out as stdout
    from agora_analytics.instants import next_midnight, utc_day
    from agora_analytics.simulator import Simulator, serve_in_thread

    console = stdout()
    today = int(next_midnight(time.time())) - _DAY
    world = _world(seed, calls, today - _DAY, today)
    simulator = Simulator(world, plan="enterprise")
    with serve_in_thread(simulator) as base_url:
        console.print(
            f"[good]The demo:[/] a simulated project with {calls:,} calls on {utc_day(today - 1)},\n"
            "behind the limits of the Enterprise plan: 10 requests a second to each endpoint.\n",
            soft_wrap=True,
        )
        if out.exists():
            console.print(f"{out} is there already: the harvest goes on where it stood.\n", soft_wrap=True)
        report = asyncio.run(_harvest(world, base_url, out, since=today - _DAY, until=today))
    show_summary(console, report, out)
    for line in asked(simulator.seen):
        console.print(line, style="faint", soft_wrap=True)
    show_questions(console, out)
    _show_next(console, out)


def _world(seed: int, calls: int, since: int, until: int) -> "World":
    """Return the day's calls. Whatever differs, be it only the day, has other ids, so that one folder can hold both."""
    from agora_analytics.simulator import DEMO_APP_ID, World

    usual = (seed, calls) == (SEED, CALLS)
    app_id = DEMO_APP_ID if usual else hashlib.sha256(f"{seed}/{calls}".encode()).hexdigest()[:32]
    return World.generate(
        seed=seed * 1_000_000 + since // _DAY,
        since=since,
        until=until,
        calls=calls,
        app_id=app_id,
        ongoing_share=0,
    )


async def _harvest(world: "World", base_url: str, store: Path, *, since: int, until: int) -> "HarvestReport":
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.cli.live_progress import show_progress
    from agora_analytics.cli.progress import Progress
    from agora_analytics.cli.terminal import err
    from agora_analytics.harvest import harvest
    from agora_analytics.simulator import DEMO_CREDENTIALS

    ((customer_id, customer_secret),) = DEMO_CREDENTIALS.items()
    progress = Progress()
    async with (
        AsyncAgora(
            customer_id,
            customer_secret,
            app_id=world.app_id,
            plan="enterprise",
            base_url=base_url,
            observer=progress.sent,
        ) as client,
        show_progress(client, progress, err()),
    ):
        return await harvest(client, since=since, until=until, store=store, observer=progress.stored)


def _show_next(console: "Console", store: Path) -> None:
    folder = shlex.quote(str(store))
    question = "select platform, count(*) from sessions group by all"
    console.print("\n[good]What to type next[/]")
    for what, *commands in (
        ("Ask it something else:", f'agora-analytics sql --store {folder} "{question}"'),
        (
            "Harvest your own calls:",
            "export AGORA_CUSTOMER_ID=... AGORA_CUSTOMER_SECRET=... AGORA_APP_ID=...",
            "agora-analytics harvest --since 6h --out calls.store --dry-run",
        ),
        ("Run the simulated server alone, and harvest it yourself:", "agora-analytics simulate --port 8080"),
    ):
        console.print(f"\n  {what}", style="faint")
        for command in commands:
            console.print(f"    {command}", markup=False, soft_wrap=True)
