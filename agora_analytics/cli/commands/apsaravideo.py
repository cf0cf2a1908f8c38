"""`agora-analytics apsaravideo`: its commands."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.apsaravideo.facts import Metric, Os, TerminalType
from agora_analytics.cli.output.columns import Kind, Listing, Row, Shown, moment, number, plain
from agora_analytics.cli.output.options import FormatOption, LimitOption, Output, OutputOption, write_rows
from agora_analytics.cli.serve import seconds_of, serve_until_stopped
from agora_analytics.cli.vendor_harvest import (
    PANEL,
    DryRunOption,
    FaultOption,
    LatencyOption,
    PortOption,
    SinceOption,
    StoreOption,
    UntilOption,
    require,
    run_harvest,
)

if TYPE_CHECKING:
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo

app = typer.Typer(
    name="apsaravideo",
    help="ApsaraVideo Live: join success, stalls and first frames, every five minutes of the last 30 days. "
    "Keys come from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET.",
    no_args_is_help=True,
)

AppIdOption = Annotated[
    str | None, typer.Option(rich_help_panel=PANEL, help="The id of the app. Or APSARAVIDEO_APP_ID.")
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="The endpoint to ask: a region's, the simulator. Or APSARAVIDEO_BASE_URL.",
    ),
]
LISTING = Listing(
    name="points",
    columns={
        "metric": Kind.TEXT,
        "ts": Kind.TIME,
        "value": Kind.NUMBER,
        "raw": Kind.TEXT,
    },
    shown=(
        Shown("time", moment("ts")),
        Shown("metric", plain("metric")),
        Shown("value", number("value", 3), right=True),
    ),
)


@frozen(kw_only=True)
class ApsaraVideoAccount:
    """What the options say; what they leave open, the environment says."""

    app_id: str | None = None
    base_url: str | None = None

    def client(self, **means: Any) -> "AsyncApsaraVideo":
        """Return a client for this account.

        Raises:
            ConfigurationError: naming everything that is missing.
        """
        from agora_analytics.apsaravideo.client import ENVIRONMENT, AsyncApsaraVideo

        needed = [ENVIRONMENT["access_key_id"], ENVIRONMENT["access_key_secret"]]
        needed += [] if self.app_id else [ENVIRONMENT["app_id"]]
        require([name for name in needed if not os.environ.get(name)], "apsaravideo")
        return AsyncApsaraVideo.from_env(app_id=self.app_id, base_url=self.base_url, **means)


@app.command()
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
    channel: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Write the points of metrics, one for every five minutes.

    24 hours of a metric take one request. Values are as they are sent: no document names their units.
    """
    account = ApsaraVideoAccount(app_id=app_id, base_url=base_url)
    filters = {"os": system, "terminal_type": terminal, "channel_id": channel}
    asyncio.run(
        _write(account, metric or list(Metric), since, until, filters, Output.of(format, output, limit))
    )


async def _write(
    account: ApsaraVideoAccount,
    metrics: Sequence[str],
    since: str,
    until: str,
    filters: dict[str, str | None],
    output: Output,
) -> None:
    from agora_analytics.cli.client_context import open_client

    async with open_client(account, quiet=output.on_terminal, **output.means) as client:
        await write_rows(_rows(client, metrics, since, until, filters), LISTING, output)


async def _rows(
    client: "AsyncApsaraVideo",
    metrics: Sequence[str],
    since: str,
    until: str,
    filters: dict[str, str | None],
) -> AsyncGenerator[Iterable[Row], None]:
    async for page in client.all_metrics(since, until, metrics=metrics, **filters).pages():
        yield (
            {"metric": point.metric, "ts": point.ts, "value": point.value, "raw": point.raw}
            for point in page.records
        )


@app.command()
def harvest(
    since: SinceOption,
    out: StoreOption,
    until: UntilOption = "now",
    dry_run: DryRunOption = False,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
) -> int:
    """Bring all four metrics of each UTC day of a time range into a folder of Parquet.

    One request for each metric and day. Whatever ends it, the same command goes on where it stood. Then ask it:
    agora-analytics sql --store DIR "select * from quality". --dry-run sends nothing.
    """
    account = ApsaraVideoAccount(app_id=app_id, base_url=base_url)
    return run_harvest(account, since, until, out, units="metric days", dry_run=dry_run)


@app.command()
def simulate(
    port: PortOption = 8082,
    seed: Annotated[int, typer.Option(help="Where the values come from: the same seed, the same.")] = 7,
    latency: LatencyOption = "0:0",
    fault_share: FaultOption = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Play ApsaraVideo's server on this machine, behind its limits, to try things on without an account."""
    from agora_analytics.simulator import Faults
    from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld

    world = ApsaraVideoWorld.generate(seed=seed)
    simulator = ApsaraVideoSimulator(
        world, latency=seconds_of(latency), faults=Faults(share=fault_share, seed=seed)
    )
    ((key_id, secret),) = DEMO_KEYS.items()
    serve_until_stopped(
        simulator,
        host,
        port,
        what="the metrics of an ApsaraVideo account",
        exports=lambda url: {
            "APSARAVIDEO_BASE_URL": url,
            "APSARAVIDEO_APP_ID": world.app_ids[0],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
        },
        then="agora-analytics apsaravideo harvest --since 2d --out quality.store",
    )
