"""`agora-analytics compare`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.options import StoreOption, option_groups
from agora_analytics.cli.output import Output, write_table
from agora_analytics.cli.output.columns import Cells, RowKind, TableColumn, row_schema

if TYPE_CHECKING:
    from agora_analytics.insight import Comparison

_PERIOD = "2026-11-01..2026-11-08, or 14d..7d"
_SCHEMA = row_schema(
    {"by": "string", "group": "string"}
    | dict.fromkeys(("before", "after", "difference", "low", "high", "p_value"), "double")
    | {"verdict": "string", "reason": "string"}
    | dict.fromkeys(("calls_before", "calls_after", "users_before", "users_after"), "int64")
    | {"mix": "string"}
)


@option_groups
def compare(
    store: StoreOption,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="A metric of the view quality, such as round_trip_time or video_packet_loss_received; or "
            "video_freeze_rate or audio_freeze_rate, the share of time that was frozen.",
        ),
    ],
    before: Annotated[
        str,
        typer.Option(
            metavar="START..END",
            help=f"The first period, without its end: {_PERIOD}. Times as for harvest --since, in UTC.",
        ),
    ],
    after: Annotated[
        str, typer.Option(metavar="START..END", help="The second period; it must not overlap with the first.")
    ],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Compare each sdk_version, network, platform or device_type (Agora only), channel or app_id; with "
            "--groups also user_id or call_id. Default: only the total.",
            show_default=False,
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Own groups: a CSV or Parquet file with the column of --by and the column group.",
        ),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="Compare the share of time in which the metric is above VALUE."),
    ] = None,
    below: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="Compare the share of time in which the metric is below VALUE."),
    ] = None,
    vendor: Annotated[
        str | None,
        typer.Option(metavar="VENDOR", help="agora or opentok, if the store has the metric of both."),
    ] = None,
    app_id: Annotated[str | None, typer.Option(metavar="ID", help="Only this app.")] = None,
    most_groups: Annotated[
        int,
        typer.Option(
            min=1,
            max=500,
            metavar="N",
            help="Compare the N groups with the most calls; the total has all.",
        ),
    ] = 50,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Seed of the bootstrap; the same seed gives the same result."),
    ] = 20_261_130,
    *,
    output: Output,
) -> None:
    """Compare a metric between two periods: did it get worse, for whom, and is that more than chance?

    Values are those of all calls that began in a period, with a 95 % interval of the difference from a bootstrap over
    calls. A warning says where the mix of users changed. Shares are in percent in a table, and 0 to 1 in other formats.
    Sends nothing; reads only the days of the two periods.
    """
    from agora_analytics.insight import compare as compare_periods
    from agora_analytics.store import open_store

    result = compare_periods(
        open_store(store),
        metric,
        before=before,
        after=after,
        by=by,
        groups=groups,
        above=above,
        below=below,
        vendor=vendor,
        app_id=app_id,
        most_groups=most_groups,
        seed=seed,
    )
    kind = _row_kind(result)
    write_table(kind.table(_rows(result)), kind, output)


def _rows(result: "Comparison") -> list[dict[str, Any]]:
    from agora_analytics.core.record import json_text

    rows = [{"by": result.by, **group.to_dict()} for group in result.groups]
    rows.append({"by": None, **result.total.to_dict()})
    for row in rows:
        row["mix"] = json_text([change.to_dict() for change in result.mix if change.group == row["group"]])
    return rows


def _row_kind(result: "Comparison") -> RowKind:
    """Return the kind of rows of a comparison. The sentences about it follow a table."""
    from agora_analytics.insight.comparison_text import Numbers, count_text, notes, titles

    numbers = Numbers.of(result)

    def value(name: str, *, signed: bool = False) -> Callable[[Cells], str]:
        return lambda row: numbers.value(row[name], signed=signed)

    def counts(name: str) -> Callable[[Cells], str]:
        return lambda row: count_text(row[f"{name}_before"], row[f"{name}_after"])

    before, after, change, *_ = titles(result.unit)
    return RowKind(
        name="rows",
        schema=_SCHEMA,
        columns=(
            TableColumn((result.by or "").replace("_", " "), lambda row: row["group"], least=12),
            TableColumn(before, value("before"), right=True),
            TableColumn(after, value("after"), right=True),
            TableColumn(change, value("difference", signed=True), right=True),
            TableColumn("95 % interval", lambda row: numbers.interval(row["low"], row["high"]), right=True),
            TableColumn("verdict", lambda row: row["verdict"]),
            TableColumn("calls", counts("calls"), right=True),
            TableColumn("users", counts("users"), right=True),
        ),
        json_columns=("mix",),
        notes=tuple(notes(result)),
    )
