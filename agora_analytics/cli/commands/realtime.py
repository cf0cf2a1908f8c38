"""`agora-analytics realtime`."""

from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve, frozen

from agora_analytics.agora.enums import LIVE_COUNTS, Product, RealtimeMetric
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.commands.insights import OnlyOption, ProductOption
from agora_analytics.cli.metric_tables import (
    GROUPS,
    metric_rows,
    metrics_argument,
    metrics_of,
    query_pages,
    value_of,
    wide_rows,
)
from agora_analytics.cli.options import TIMES, UntilOption, option_groups
from agora_analytics.cli.output import UnlimitedOutput
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import iso

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora


@frozen(kw_only=True)
class RealtimeQuery:
    """The options that select metrics, times, groups and users."""

    metric: Annotated[list[str] | None, metrics_argument(RealtimeMetric, "Default: userCount.")] = None
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Start of the time range, at most 40 to 60 minutes ago by plan: {TIMES}. "
            "Default: 10m; with --follow: now.",
            show_default=False,
        ),
    ] = None
    until: UntilOption = "now"
    by: Annotated[
        str | None,
        typer.Option(
            metavar="DIMENSION",
            autocompletion=lambda: list(GROUPS),
            help=f"A row for each group: {', '.join(GROUPS)}.",
        ),
    ] = None
    only: OnlyOption = None
    cname: Annotated[str | None, typer.Option(metavar="CHANNEL", help="Only this channel.")] = None
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID", help="A row for this user of --cname; repeat it for more. Only for rates."
        ),
    ] = None
    product: ProductOption = Product.NATIVE

    def __attrs_post_init__(self) -> None:
        if self.only and not self.by:
            raise InvalidRequest("--only selects groups; add --by DIMENSION")

    @property
    def metrics(self) -> list[str]:
        """The metrics as the API spells them."""
        return metrics_of(self.metric or [RealtimeMetric.USER_COUNT], RealtimeMetric)

    @property
    def counts(self) -> list[str]:
        """The metrics that are counts."""
        return [metric for metric in self.metrics if metric in LIVE_COUNTS]

    @property
    def rates(self) -> list[str]:
        """The metrics that are rates."""
        return [metric for metric in self.metrics if metric not in LIVE_COUNTS]

    @property
    def selection(self) -> dict[str, Any]:
        """The keywords of the client's methods."""
        return {"product": self.product, "by": self.by, "values": self.only or (), "cname": self.cname}


@option_groups
def realtime(
    query: RealtimeQuery,
    follow: Annotated[
        bool, typer.Option("--follow", "-F", help="Write each new window as it arrives, until Ctrl-C.")
    ] = False,
    top: Annotated[
        bool, typer.Option("--top", help="Only the newest window and its 20 largest groups; needs --by.")
    ] = False,
    *,
    output: UnlimitedOutput,
    account: AgoraAccount,
) -> None:
    """Show the last minutes: users, channels and quality in windows of 20 seconds.

    Data arrives 20 to 40 seconds late. A metric takes one request, of 480 or 1,440 a day by plan. --follow fetches
    several windows at a time, so that the quota lasts for the day. A table shows percent, the other formats fractions
    of 1.
    """
    if follow:
        if query.user or top:
            raise InvalidRequest("--follow cannot be combined with --user or --top")
        _follow(account, query, output)
    elif top:
        _show_top(account, query, output)
    else:
        _show_windows(account, query, output)


def _show_windows(account: AgoraAccount, query: RealtimeQuery, output: UnlimitedOutput) -> None:
    if query.user and query.counts:
        raise InvalidRequest(f"{query.counts[0]} is not available for single users; choose rates")
    name = "rows" if query.by or query.user else "windows"
    kind = metric_rows(query.metrics, name=name, over_time=True, by=query.by, users=bool(query.user))

    def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        since, queries = query.since or "10m", list[Coroutine[Any, Any, Iterable[Any]]]()
        if query.counts:
            queries.append(client.realtime.usage(query.counts, since, query.until, **query.selection))
        if query.rates:
            queries.append(
                client.realtime.quality(
                    query.rates, since, query.until, uids=query.user or (), **query.selection
                )
            )
        return query_pages(kind, *queries)

    run_listing(account.client, pages, kind, output)


def _show_top(account: AgoraAccount, query: RealtimeQuery, output: UnlimitedOutput) -> None:
    by = query.by
    if by is None or query.only or query.cname or query.user:
        raise InvalidRequest(
            "--top needs --by DIMENSION and cannot be combined with --only, --cname or --user"
        )
    metrics = list(dict.fromkeys([*query.metrics, RealtimeMetric.USER_COUNT.value]))
    kind = metric_rows(metrics, name="groups", over_time=True, by=by)

    async def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        realtime = client.realtime
        if query.rates:
            groups = await realtime.top_quality(query.rates, by, query.since, product=query.product)
        else:
            groups = await realtime.top_usage(by, query.since, product=query.product)
        yield kind.table(_group_rows(groups))

    run_listing(account.client, pages, kind, output)


def _group_rows(groups: Iterable[Any]) -> Iterable[dict[str, Any]]:
    """Return one row for each group, with a key for each metric; the groups with the most users first."""
    rows: dict[str | None, dict[str, Any]] = {}
    for group in groups:
        row = rows.setdefault(
            group.dimension_value,
            {
                "ts": group.window_start_ts,
                "dimension": group.dimension,
                "dimension_value": group.dimension_value,
            },
        )
        row[group.metric] = value_of(group)
        if group.user_count is not None:
            row[RealtimeMetric.USER_COUNT.value] = group.user_count
    users = RealtimeMetric.USER_COUNT.value
    return sorted(rows.values(), key=lambda row: -(row.get(users) or 0))


def _follow(account: AgoraAccount, query: RealtimeQuery, output: UnlimitedOutput) -> None:
    window_ends: list[int] = []  # of the windows that were written
    kind = metric_rows(query.metrics, name="windows", over_time=True, by=query.by, live=True)

    async def windows(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        following = client.realtime.follow(query.metrics, since=query.since, **query.selection)
        async for window in following:
            of_window = {"ts": window.ts, "missing": list(window.missing)}
            yield kind.table(row | of_window for row in wide_rows(window.rows) or [{}])
            window_ends.append(window.end)
            if len(window_ends) == output.limit:
                return

    try:
        # The limit counts windows, and each of them is written whole.
        run_listing(account.client, windows, kind, evolve(output, limit=0))
    except KeyboardInterrupt:
        if not window_ends:
            raise
        count = f"{len(window_ends):,} window{'' if len(window_ends) == 1 else 's'}"
        raise KeyboardInterrupt(
            f"stopped after {count}; continue with --since {iso(window_ends[-1])}"
        ) from None
