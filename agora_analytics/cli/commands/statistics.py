"""`agora-analytics statistics`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Dimension, FreezeMetric, TimeMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.commands.calls import CallIdArgument, CallSearch
from agora_analytics.cli.metric_tables import FROM, GROUPS, UP_TO, metrics_of, users_column, wide_rows
from agora_analytics.cli.metric_titles import title_of
from agora_analytics.cli.options import option_groups
from agora_analytics.cli.output import LimitedOutput
from agora_analytics.cli.output.columns import (
    NO_VALUE,
    Cells,
    RowKind,
    TableColumn,
    number,
    percent,
    plain,
    row_schema,
    timestamp,
)
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora

_SHOWN = 3  # metrics of a view if none is named

Fetch = Callable[..., Awaitable[Iterable[Any]]]


def _bucket(row: Cells) -> str:
    """Return `[3%,5%)` as `3 to 5 %`."""
    low, _, high = row["bucket"].strip("[]()").replace("%", "").partition(",")
    return f"{low} to {high} %" if low and high else row["bucket"]


@frozen(kw_only=True)
class StatisticsView:
    """One of the three views of a call's statistics.

    Attributes:
        name: the plural of what a row is.
        metrics: the metrics that it has.
        fetch: returns the method of a client that fetches the records of metrics.
        keys: the columns that identify a row, by type.
        values: returns the columns of a metric, each with that of a table for people, if it has one.
        first: the columns of a table before those of the metrics.
        order: the sort key of the records.
    """

    name: str
    metrics: Sequence[str]
    fetch: "Callable[[AsyncAgora], Fetch]"
    keys: Mapping[str, str]
    values: Callable[[str], Mapping[str, TableColumn | None]]
    first: tuple[TableColumn, ...]
    order: Callable[[Any], Any]

    def rows(self, metrics: Sequence[str]) -> RowKind:
        """Return the kind of rows for metrics."""
        values = dict(chain.from_iterable(self.values(metric).items() for metric in metrics))
        types = {name: "double" if name.endswith("rate") else "int64" for name in values}
        ends = (FROM, UP_TO) if "until" in self.keys else ()
        return RowKind(
            name=self.name,
            schema=row_schema({"call_id": "metrics", **self.keys, **types}),
            columns=(*self.first, *filter(None, values.values()), *ends),
        )

    def table(self, call_id: str, metrics: Sequence[str], records: Iterable[Any]) -> "pa.Table":
        """Return one row for each group, bucket or minute, with the values of each metric."""
        rows = wide_rows(sorted(records, key=self.order))
        return self.rows(metrics).table({"call_id": call_id} | row for row in rows)


def groups_view(by: str) -> StatisticsView:
    """Return the view by groups of users."""
    return StatisticsView(
        name="groups",
        metrics=tuple(FreezeMetric),
        fetch=lambda client: lambda call, metrics, **ends: client.statistics(call, metrics, by, **ends),
        keys={"since": "time", "until": "time", "dimension": "string", "dimension_value": "string"},
        values=lambda metric: {
            metric: TableColumn(title_of(metric), percent(metric), right=True),
            users_column(metric): None,
        },
        first=(
            TableColumn(title_of(by), plain("dimension_value"), least=12),
            TableColumn("users", _user_counts, right=True),
        ),
        order=lambda row: (row.since, -(row.user_count or 0), row.dimension_value or ""),
    )


def freeze_view() -> StatisticsView:
    """Return the view by how much users froze."""

    def values(metric: str) -> Mapping[str, TableColumn]:
        users = users_column(metric)
        return {users: TableColumn(f"users by {title_of(metric)}", number(users), right=True)}

    return StatisticsView(
        name="buckets",
        metrics=tuple(FreezeMetric),
        fetch=lambda client: client.freeze_distribution,
        keys={"since": "time", "until": "time", "bucket": "string"},
        values=values,
        first=(TableColumn("freeze", _bucket),),
        order=lambda row: (row.since, row.bounds or (1.0, 1.0)),
    )


def minutes_view() -> StatisticsView:
    """Return the view over time."""

    def values(metric: str) -> Mapping[str, TableColumn]:
        text = percent if metric.endswith("rate") else number
        return {metric: TableColumn(title_of(metric), text(metric), right=True)}

    return StatisticsView(
        name="minutes",
        metrics=tuple(TimeMetric),
        fetch=lambda client: client.statistics_over_time,
        keys={"ts": "time"},
        values=values,
        first=(TableColumn("minute", timestamp("ts")),),
        order=lambda row: row.ts,
    )


@option_groups
def statistics(
    call_id: CallIdArgument,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION",
            autocompletion=lambda: list(GROUPS),
            help=f"Group the users by {', '.join(GROUPS)}. Default: net.",
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Show how many users froze how much, instead of groups.")
    ] = False,
    over_time: Annotated[
        bool, typer.Option("--over-time", help="Show the call minute by minute, instead of groups.")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            autocompletion=lambda: list(map(str, TimeMetric)),
            help="Only this metric; repeat it for more: audio_freeze_rate, video_freeze_rate; with --over-time also "
            "user_count, audio_freeze_user_count, video_freeze_user_count.",
        ),
    ] = None,
    *,
    search: CallSearch,
    output: LimitedOutput,
    account: AgoraAccount,
) -> None:
    """Show the vendor's own statistics of a call: by group of users, by amount of freezing, or by minute.

    A metric takes one request for each 1 to 6 hours of the call, depending on the plan; a longer call has rows for
    each part. A table shows percent, the other formats fractions of 1.
    """
    view = _view(by, freeze=freeze, over_time=over_time)
    metrics = metrics_of(metric or view.metrics[:_SHOWN], view.metrics)

    async def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        call, *ends = await search.call_or_range(client, call_id)
        arguments = dict(zip(("since", "until"), ends, strict=False))
        try:
            records = await view.fetch(client)(call, metrics, **arguments)
        except AgoraAnalyticsError as error:
            yield view.table(call_id, metrics, error.partial or ())
            raise
        yield view.table(call_id, metrics, records)

    run_listing(account.client, pages, view.rows(metrics), output)


def _view(by: str | None, *, freeze: bool, over_time: bool) -> StatisticsView:
    if (by is not None) + freeze + over_time > 1:
        raise InvalidRequest("--by, --freeze and --over-time cannot be combined; use one of them")
    if freeze:
        return freeze_view()
    return minutes_view() if over_time else groups_view(Dimension.NET if by is None else by)


def _user_counts(row: Cells) -> str:
    """Return the users of a group: one count, or several where the metrics have different users."""
    names = map(users_column, FreezeMetric)
    counts = dict.fromkeys(number(name)(row) for name in names if row.get(name) is not None)
    return " / ".join(counts) or NO_VALUE
