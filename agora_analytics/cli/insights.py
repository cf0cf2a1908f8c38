"""`agora-analytics usage` and `agora-analytics quality`."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Dimension, Product, QualityMetric, UsageMetric
from agora_analytics.cli.account import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
from agora_analytics.cli.finding import TIMES
from agora_analytics.cli.measures import answers, measures, metric_words, metrics_of
from agora_analytics.cli.output import AllOption, FormatOption, Output, OutputOption, pour
from agora_analytics.errors import InvalidRequest


class Each(StrEnum):
    """How much time a row is about."""

    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"


_GRANULARITY = {Each.DAY: "1d", Each.HOUR: "1h", Each.MINUTE: "1m"}

SinceOption = Annotated[str, typer.Option(metavar="TIME", help=f"From when: {TIMES}.")]
UntilOption = Annotated[
    str,
    typer.Option(metavar="TIME", help="Up to when: as --since. The last 6 to 12 hours are not there yet."),
]
TotalOption = Annotated[bool, typer.Option("--total", help="One number for the whole range.")]
ByOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(Dimension),
        autocompletion=lambda: list(map(str, Dimension)),
        help="The whole range, by group: the 20 largest (50 devices).",
    ),
]
OnlyOption = Annotated[
    list[str] | None, typer.Option(metavar="GROUP", help="Only this group of --by; give it again for more.")
]
CountryOption = Annotated[
    str | None, typer.Option(help="Only the regions of this country; with --by region.")
]
ProductOption = Annotated[
    Product,
    typer.Option(case_sensitive=False, help="Native SDKs, or browsers; there is no answer about both."),
]


@frozen(kw_only=True)
class _Question:
    """What the options ask for."""

    metrics: Sequence[str]
    since: str
    until: str
    total: bool
    by: str | None
    only: Sequence[str]
    country: str | None

    @property
    def totals(self) -> bool:
        return self.total or self.by is not None

    def arguments(self, each: Each) -> dict[str, Any]:
        """Return the keywords of the client's method."""
        if self.totals:
            return {"by": self.by, "values": self.only, "country": self.country}
        if self.only or self.country:
            raise InvalidRequest("--only and --country name groups; say of what with --by")
        return {"granularity": _GRANULARITY[each]}


def usage(
    metrics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            autocompletion=lambda: list(map(str, UsageMetric)),
            help=f"{metric_words(UsageMetric)}. Default: userCount. Durations are minutes.",
        ),
    ] = None,
    since: SinceOption = "7d",
    until: UntilOption = "now",
    each: Annotated[Each, typer.Option(help="A row is a day or an hour.")] = Each.DAY,
    total: TotalOption = False,
    by: ByOption = None,
    only: OnlyOption = None,
    country: CountryOption = None,
    limit: AllOption = 0,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Say how much the project was used: users, channels, minutes, by day or hour or group.

    A day has 40 to 60 requests only. A metric takes one, and one more for each 3 or 7 days by plan; agora-analytics
    estimate says how many. The numbers of the last two days still change. Not for billing.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    question = _Question(
        metrics=metrics_of(metrics or [UsageMetric.USER_COUNT], UsageMetric),
        since=since,
        until=until,
        total=total,
        by=by,
        only=only or (),
        country=country,
    )
    asyncio.run(
        _write(account, "usage", question, question.arguments(each), Output.of(format, output, limit))
    )


def quality(
    metrics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            autocompletion=lambda: list(map(str, QualityMetric)),
            help=f"{metric_words(QualityMetric)}. Default: videoFreezeRate.",
        ),
    ] = None,
    since: SinceOption = "7d",
    until: UntilOption = "now",
    each: Annotated[Each, typer.Option(help="A row is a day, an hour or a minute.")] = Each.DAY,
    product: ProductOption = Product.NATIVE,
    total: TotalOption = False,
    by: ByOption = None,
    only: OnlyOption = None,
    country: CountryOption = None,
    limit: AllOption = 0,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Say how well it went: joins, freezes, delay, by day or hour or group. A table shows percent.

    The other formats have fractions of 1. A day has 40 to 60 requests only: a metric takes one, and one more for each
    3 or 7 days by plan; agora-analytics estimate says how many. The numbers of the last two days still change.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    question = _Question(
        metrics=metrics_of(metrics or [QualityMetric.VIDEO_FREEZE_RATE], QualityMetric),
        since=since,
        until=until,
        total=total,
        by=by,
        only=only or (),
        country=country,
    )
    arguments = question.arguments(each) | {"product": product}
    asyncio.run(_write(account, "quality", question, arguments, Output.of(format, output, limit)))


async def _write(
    account: Account, method: str, question: _Question, arguments: dict[str, Any], output: Output
) -> None:
    from agora_analytics.cli.asking import asking

    listing = measures(
        question.metrics,
        name="groups" if question.by else "times" if not question.total else "totals",
        over_time=not question.totals,
        by=question.by,
    )
    async with asking(account, quiet=output.on_terminal) as client:
        ask = getattr(client.insights, f"{method}_totals" if question.totals else method)
        asked = ask(question.metrics, question.since, question.until, **arguments)
        await pour(answers(asked), listing, output)
