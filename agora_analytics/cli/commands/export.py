"""`agora-analytics export`: metrics for monitoring systems, and dashboards."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from typing import Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Product, RealtimeMetric
from agora_analytics.agora.window_policies import GRID
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import format_requests
from agora_analytics.cli.commands.export_grafana import grafana
from agora_analytics.cli.commands.insights import OnlyOption, ProductOption
from agora_analytics.cli.metric_tables import GROUPS, metric_list, metrics_of
from agora_analytics.cli.options import PortOption, option_groups
from agora_analytics.cli.terminal import err, one_line
from agora_analytics.errors import InvalidRequest

app = typer.Typer(
    name="export",
    help="Serve metrics to monitoring systems, and write dashboards.",
    no_args_is_help=True,
)
app.command()(grafana)


@frozen(kw_only=True)
class ExportedQuery:
    """The options that select the exported values."""

    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            autocompletion=lambda: list(map(str, RealtimeMetric)),
            help=f"Export only this metric; repeat it for more: {metric_list(RealtimeMetric)}. Default: all.",
        ),
    ] = None
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION",
            autocompletion=lambda: list(GROUPS),
            help=f"A value for each group, for the 100 largest: {', '.join(GROUPS)}.",
        ),
    ] = None
    only: OnlyOption = None
    cname: Annotated[str | None, typer.Option(metavar="CHANNEL", help="Only this channel.")] = None
    product: ProductOption = Product.NATIVE
    share: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="The share of the day's requests that may be used, above 0 and at most 1."
        ),
    ] = 0.9
    stale_after: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Serve a value for so long if no newer window arrives.",
        ),
    ] = 300

    def __attrs_post_init__(self) -> None:
        if self.only and not self.by:
            raise InvalidRequest("--only selects groups; add --by DIMENSION")
        if not 0 < self.share <= 1:
            raise InvalidRequest(
                f"--share {self.share:g} is not a share of the requests; use more than 0, at most 1"
            )

    @property
    def metrics(self) -> list[str]:
        """The metrics as the API spells them; channels have no groups."""
        if self.metric:
            return metrics_of(self.metric, RealtimeMetric)
        without = RealtimeMetric.CHANNEL_COUNT if self.by else None
        return [str(metric) for metric in RealtimeMetric if metric is not without]

    @property
    def arguments(self) -> dict[str, Any]:
        """The keywords of `client.realtime.follow`."""
        return {
            "product": self.product,
            "by": self.by,
            "values": self.only or (),
            "cname": self.cname,
            "share": self.share,
        }


@app.command()
@option_groups
def prometheus(
    query: ExportedQuery,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: PortOption = 9464,
    *,
    account: AgoraAccount,
) -> None:
    """Serve real-time quality and the client's own metrics to Prometheus, until Ctrl-C.

    A scrape sends no request: one task fetches every window of 20 seconds, within the day's quota. A request fetches
    several windows at a time, so each window is served a fixed time after its end, which grows with the number of metrics.
    docs/howto/observability.md has the names of the metrics.
    """
    asyncio.run(_until_stopped(_serve(account, query, host, port)))


async def _serve(account: AgoraAccount, query: ExportedQuery, host: str, port: int) -> None:
    from agora_analytics.integrations.prometheus import PrometheusMetrics, metrics_server
    from agora_analytics.integrations.realtime_export import daily_costs, export_windows, lag_of

    metrics = PrometheusMetrics()
    async with account.client(observer=metrics) as client:
        quotas = await client.quota()
        costs = daily_costs(quotas, query.metrics, query.share)
        lag = lag_of(costs)
        # From a window that is due already, so that there are values at once.
        windows = client.realtime.follow(query.metrics, since=f"{lag + GRID:.0f}s", **query.arguments)
        windows.check()
        metrics.stale_after = lag + query.stale_after
        metrics.record_quota(quotas)
        with ExitStack() as server:
            try:
                url = server.enter_context(metrics_server(metrics.registry, host, port))
            except OSError as error:
                raise _cannot_listen(host, port, error) from error
            _print(f"serving {url}; stop with Ctrl-C")
            for cost in costs:
                _print(str(cost))
            _print(f"each window of 20 s is served {lag:.0f} s after its end")
            try:
                await export_windows(client, metrics, windows, lag=lag)
            except asyncio.CancelledError:
                _print(f"stopped; {format_requests(client.sent) or 'no request'} sent")
                raise


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until it ends, or until Ctrl-C or SIGTERM."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Closing the loop removes the handlers. Windows has none, and there Ctrl-C raises KeyboardInterrupt.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _print(text: str) -> None:
    one_line(err(), f"agora-analytics: {text}")


def _cannot_listen(host: str, port: int, error: OSError) -> InvalidRequest:
    reason = (error.strerror or str(error)).lower()
    return InvalidRequest(
        f"cannot listen on {host}:{port}: {reason}; choose another --port (0: any free port) or --host"
    )
