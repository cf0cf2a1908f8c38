"""`agora-analytics demo`."""

import asyncio
import hashlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.options import SeedOption, option_groups
from agora_analytics.cli.terminal import out as stdout

if TYPE_CHECKING:
    from rich.console import Console

    from agora_analytics.harvest import HarvestReport
    from agora_analytics.simulator import World

SEED = 7
CALLS = 220
_DAY = 86_400

# Lines of at most 76 characters fit a terminal of 80.
QUERIES = {
    "Which calls froze most?": """\
select cname, created_ts, count(distinct sid) as users,
       round(100 * count_if(value > 0) / count(value), 1) as "frozen %"
from calls join metrics using (call_id)
where mid = 20011            -- milliseconds of frozen video
group by call_id, cname, created_ts order by "frozen %" desc limit 5""",
    "Which networks lose packets?": """\
select network, count(distinct sid) as sessions,
       round(avg(value), 2) as "loss %",
       round(quantile_cont(value, 0.99), 1) as "worst 1 %"
from sessions join metrics using (call_id, sid)
where mid in (20016, 20018)  -- audio and video loss from end to end
group by network order by "loss %" desc""",
    "Which are the busiest hours?": """\
select hour(created_ts) as "hour UTC", count(*) as calls,
       bar(count(*), 0, max(count(*)) over (), 30) as begun
from calls
group by "hour UTC" order by calls desc limit 6""",
}


@option_groups
def demo(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder of the store. If it exists, the harvest continues in it.",
        ),
    ] = Path("agora-demo"),
    seed: SeedOption = SEED,
    calls: Annotated[int, typer.Option(min=1, metavar="N", help="Number of simulated calls.")] = CALLS,
) -> None:
    """Harvest and query a simulated project in under a minute, without an account.

    A simulated server on this machine has yesterday's calls of a made-up project. They are harvested over HTTP at the
    rate of the Enterprise plan, and three SQL queries show what is in them.
    """
    from agora_analytics.cli.commands.simulate import format_server_report
    from agora_analytics.cli.harvest_summary import show_summary
    from agora_analytics.instants import next_midnight, utc_day
    from agora_analytics.simulator import Simulator, serve_in_thread

    console = stdout()
    today = int(next_midnight(time.time())) - _DAY
    world = _world(seed, calls, today - _DAY, today)
    simulator = Simulator(world, plan="enterprise")
    with serve_in_thread(simulator) as base_url:
        console.print(
            f"[good]The demo:[/] a simulated project with {calls:,} calls on {utc_day(today - 1)}, under the limits of the "
            "Enterprise plan: 10 requests a second for each endpoint.\n"
        )
        if out.exists():
            console.print(f"{out} exists: the harvest continues in it.\n", markup=False)
        report = asyncio.run(_harvest(world, base_url, since=today - _DAY, until=today, store=out))
    show_summary(console, report, out)
    for line in format_server_report(simulator.seen):
        console.print(line, style="faint")
    show_queries(console, out)
    _show_next(console, out)


def _world(seed: int, calls: int, since: int, until: int) -> "World":
    """Return the day's calls. Other arguments, or another day, give other ids, so that one store can hold both."""
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


async def _harvest(world: "World", base_url: str, **arguments: Any) -> "HarvestReport":
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.cli.live_progress import Progress, harvest_with_progress
    from agora_analytics.engine.ledger import MemoryLedger
    from agora_analytics.simulator import DEMO_CREDENTIALS

    ((customer_id, customer_secret),) = DEMO_CREDENTIALS.items()
    progress = Progress()
    async with AsyncAgora(
        customer_id,
        customer_secret,
        app_id=world.app_id,
        plan="enterprise",
        base_url=base_url,
        observer=progress.sent,
        ledger=MemoryLedger(),  # the quota of a simulator
    ) as client:
        return await harvest_with_progress(client, progress, **arguments)


def show_queries(console: "Console", store: Path) -> None:
    """Run the queries of the demo and write each with its result."""
    from rich.padding import Padding
    from rich.syntax import Syntax

    from agora_analytics.cli.output.table import TableWriter, query_result
    from agora_analytics.store import open_store

    opened = open_store(store)
    for question, query in QUERIES.items():
        console.print(f"\n[good]{question}[/]\n")
        if console.is_terminal:
            sql = Syntax(query, "sql", theme="ansi_dark", background_color="default", word_wrap=True)
            console.print(Padding(sql, (0, 0, 1, 2)))
        else:
            console.print(*(f"  {line}" for line in query.splitlines()), "", sep="\n", markup=False)
        table = opened.sql(query).to_arrow_table()
        writer = TableWriter(query_result(table), indent=2, summary=False)
        writer.add(table)
        writer.finish()


def _show_next(console: "Console", store: Path) -> None:
    folder = shlex.quote(str(store))
    query = "select platform, count(*) from sessions group by all"
    # Two lines, because a terminal of 80 would break one inside a word.
    console.print("\n[good]What to type next[/]")
    for purpose, *commands in (
        ("Run another query:", f"agora-analytics sql --store {folder} \\", f'  "{query}"'),
        (
            "Harvest your own calls:",
            "export AGORA_CUSTOMER_ID=... AGORA_CUSTOMER_SECRET=... AGORA_APP_ID=...",
            "agora-analytics harvest --since 6h --out calls.store --dry-run",
        ),
        ("Run the simulated server alone and harvest it:", "agora-analytics simulate --port 8080"),
    ):
        console.print(f"\n  {purpose}", style="faint")
        for command in commands:
            # one line, so that it can be copied
            console.print(f"    {command}", markup=False, soft_wrap=True)
