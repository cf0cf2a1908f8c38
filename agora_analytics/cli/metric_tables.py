"""Tables of Data Insights and Real-time: a row for each time or group, and a column for each metric."""

from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.agora.enums import LIVE_COUNTS, QualityMetric, UsageMetric
from agora_analytics.cli.output.columns import RowKind, TableColumn, number, percent, plain, timestamp
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


def metric_rows(
    metrics: Sequence[str],
    *,
    name: str,
    over_time: bool,
    by: str | None = None,
    users: bool = False,
    missing: bool = False,
) -> RowKind:
    """Return the kind of rows of a query.

    Args:
        metrics: the metrics of the query.
        name: the plural of what a row is.
        over_time: whether a row is a time; otherwise it is the whole range.
        by: the dimension of the groups.
        users: whether a row is about one user.
        missing: whether a column names the metrics that have no value.
    """
    totals = [metric for metric in metrics if metric in RATES and not over_time]

    def schema() -> "pa.Schema":
        import pyarrow as pa

        from agora_analytics.schemas import METRICS, SESSIONS

        time = METRICS.field("ts").type
        fields = [("ts", time)] if over_time else [("since", time), ("until", time)]
        if by:
            fields += [("dimension", pa.string()), ("dimension_value", pa.string())]
        if users:
            fields.append(("uid", SESSIONS.field("uid").type))
        fields += [(metric, pa.int64() if metric in _COUNTS else pa.float64()) for metric in metrics]
        fields += [(_base(metric), pa.float64()) for metric in totals]
        if missing:
            fields.append(("missing", pa.list_(pa.string())))
        return pa.schema(fields)

    columns = [TableColumn("from", timestamp("ts"))] if over_time else []
    if by:
        columns.append(TableColumn(by, plain("dimension_value"), least=12))
    if users:
        columns.append(TableColumn("user", plain("uid"), least=10))
    columns += [
        TableColumn(metric, (percent if metric in RATES else number)(metric), right=True)
        for metric in metrics
    ]
    columns += [TableColumn(_BASES[metric], number(_base(metric)), right=True) for metric in totals]
    if not over_time:
        columns += [TableColumn("from", timestamp("since")), TableColumn("up to", timestamp("until"))]
    return RowKind(name=name, schema=schema, columns=tuple(columns))


def wide_table(rows: Iterable[Mapping[str, Any]], kind: RowKind) -> "pa.Table":
    """Return rows as a table; a count is a whole number, whatever the server sent."""
    import pyarrow as pa

    schema = kind.schema()
    counts = [field.name for field in schema if pa.types.is_int64(field.type)]
    whole = [
        {**row, **{name: round(row[name]) for name in counts if row.get(name) is not None}} for row in rows
    ]
    return pa.Table.from_pylist(whole, schema=schema)


def wide_rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one row for each time or group of the records, in their order, with a key for each metric."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        key = {
            name: getattr(record, name)
            for name in ("ts", "since", "until", "dimension", "dimension_value", "uid")
            if hasattr(record, name)
        }
        row = rows.setdefault(tuple(key.values()), key)
        row[record.metric] = record.value
        if (base := getattr(record, "ref_usage", None)) is not None:
            row[_base(record.metric)] = base
    return list(rows.values())


async def query_pages(kind: RowKind, *queries: Awaitable[Iterable[Any]]) -> "AsyncGenerator[pa.Table, None]":
    """Yield the results of queries as one table, so that a time has all its metrics, whatever their endpoints.

    The records that arrived before an error are yielded before it is raised.
    """
    records: list[Any] = []
    failure: AgoraAnalyticsError | None = None
    for query in queries:
        if failure is not None:
            close = getattr(query, "close", None)
            if close is not None:
                close()
            continue
        try:
            records += await query
        except AgoraAnalyticsError as error:
            failure = error
            records += error.partial or ()
    if records and hasattr(records[0], "ts"):
        records.sort(key=lambda record: record.ts)
    if records or failure is None:
        yield wide_table(wide_rows(records), kind)
    if failure is not None:
        raise failure


def _base(metric: str) -> str:
    return f"{metric}_of"


def metric_list(metrics: Iterable[str]) -> str:
    """Return the names of metrics for a help text or an error."""
    return ", ".join(map(str, metrics))


def metrics_of(words: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Return metrics as the API spells them: `user-count` becomes `userCount`.

    Raises:
        InvalidRequest: for an unknown metric; a day has too few requests to spend one on a typing error.
    """
    names = {_letters(metric): str(metric) for metric in allowed}
    for word in words:
        if _letters(word) not in names:
            raise InvalidRequest(f"unknown metric {word!r}; use one of {metric_list(names.values())}")
    return list(dict.fromkeys(names[_letters(word)] for word in words))


def _letters(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()
