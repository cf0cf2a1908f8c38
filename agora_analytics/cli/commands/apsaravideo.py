"""`agora-analytics apsaravideo`: its commands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.apsaravideo.spec import Metric, Os, TerminalType
from agora_analytics.cli.accounts import ApsaraVideoAccount
from agora_analytics.cli.client_context import run_newest_first
from agora_analytics.cli.commands.simulate import serve_until_stopped
from agora_analytics.cli.commands.store import run_harvest
from agora_analytics.cli.metric_tables import metrics_of
from agora_analytics.cli.metric_titles import title_of
from agora_analytics.cli.options import (
    HarvestOptions,
    PortOption,
    SeedOption,
    ServerOptions,
    SinceOption,
    UntilOption,
    option_groups,
)
from agora_analytics.cli.output import Format, LimitedOutput
from agora_analytics.cli.output.columns import RowKind, TableColumn, number, row_schema, timestamp

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(
    name="apsaravideo",
    help="ApsaraVideo Live: join success, stalls and first frames, every five minutes of the last 30 days. "
    "Account: ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET.",
    no_args_is_help=True,
)


def _schema() -> "pa.Schema":
    from agora_analytics.apsaravideo.records import points_schema

    return points_schema()


POINT_ROWS = RowKind(name="points", schema=_schema, columns=())
_NO_UNITS = "Values as the server sends them; the vendor does not document their units."


def _time_rows(metrics: Sequence[str]) -> RowKind:
    """Return the kind of rows of a table: a row for each time, and a column for each metric."""
    return RowKind(
        name="intervals",
        schema=row_schema({"ts": "time"} | dict.fromkeys(metrics, "double")),
        columns=(
            TableColumn("from", timestamp("ts")),
            *(
                TableColumn(title_of(name), number(name, 2), right=True, keep=True, chart=name)
                for name in metrics
            ),
        ),
        notes=(_NO_UNITS,),
    )


def _by_time(points: "pa.Table", kind: RowKind) -> "pa.Table":
    """Return points with a column for each metric."""
    rows: dict[Any, dict[str, Any]] = {}
    for point in points.to_pylist():
        rows.setdefault(point["ts"], {"ts": point["ts"]})[point["metric"]] = point["value"]
    return kind.table(rows.values())


@app.command()
@option_groups
def metrics(
    metric: Annotated[
        list[str] | None,
        typer.Argument(metavar="METRIC", help=f"{', '.join(Metric)}. Default: all."),
    ] = None,
    since: SinceOption = "6h",
    until: UntilOption = "now",
    system: Annotated[
        str | None, typer.Option("--os", metavar="|".join(Os), help="Only this operating system.")
    ] = None,
    terminal: Annotated[
        str | None, typer.Option(metavar="|".join(TerminalType), help="Only this kind of terminal.")
    ] = None,
    channel: Annotated[str | None, typer.Option(metavar="ID", help="Only this channel.")] = None,
    *,
    output: LimitedOutput,
    account: ApsaraVideoAccount,
) -> None:
    """Show metrics, one value for every five minutes, the newest first.

    24 hours of a metric take one request. Values are shown as the server sends them; their units are not documented. A
    row of a table is a time, a row of the other formats is a point.
    """

    from agora_analytics.apsaravideo.records import points_table

    metrics = metrics_of(metric or Metric, Metric)
    to_table = output.format is Format.TABLE
    kind = _time_rows(metrics) if to_table else POINT_ROWS
    run_newest_first(
        account.client,
        lambda client: client.all_metrics(
            since,
            until,
            metrics=metrics,
            os=system,
            terminal_type=terminal,
            channel_id=channel,
        ),
        lambda page: points_table([page]),
        kind,
        output,
        by="ts",
        as_rows=(lambda points: _by_time(points, kind)) if to_table else None,
    )


@app.command()
@option_groups
def harvest(*, options: HarvestOptions, account: ApsaraVideoAccount) -> int:
    """Store all four metrics of each UTC day of a time range in Parquet files.

    A metric and day take one request. If the harvest stops, the same command continues it. To query the store:
    agora-analytics sql --store DIR "select * from quality". --dry-run sends nothing.
    """
    return run_harvest(account.client, options.filled(account.harvest_settings()), units="metric days")


@app.command()
@option_groups
def simulate(port: PortOption = 8082, seed: SeedOption = 7, *, server: ServerOptions) -> None:
    """Simulate ApsaraVideo's server on this machine with its real limits; needs no account."""
    from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld

    world = ApsaraVideoWorld.generate(seed=seed)
    ((key_id, secret),) = DEMO_KEYS.items()
    serve_until_stopped(
        ApsaraVideoSimulator(world, **server.knobs(seed)),
        server.host,
        port,
        content="the metrics of an ApsaraVideo account",
        environment=lambda url: {
            "APSARAVIDEO_BASE_URL": url,
            "APSARAVIDEO_APP_ID": world.app_ids[0],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
        },
        next_command="agora-analytics apsaravideo harvest --since 2d --out quality.store",
    )
