"""`agora-analytics metrics`."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.commands.calls import CallIdArgument, CallSearch
from agora_analytics.cli.metric_titles import series_title, unit_text
from agora_analytics.cli.options import UserOption, option_groups
from agora_analytics.cli.output import Format, LimitedOutput
from agora_analytics.cli.output.columns import (
    NO_VALUE,
    RowKind,
    TableColumn,
    number,
    plain,
    row_schema,
    timestamp,
)
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.core.columns import Series


class MetricRow(StrEnum):
    """What a row is: a whole series, or one sample of it."""

    SERIES = "series"
    SAMPLE = "sample"


_KEYS = {
    "call_id": "metrics",
    "sid": "metrics",
    "uid": "sessions",
    "mid": "metrics",
    "metric": "points",
    "unit": "points",
    "peer_uid": "metrics",
}
_USER = TableColumn("user", plain("uid"))
_METRIC = TableColumn("metric", lambda row: series_title(row["mid"], row["metric"]), least=16)
_OF_USER = TableColumn("of user", lambda row: "" if row["peer_uid"] == "0" else row["peer_uid"])
SAMPLE_ROWS = RowKind(
    name="samples",
    schema=row_schema(_KEYS | {"ts": "metrics", "value": "metrics"}),
    columns=(
        _USER,
        _METRIC,
        _OF_USER,
        TableColumn("at", timestamp("ts")),
        TableColumn("value", number("value", 2), right=True),
        TableColumn("unit", lambda row: unit_text(row["unit"]) or NO_VALUE),
    ),
)
SERIES_ROWS = RowKind(
    name="series",
    schema=row_schema(
        _KEYS
        | {"samples": "int64", "first_ts": "time", "last_ts": "time"}
        | dict.fromkeys(("lowest", "mean", "highest"), "double")
    ),
    columns=(
        _USER,
        evolve(_METRIC, least=0),
        _OF_USER,
        TableColumn("lowest", number("lowest", 1), right=True),
        TableColumn("mean", number("mean", 1), right=True),
        TableColumn("highest", number("highest", 1), right=True),
        TableColumn("unit", lambda row: unit_text(row["unit"]) or NO_VALUE),
        TableColumn("samples", number("samples"), right=True),
        TableColumn("first", timestamp("first_ts")),
        TableColumn("last", timestamp("last_ts")),
    ),
)


def _metric_names() -> list[str]:
    from agora_analytics.agora.metric_ids import METRIC_IDS

    return [metric.name for metric in METRIC_IDS.values()]


@option_groups
def metrics(
    call_id: CallIdArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME|ID",
            autocompletion=_metric_names,
            help="Only this metric, such as video_render_freeze or 20011; repeat it for more.",
        ),
    ] = None,
    user: UserOption = None,
    each: Annotated[
        MetricRow | None,
        typer.Option(
            metavar="|".join(MetricRow),
            help="A row is a sample, or a whole series with its lowest, mean and highest value. "
            "Default: a series in a table, a sample in every other format.",
            show_default=False,
        ),
    ] = None,
    *,
    search: CallSearch,
    output: LimitedOutput,
    account: AgoraAccount,
) -> None:
    """Show the measurements of a call by user: bitrate, packet loss, freezes, frame rate, CPU and more.

    20 sessions take one request for each 1 to 6 hours of the call, depending on the plan; --user reduces that. "Of
    user" names the user whose stream was measured; empty: the user's own. For charts: agora-analytics inspect CALL_ID.
    """
    mids = _mids(metric or ())
    by_series = each is MetricRow.SERIES if each else output.format is Format.TABLE
    to_table = _series_table if by_series else _samples_table

    async def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        call, *ends = await search.call_or_range(client, call_id)
        listing = client.sessions(call, *ends, uids=user or (), exclude_server_user=False)
        sessions = sorted(await listing.collect(), key=lambda session: (session.join_ts, session.sid))
        users = {session.sid: session.uid for session in sessions}
        async for page in client.metrics(call, *ends, sids=sessions).pages():
            yield to_table(
                call_id, users, [series for series in page.records if not mids or series.mid in mids]
            )

    # Responses are large, so only a little is fetched ahead of a slow reader.
    run_listing(account.client, pages, SERIES_ROWS if by_series else SAMPLE_ROWS, output, prefetch=2)


def _mids(names: Iterable[str]) -> frozenset[int]:
    from agora_analytics.agora.metric_ids import METRIC_IDS

    by_name = {metric.name: metric.mid for metric in METRIC_IDS.values()}
    # A table shows the titles, so they are accepted too.
    known = {series_title(mid, name): mid for name, mid in by_name.items()} | by_name
    for name in names:
        if not name.isdecimal() and name not in known:
            similar = [other for other in by_name if name in other] or sorted(by_name)
            hint = did_you_mean(name, by_name)
            raise InvalidRequest(f"unknown metric {name!r}; use an id or one of {', '.join(similar)}{hint}")
    return frozenset(int(name) if name.isdecimal() else known[name] for name in names)


def _keys(call_id: str, users: Mapping[str, str], batch: "Sequence[Series]") -> dict[str, list[Any]]:
    """Return the key columns with one row for each series."""
    from agora_analytics.agora.metric_ids import METRIC_IDS, metric_name

    units = {mid: metric.unit for mid, metric in METRIC_IDS.items()}
    return {
        "call_id": [call_id] * len(batch),
        "sid": [series.sid for series in batch],
        "uid": [users.get(series.sid) for series in batch],
        "mid": [series.mid for series in batch],
        "metric": [metric_name(series.mid) for series in batch],
        "unit": [units.get(series.mid, "") for series in batch],
        "peer_uid": [series.peer_uid for series in batch],
    }


def _samples_table(call_id: str, users: Mapping[str, str], batch: "Sequence[Series]") -> "pa.Table":
    import numpy as np
    import pyarrow as pa

    schema = SAMPLE_ROWS.schema()
    if not batch:
        return schema.empty_table()
    places = pa.array(np.repeat(np.arange(len(batch)), [len(series) for series in batch]))
    columns = [
        pa.array(values, schema.field(name).type).take(places)
        for name, values in _keys(call_id, users, batch).items()
    ]
    ts = pa.array(np.concatenate([np.asarray(series.ts) for series in batch]))
    value = pa.array(np.concatenate([np.asarray(series.value) for series in batch]), from_pandas=True)
    return pa.table([*columns, ts.cast(schema.field("ts").type), value], schema=schema)


def _series_table(call_id: str, users: Mapping[str, str], batch: "Sequence[Series]") -> "pa.Table":
    import numpy as np
    import pyarrow as pa

    batch = [series for series in batch if len(series)]
    values = [np.asarray(series.value) for series in batch]
    known = [value[~np.isnan(value)] for value in values]
    columns = _keys(call_id, users, batch) | {
        "samples": [len(series) for series in batch],
        "first_ts": [min(series.ts) for series in batch],
        "last_ts": [max(series.ts) for series in batch],
        "lowest": [float(value.min()) if len(value) else None for value in known],
        "mean": [float(value.mean()) if len(value) else None for value in known],
        "highest": [float(value.max()) if len(value) else None for value in known],
    }
    return pa.table(columns, schema=SERIES_ROWS.schema())
