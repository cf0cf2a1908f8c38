"""`agora-analytics usage` and `agora-analytics quality`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Dimension, Product, QualityMetric, UsageMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.metric_tables import metric_rows, metrics_argument, metrics_of, query_pages
from agora_analytics.cli.options import SinceOption, option_groups
from agora_analytics.cli.output import UnlimitedOutput
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_analytics.agora.client import AsyncAgora


class TimeStep(StrEnum):
    """The length of the time that a row covers."""

    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"


_GRANULARITY = {TimeStep.DAY: "1d", TimeStep.HOUR: "1h", TimeStep.MINUTE: "1m"}

OnlyOption = Annotated[
    list[str] | None, typer.Option(metavar="GROUP", help="Only this group of --by; repeat it for more.")
]
ProductOption = Annotated[
    Product,
    typer.Option(
        case_sensitive=False,
        metavar="|".join(Product),
        help="Native SDKs or browsers. The API has no result for both together.",
    ),
]


@frozen(kw_only=True)
class InsightsOptions:
    """The options of a query of Data Insights."""

    since: SinceOption = "7d"
    until: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="End of the time range, as --since. The last 6 to 12 hours have no data yet."
        ),
    ] = "now"
    each: Annotated[
        TimeStep,
        typer.Option(metavar="day|hour|minute", help="A row is a day, an hour, or (quality only) a minute."),
    ] = TimeStep.DAY
    total: Annotated[bool, typer.Option("--total", help="One row for the whole range.")] = False
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION",
            autocompletion=lambda: list(map(str, Dimension)),
            help=f"One row for each group of the whole range, the 20 largest (50 devices): {', '.join(Dimension)}.",
        ),
    ] = None
    only: OnlyOption = None
    country: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the regions of this country, with --by region.")
    ] = None

    @property
    def totals(self) -> bool:
        """Whether the rows cover the whole range."""
        return self.total or self.by is not None

    def arguments(self) -> dict[str, Any]:
        """Return the keywords of the client's method."""
        if self.totals:
            return {"by": self.by, "values": self.only or (), "country": self.country}
        if self.only or self.country:
            raise InvalidRequest("--only and --country select groups; add --by DIMENSION")
        return {"granularity": _GRANULARITY[self.each]}


@option_groups
def usage(
    metrics: Annotated[
        list[str] | None, metrics_argument(UsageMetric, "Default: userCount. Durations are minutes.")
    ] = None,
    *,
    query: InsightsOptions,
    output: UnlimitedOutput,
    account: AgoraAccount,
) -> None:
    """Show how much the project was used: users, channels and minutes by day, hour or group.

    The plan allows 40 to 60 of these requests a day. Each metric takes one for each 3 or 7 days of the range,
    depending on the plan; agora-analytics estimate counts them. Values of the last two days may change. Not for billing.
    """
    chosen = metrics_of(metrics or [UsageMetric.USER_COUNT], UsageMetric)
    _run(
        account,
        chosen,
        query,
        output,
        lambda client: client.insights.usage_totals if query.totals else client.insights.usage,
    )


@option_groups
def quality(
    metrics: Annotated[list[str] | None, metrics_argument(QualityMetric, "Default: videoFreezeRate.")] = None,
    product: ProductOption = Product.NATIVE,
    *,
    query: InsightsOptions,
    output: UnlimitedOutput,
    account: AgoraAccount,
) -> None:
    """Show the quality of the project's calls: joins, freezes and delay by day, hour or group.

    A table shows percent, the other formats fractions of 1. The plan allows 40 to 60 of these requests a day. Each
    metric takes one for each 3 or 7 days of the range, depending on the plan; agora-analytics estimate counts them.
    Values of the last two days may change.
    """
    chosen = metrics_of(metrics or [QualityMetric.VIDEO_FREEZE_RATE], QualityMetric)
    _run(
        account,
        chosen,
        query,
        output,
        lambda client: client.insights.quality_totals if query.totals else client.insights.quality,
        product=product,
    )


def _run(
    account: AgoraAccount,
    metrics: list[str],
    query: InsightsOptions,
    output: UnlimitedOutput,
    method: "Callable[[AsyncAgora], Callable[..., Any]]",
    **more: Any,
) -> None:
    name = "groups" if query.by else "rows" if query.total else f"{query.each}s"
    kind = metric_rows(metrics, name=name, over_time=not query.totals, by=query.by)
    arguments = query.arguments() | more
    run_listing(
        account.client,
        lambda client: query_pages(kind, method(client)(metrics, query.since, query.until, **arguments)),
        kind,
        output,
    )
