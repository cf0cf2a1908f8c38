"""`agora-analytics estimate`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import frozen

from agora_analytics.agora.enums import LIVE_COUNTS, QualityMetric, RealtimeMetric, UsageMetric
from agora_analytics.cli.account import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
from agora_analytics.cli.finding import TIMES
from agora_analytics.cli.listings import Kind, Listing, Row, Shown, moment, number, plain
from agora_analytics.cli.measures import metric_words, metrics_of
from agora_analytics.cli.output import Format, FormatOption, Output, OutputOption, at_once, pour
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.queries import Cost

_METRICS = (*UsageMetric, *QualityMetric)

COSTS = Listing(
    name="endpoints",
    columns={
        "endpoint": Kind.TEXT,
        "requests": Kind.WHOLE,
        "left": Kind.WHOLE,
        "per_day": Kind.WHOLE,
        "enough": Kind.FLAG,
        "opens_at": Kind.TIME,
    },
    shown=(
        Shown("endpoint", plain("endpoint")),
        Shown("requests", number("requests"), right=True),
        Shown("left today", number("left"), right=True),
        Shown("a day", number("per_day"), right=True),
        Shown("enough", lambda row: "yes" if row["enough"] else "no"),
        Shown("next day begins", moment("opens_at")),
    ),
)


def estimate(
    metrics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            autocompletion=lambda: list(map(str, _METRICS)),
            help="Metrics of usage and quality, to know what that question costs. None: a harvest.",
        ),
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="The question is one of agora-analytics realtime.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"From when you would ask: {TIMES}. Default: 1d; with --realtime: 10m.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to when: as --since.")] = "now",
    total: Annotated[bool, typer.Option("--total", help="The question is one with --total or --by.")] = False,
    top: Annotated[
        bool, typer.Option("--top", help="With --realtime: the question is one with --top.")
    ] = False,
    users: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="With --realtime: for how many users you would ask.",
            show_default=False,
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="The store that the harvest goes into: what it has is free."
        ),
    ] = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Say what a harvest, or a question about usage, quality or what happens now, would cost of the day's requests.

    For a harvest the calls are counted, which spends a few list requests; a question about metrics is only
    calculated, and nothing is sent.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    question = _Question(
        metrics=metrics_of(metrics or (), RealtimeMetric if realtime else _METRICS),
        realtime=realtime,
        since=since or ("10m" if realtime else "1d"),
        until=until,
        total=total,
        top=top,
        users=users,
    )
    asyncio.run(_show(account, question, out, Output.of(format, output)))


@frozen(kw_only=True)
class _Question:
    """What would be asked; without metrics: a harvest."""

    metrics: Sequence[str]
    realtime: bool
    since: str
    until: str
    total: bool
    top: bool
    users: int

    def __attrs_post_init__(self) -> None:
        if self.realtime and not self.metrics:
            raise InvalidRequest(f"--realtime wants metrics; choose of {metric_words(RealtimeMetric)}")
        if self.realtime and self.total:
            raise InvalidRequest("--realtime has no totals; leave --total out")
        if self.users and not self.realtime:
            raise InvalidRequest("--users is about single users, whom only --realtime tells of")
        if self.top and not self.realtime:
            raise InvalidRequest("--top is about the groups of this moment, which only --realtime tells of")
        if self.top and self.users:
            raise InvalidRequest("--top has groups and no single users; leave --users out")

    async def costs(self, client: "AsyncAgora") -> "list[Cost]":
        """Return what each endpoint would be asked; sends nothing."""
        if self.top:  # rates bring the user count with them
            rates = [metric for metric in self.metrics if metric not in LIVE_COUNTS]
            return await client.realtime.estimate(rates or self.metrics, top=True)
        if self.realtime:
            return await client.realtime.estimate(self.metrics, self.since, self.until, uids=self.users)
        return await client.insights.estimate(self.metrics, self.since, self.until, totals=self.total)


async def _show(account: Account, question: _Question, store: Path | None, output: Output) -> None:
    from agora_analytics.cli.asking import asking

    since, until = question.since, question.until
    async with asking(account, sends=not question.metrics) as client:
        if question.metrics:
            costs = await question.costs(client)
            await pour(at_once([_row(cost) for cost in costs]), COSTS, output)
            return
        if output.format is Format.TABLE and output.file is None:
            from agora_analytics.cli.consoles import out
            from agora_analytics.cli.dry_run import show_estimate

            await show_estimate(out(), client, since=since, until=until, store=store)
            return
        await pour(at_once(await _harvest(client, since, until, store)), COSTS, output)


def _row(cost: "Cost") -> Row:
    return {
        "endpoint": cost.endpoint,
        "requests": cost.requests,
        "left": cost.left,
        "per_day": cost.per_day,
        "enough": cost.affordable,
        "opens_at": int(cost.opens_at),
    }


async def _harvest(client: "AsyncAgora", since: str, until: str, store: Path | None) -> list[Row]:
    from agora_analytics.harvest import estimate as estimate_harvest

    cost = await estimate_harvest(client, since=since, until=until, store=store)
    return [
        {
            "endpoint": name,
            "requests": requests,
            "left": cost.quotas[name].left,
            "per_day": cost.quotas[name].per_day,
            "enough": requests <= cost.quotas[name].left,
            "opens_at": int(cost.quotas[name].opens_at),
        }
        for name, requests in cost.requests.items()
    ]
