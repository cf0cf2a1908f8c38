"""`agora-analytics quota` and `agora-analytics estimate`."""

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import LIVE_COUNTS, QualityMetric, RealtimeMetric, UsageMetric
from agora_analytics.cli.accounts import AgoraAccount, LedgerAccount
from agora_analytics.cli.client_context import open_client
from agora_analytics.cli.metric_tables import metric_list, metrics_of
from agora_analytics.cli.options import TIMES, UntilOption, option_groups, store_place
from agora_analytics.cli.output import Output, write_table
from agora_analytics.cli.output.columns import (
    NO_VALUE,
    RowKind,
    TableColumn,
    number,
    plain,
    row_schema,
    timestamp,
)
from agora_analytics.cli.terminal import duration, out
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

_METRICS = (*UsageMetric, *QualityMetric)
_PERIODS: dict[float, str] = {1.0: "a second", 60.0: "a minute"}


COST_ROWS = RowKind(
    name="endpoints",
    schema=row_schema(
        {"endpoint": "string"}
        | dict.fromkeys(("requests", "left", "per_day"), "int64")
        | {"enough": "bool", "opens_at": "time"}
    ),
    columns=(
        TableColumn("endpoint", plain("endpoint")),
        TableColumn("requests", number("requests"), right=True),
        TableColumn("left today", number("left"), right=True),
        TableColumn("a day", number("per_day"), right=True),
        TableColumn("enough", lambda row: "yes" if row["enough"] else "no"),
        TableColumn("next day begins", timestamp("opens_at")),
    ),
)


QUOTA_ROWS = RowKind(
    name="endpoints",
    schema=row_schema(
        {"endpoint": "string"}
        | dict.fromkeys(("left", "spent", "per_day", "requests"), "int64")
        | {"period": "double", "opens_at": "time"}
    ),
    columns=(
        TableColumn("endpoint", plain("endpoint")),
        TableColumn("left today", number("left"), right=True),
        TableColumn("used", number("spent"), right=True),
        TableColumn("a day", number("per_day"), right=True),
        TableColumn("rate", lambda row: _rate(row["requests"], row["period"]), right=True),
        TableColumn("opens again", lambda row: NO_VALUE if row["left"] else timestamp("opens_at")(row)),
    ),
)


@option_groups
def quota(*, output: Output, account: LedgerAccount) -> None:
    """Show the rest of today's quota, by the count in the ledger. Sends nothing."""
    asyncio.run(_show_quota(account, output))


async def _show_quota(account: LedgerAccount, output: Output) -> None:
    async with account.offline_client() as client:
        quotas = await client.quota()
        plan = client.settings.plan.name
        used = client._ledger  # noqa: SLF001 - of the same package
        ledger = getattr(used, "path", None) or getattr(used, "address", "memory")
    opens_at = quotas[0].opens_at
    names = QUOTA_ROWS.schema().names
    rows = [
        {name: getattr(quota, name) for name in names} | {"opens_at": int(quota.opens_at)} for quota in quotas
    ]
    write_table(QUOTA_ROWS.table(rows), QUOTA_ROWS, output)
    if output.to_screen:
        wait = duration(opens_at - time.time())
        out().print(
            f"Plan: {plan}. The next day begins at {iso(opens_at)}, in {wait}. Ledger: {ledger}",
            style="faint",
        )


def _rate(requests: int, period: float) -> str:
    return f"{requests:,} {_PERIODS.get(period, f'in {period:g} s')}"


@frozen(kw_only=True)
class EstimateOptions:
    """A query of which the cost is estimated; without metrics: a harvest."""

    metric: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            autocompletion=lambda: list(map(str, _METRICS)),
            help="Metrics of a query of usage or quality. Without a metric, the estimate is for a harvest.",
        ),
    ] = None
    realtime: Annotated[
        bool, typer.Option("--realtime", help="The query is one of agora-analytics realtime.")
    ] = False
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Start of the time range: {TIMES}. Default: 1d; with --realtime: 10m.",
            show_default=False,
        ),
    ] = None
    until: UntilOption = "now"
    total: Annotated[bool, typer.Option("--total", help="The query has --total or --by.")] = False
    top: Annotated[bool, typer.Option("--top", help="The query has --top; only with --realtime.")] = False
    users: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Number of users in the query; only with --realtime.", show_default=False
        ),
    ] = 0
    out: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", parser=store_place, help="Store of the harvest; stored calls are not counted."
        ),
    ] = None

    def __attrs_post_init__(self) -> None:
        if self.realtime and not self.metric:
            raise InvalidRequest(f"--realtime needs metrics; use one of {metric_list(RealtimeMetric)}")
        if self.realtime and self.total:
            raise InvalidRequest("--realtime cannot be combined with --total")
        if self.users and not self.realtime:
            raise InvalidRequest("--users needs --realtime")
        if self.top and not self.realtime:
            raise InvalidRequest("--top needs --realtime")
        if self.top and self.users:
            raise InvalidRequest("--top cannot be combined with --users")

    @property
    def metrics(self) -> list[str]:
        """The metrics as the API spells them."""
        return metrics_of(self.metric or (), RealtimeMetric if self.realtime else _METRICS)

    async def costs(self, client: "AsyncAgora") -> Iterable[Any]:
        """Return the cost for each endpoint; sends nothing."""
        if self.top:  # the response to rates has the user count too
            rates = [metric for metric in self.metrics if metric not in LIVE_COUNTS]
            return await client.realtime.estimate(rates or self.metrics, top=True)
        if self.realtime:
            since = self.since or "10m"
            return await client.realtime.estimate(self.metrics, since, self.until, uids=self.users)
        return await client.insights.estimate(self.metrics, self.since or "1d", self.until, totals=self.total)


@option_groups
def estimate(query: EstimateOptions, *, output: Output, account: AgoraAccount) -> None:
    """Estimate how many requests a harvest or a query of usage, quality or realtime would take.

    For a harvest the calls are counted, which takes a few list requests. The cost of a query is computed; nothing is
    sent.
    """
    asyncio.run((_query_cost if query.metrics else _harvest_cost)(account, query, output))


async def _query_cost(account: AgoraAccount, query: EstimateOptions, output: Output) -> None:
    async with account.offline_client(region=account.region) as client:
        costs = await query.costs(client)
    _write_costs(((cost.endpoint, cost.requests, cost) for cost in costs), output)


async def _harvest_cost(account: AgoraAccount, query: EstimateOptions, output: Output) -> None:
    arguments: dict[str, Any] = {"since": query.since or "1d", "until": query.until, "store": query.out}
    async with open_client(account.client) as client:
        if output.to_screen:
            from agora_analytics.cli.harvest_summary import show_estimate

            await show_estimate(client, **arguments)
            return
        from agora_analytics.harvest import estimate as estimate_harvest

        cost = await estimate_harvest(client, **arguments)
    _write_costs(((name, requests, cost.quotas[name]) for name, requests in cost.requests.items()), output)


def _write_costs(costs: Iterable[tuple[str, int, Any]], output: Output) -> None:
    """Write the requests of each endpoint; the third value has the rest of its quota."""
    rows = [
        {
            "endpoint": endpoint,
            "requests": requests,
            "left": quota.left,
            "per_day": quota.per_day,
            "enough": requests <= quota.left,
            "opens_at": int(quota.opens_at),
        }
        for endpoint, requests, quota in costs
    ]
    write_table(COST_ROWS.table(rows), COST_ROWS, output)
