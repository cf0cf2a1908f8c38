"""`agora-analytics statistics`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.vocabulary import Dimension, FreezeMetric, TimeMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.commands.calls import CallIdArgument, CallSearch
from agora_analytics.cli.metric_tables import FROM, UP_TO, metrics_of, users_column, wide_rows
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

_DIMENSIONS = tuple(map(str, Dimension))[:-1]
_TITLES: Mapping[str, str] = {
    TimeMetric.USER_COUNT: "users",
    TimeMetric.AUDIO_FREEZE_RATE: "audio freeze",
    TimeMetric.VIDEO_FREEZE_RATE: "video freeze",
    TimeMetric.AUDIO_FREEZE_USER_COUNT: "with audio freeze",
    TimeMetric.VIDEO_FREEZE_USER_COUNT: "with video freeze",
}

Fetch = Callable[..., Awaitable[Iterable[Any]]]


@frozen(kw_only=True)
class StatisticsView:
    """One of the three views of a call's statistics.

    Attributes:
        metrics: the metrics that it has.
        default: the metrics that are shown if none is named.
        fetch: returns the method of a client that fetches the records of metrics.
        rows: returns the kind of rows for metrics.
        order: the sort key of the records.
    """

    metrics: Sequence[str]
    default: Sequence[str]
    fetch: "Callable[[AsyncAgora], Fetch]"
    rows: Callable[[Sequence[str]], RowKind]
    order: Callable[[Any], Any]

    def table(self, call_id: str, metrics: Sequence[str], records: Iterable[Any]) -> "pa.Table":
        """Return one row for each group, bucket or minute, with the values of each metric."""
        rows = wide_rows(sorted(records, key=self.order))
        return self.rows(metrics).table({"call_id": call_id} | row for row in rows)


def _row_kind(name: str, keys: Mapping[str, str], values: Iterable[str], *columns: TableColumn) -> RowKind:
    """Return a kind of rows: the call, the keys by type, and the values, which are rates or counts."""
    types = {value: "double" if value.endswith("rate") else "int64" for value in values}
    return RowKind(name=name, schema=row_schema({"call_id": "metrics", **keys, **types}), columns=columns)


def groups_view(by: str) -> StatisticsView:
    """Return the view by groups of users."""

    def rows(metrics: Sequence[str]) -> RowKind:
        counts = [users_column(metric) for metric in metrics]
        return _row_kind(
            "groups",
            {"since": "time", "until": "time", "dimension": "string", "dimension_value": "string"},
            chain.from_iterable(zip(metrics, counts, strict=True)),
            TableColumn(by, plain("dimension_value"), least=12),
            TableColumn("users", _user_counts(counts), right=True),
            *(TableColumn(_TITLES[metric], percent(metric), right=True) for metric in metrics),
            *(FROM, UP_TO),
        )

    return StatisticsView(
        metrics=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        fetch=lambda client: lambda call, metrics, **ends: client.statistics(call, metrics, by, **ends),
        rows=rows,
        order=lambda row: (row.since, -(row.user_count or 0), row.dimension_value or ""),
    )


def freeze_view() -> StatisticsView:
    """Return the view by how much users froze."""

    def rows(metrics: Sequence[str]) -> RowKind:
        counts = {users_column(metric): f"users by {_TITLES[metric]}" for metric in metrics}
        return _row_kind(
            "buckets",
            {"since": "time", "until": "time", "bucket": "string"},
            counts,
            TableColumn("freeze", plain("bucket")),
            *(TableColumn(title, number(name), right=True) for name, title in counts.items()),
            *(FROM, UP_TO),
        )

    return StatisticsView(
        metrics=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        fetch=lambda client: client.freeze_distribution,
        rows=rows,
        order=lambda row: (row.since, row.bounds or (1.0, 1.0)),
    )


def minutes_view() -> StatisticsView:
    """Return the view over time."""

    def rows(metrics: Sequence[str]) -> RowKind:
        formats = {metric: percent if metric.endswith("rate") else number for metric in metrics}
        return _row_kind(
            "minutes",
            {"ts": "time"},
            metrics,
            TableColumn("minute", timestamp("ts")),
            *(TableColumn(_TITLES[metric], text(metric), right=True) for metric, text in formats.items()),
        )

    return StatisticsView(
        metrics=tuple(TimeMetric),
        default=tuple(TimeMetric)[:3],
        fetch=lambda client: client.statistics_over_time,
        rows=rows,
        order=lambda row: row.ts,
    )


@option_groups
def statistics(
    call_id: CallIdArgument,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION",
            autocompletion=lambda: list(_DIMENSIONS),
            help=f"Group the users by {', '.join(_DIMENSIONS)}. Default: net.",
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
    metrics = metrics_of(metric or view.default, view.metrics)

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


def _user_counts(names: Sequence[str]) -> Callable[[Cells], str]:
    """Return a formatter of the users of a group: one count, or several where the metrics have different users."""

    def text(row: Cells) -> str:
        counts = dict.fromkeys(number(name)(row) for name in names if row.get(name) is not None)
        return " / ".join(counts) or NO_VALUE

    return text
