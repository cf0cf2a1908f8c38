"""`agora-analytics statistics`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Dimension, FreezeMetric, TimeMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.find_call import CallIdArgument, CallSearch
from agora_analytics.cli.metric_tables import metrics_of
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
_FROM, _UP_TO = TableColumn("from", timestamp("since")), TableColumn("up to", timestamp("until"))

Fetch = Callable[..., Awaitable[Iterable[Any]]]


@frozen(kw_only=True)
class StatisticsView:
    """One of the three views of a call's statistics.

    Attributes:
        metrics: the metrics that it has.
        default: the metrics that are shown if none is named.
        fetch: returns the method of a client that fetches the records of metrics.
        rows: returns the kind of rows for metrics.
        keys: the fields of a record that identify its row.
        values: returns the other values of a record by column.
        order: the sort key of the records.
    """

    metrics: Sequence[str]
    default: Sequence[str]
    fetch: "Callable[[AsyncAgora], Fetch]"
    rows: Callable[[Sequence[str]], RowKind]
    keys: Sequence[str]
    values: Callable[[Any], Cells]
    order: Callable[[Any], Any]

    def table(self, call_id: str, metrics: Sequence[str], records: Iterable[Any]) -> "pa.Table":
        """Return one row for each group, bucket or minute, with the values of each metric."""
        import pyarrow as pa

        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for record in sorted(records, key=self.order):
            key = {name: getattr(record, name) for name in self.keys}
            row = rows.setdefault(tuple(key.values()), {"call_id": call_id} | key)
            row |= {name: value for name, value in self.values(record).items() if name not in row}
        return pa.Table.from_pylist(list(rows.values()), schema=self.rows(metrics).schema())


def _row_kind(name: str, metrics: "dict[str, str]", columns: Iterable[TableColumn], *keys: str) -> RowKind:
    """Return a kind of rows: the call, the keys (times, and otherwise texts), and `metrics` by Arrow type."""

    def schema() -> "pa.Schema":
        import pyarrow as pa

        from agora_analytics.schemas import METRICS

        times = dict.fromkeys(("since", "until", "ts"), METRICS.field("ts").type)
        fields = [METRICS.field("call_id"), *(pa.field(key, times.get(key, pa.string())) for key in keys)]
        return pa.schema([*fields, *(pa.field(column, kind) for column, kind in metrics.items())])

    return RowKind(name=name, schema=schema, columns=tuple(columns))


def groups_view(by: str) -> StatisticsView:
    """Return the view by groups of users."""

    def rows(metrics: Sequence[str]) -> RowKind:
        types: dict[str, str] = {}
        for metric in metrics:
            types |= {metric: "double", _users(metric): "int64"}
        columns = (
            TableColumn(by, plain("dimension_value"), least=12),
            TableColumn("users", _user_counts([_users(metric) for metric in metrics]), right=True),
            *(TableColumn(_TITLES[metric], percent(metric), right=True) for metric in metrics),
            _FROM,
            _UP_TO,
        )
        return _row_kind("groups", types, columns, "since", "until", "dimension", "dimension_value")

    return StatisticsView(
        metrics=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        fetch=lambda client: lambda call, metrics, **ends: client.statistics(call, metrics, by, **ends),
        rows=rows,
        keys=("since", "dimension", "dimension_value"),
        values=lambda row: {"until": row.until, row.metric: row.value, _users(row.metric): row.user_count},
        order=lambda row: (row.since, -(row.user_count or 0), row.dimension_value or ""),
    )


def freeze_view() -> StatisticsView:
    """Return the view by how much users froze."""

    def rows(metrics: Sequence[str]) -> RowKind:
        columns = [
            TableColumn(f"users by {_TITLES[metric]}", number(_users(metric)), right=True)
            for metric in metrics
        ]
        return _row_kind(
            "buckets",
            {_users(metric): "int64" for metric in metrics},
            (TableColumn("freeze", plain("bucket")), *columns, _FROM, _UP_TO),
            *("since", "until", "bucket"),
        )

    return StatisticsView(
        metrics=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        fetch=lambda client: client.freeze_distribution,
        rows=rows,
        keys=("since", "bucket"),
        values=lambda row: {"until": row.until, _users(row.metric): row.user_count},
        order=lambda row: (row.since, row.bounds or (1.0, 1.0)),
    )


def minutes_view() -> StatisticsView:
    """Return the view over time."""

    def rows(metrics: Sequence[str]) -> RowKind:
        rates = {metric: metric.endswith("rate") for metric in metrics}
        columns = [
            TableColumn(_TITLES[metric], (percent if rate else number)(metric), right=True)
            for metric, rate in rates.items()
        ]
        types = {metric: "double" if rate else "int64" for metric, rate in rates.items()}
        return _row_kind("minutes", types, (TableColumn("minute", timestamp("ts")), *columns), "ts")

    return StatisticsView(
        metrics=tuple(TimeMetric),
        default=tuple(TimeMetric)[:3],
        fetch=lambda client: client.statistics_over_time,
        rows=rows,
        keys=("ts",),
        values=lambda row: {row.metric: row.value},
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


def _users(metric: str) -> str:
    return f"{metric}_users"


def _user_counts(names: Sequence[str]) -> Callable[[Cells], str]:
    """Return a formatter of the users of a group: one count, or several where the metrics have different users."""

    def text(row: Cells) -> str:
        counts = dict.fromkeys(number(name)(row) for name in names if row.get(name) is not None)
        return " / ".join(counts) or NO_VALUE

    return text
