"""Tables of metrics: a row for each time or group, and a column for each metric."""

from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from agora_analytics.agora.enums import LIVE_COUNTS, Dimension, QualityMetric, UsageMetric
from agora_analytics.cli.metric_titles import title_of
from agora_analytics.cli.output.columns import (
    RowKind,
    TableColumn,
    number,
    percent,
    plain,
    row_schema,
    timestamp,
)
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest

if TYPE_CHECKING:
    import pyarrow as pa

RATES = frozenset(map(str, QualityMetric))
_COUNTS = frozenset(name for name in (*UsageMetric, *LIVE_COUNTS) if not name.endswith("Duration"))
_BASES: dict[str, str] = {
    QualityMetric.JOIN_SUCCESS_RATE: "joins tried",
    QualityMetric.JOIN_SUCCESS_IN_5S_RATE: "joins tried",
    QualityMetric.AUDIO_FREEZE_RATE: "audio minutes",
    QualityMetric.VIDEO_FREEZE_RATE: "video minutes",
    QualityMetric.NETWORK_DELAY: "minutes",
}
"""The titles of the columns that hold what a rate is a share of."""

GROUPS = tuple(map(str, Dimension))[:-1]
"""The dimensions of Real-time and of the statistics of a call: all but the size of the channel."""

FROM, UP_TO = TableColumn("from", timestamp("since")), TableColumn("up to", timestamp("until"))


def metric_rows(
    metrics: Sequence[str],
    *,
    name: str,
    over_time: bool,
    by: str | None = None,
    users: bool = False,
    live: bool = False,
) -> RowKind:
    """Return the kind of rows of a query of Data Insights or Real-time.

    A row is a time if `over_time`, otherwise the whole range, for each group of `by` or for each of the `users`. Live
    rows have a column that names the metrics without a value.
    """
    totals = [metric for metric in metrics if metric in RATES and not over_time]
    types = dict.fromkeys(("ts",) if over_time else ("since", "until"), "time")
    columns = [TableColumn("from", timestamp("ts"))] if over_time else []
    if by:
        types |= {"dimension": "string", "dimension_value": "string"}
        columns.append(TableColumn(title_of(by), plain("dimension_value"), least=12))
    if users:
        types["uid"] = "string"
        columns.append(TableColumn("user", plain("uid"), least=10))
    types |= {metric: "int64" if metric in _COUNTS else "double" for metric in metrics}
    types |= {_base(metric): "double" for metric in totals}
    if live:
        types["missing"] = "texts"
    columns += [
        TableColumn(
            title_of(metric),
            (percent if metric in RATES else number)(metric),
            right=True,
            keep=True,
            chart=metric if over_time and not (by or users or live) else "",
        )
        for metric in metrics
    ]
    columns += [TableColumn(_BASES[metric], number(_base(metric)), right=True) for metric in totals]
    if not over_time:
        columns += [FROM, UP_TO]
    return RowKind(name=name, schema=row_schema(types), columns=tuple(columns), live=live)


def wide_rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one row for each time or group of the records, in their order, with the columns of each metric.

    Metrics of one row may end at different times: an ongoing call or range is queried once for each of them.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        names = ("ts", "since", "dimension", "dimension_value", "uid", "bucket")
        key = {name: getattr(record, name) for name in names if hasattr(record, name)}
        row = rows.setdefault(tuple(key.values()), key)
        values = {
            "until": getattr(record, "until", None),
            record.metric: value_of(record),
            users_column(record.metric): getattr(record, "user_count", None),
            _base(record.metric): getattr(record, "ref_usage", None),
        }
        row |= {name: value for name, value in values.items() if name not in row}
    return list(rows.values())


def value_of(record: Any) -> Any:
    """Return the value of a record; a count is a whole number, whatever the server sent."""
    value = getattr(record, "value", None)
    return round(value) if record.metric in _COUNTS and value is not None else value


async def query_pages(
    kind: RowKind, *queries: Coroutine[Any, Any, Iterable[Any]]
) -> "AsyncGenerator[pa.Table, None]":
    """Yield the results of queries as one table, so that a time has all its metrics, whatever their endpoints.

    The records that arrived before an error are yielded before it is raised.
    """
    records: list[Any] = []
    failure: AgoraAnalyticsError | None = None
    for query in queries:
        if failure is not None:
            query.close()
            continue
        try:
            records += await query
        except AgoraAnalyticsError as error:
            failure = error
            records += error.partial or ()
    if records and hasattr(records[0], "ts"):
        records.sort(key=lambda record: record.ts, reverse=True)  # the newest first, as `calls`
    try:
        if records or failure is None:
            yield kind.table(wide_rows(records))
    finally:  # also if the limit of rows ends the loop that reads this
        if failure is not None:
            raise failure


def _base(metric: str) -> str:
    return f"{metric}_of"


def users_column(metric: str) -> str:
    """Return the name of the column with the number of users that the value of a metric is about."""
    return f"{metric}_users"


def metrics_argument(allowed: Iterable[str], note: str) -> Any:
    """Return the argument for metrics, with the names of all that are allowed in its help."""
    names = list(map(str, allowed))
    return typer.Argument(
        metavar="METRIC", autocompletion=lambda: names, help=f"{metric_list(names)}. {note}"
    )


def metric_list(metrics: Iterable[str]) -> str:
    """Return the names of metrics for a help text or an error."""
    return ", ".join(map(str, metrics))


def metrics_of(words: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Return metrics as the API spells them: `user-count` and `users` become `userCount`.

    Unknown metrics are refused here, because a day has too few requests to spend one on a typing error.
    """
    spellings = {_letters(metric): str(metric) for metric in allowed}
    titles = {_letters(title_of(metric)): metric for metric in spellings.values()}
    names = titles | spellings
    for word in words:
        if _letters(word) not in names:
            hint = did_you_mean(word, spellings.values())
            raise InvalidRequest(
                f"unknown metric {word!r}; use one of {metric_list(spellings.values())}{hint}"
            )
    return list(dict.fromkeys(names[_letters(word)] for word in words))


def _letters(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
