"""`agora-analytics realtime`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve, frozen

from agora_analytics.agora.enums import LIVE_COUNTS, Dimension, Product, RealtimeMetric
from agora_analytics.cli.account import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
from agora_analytics.cli.finding import TIMES
from agora_analytics.cli.insights import OnlyOption, ProductOption
from agora_analytics.cli.listings import Kind, Row
from agora_analytics.cli.measures import answers, measures, metric_words, metrics_of, wide_rows
from agora_analytics.cli.output import AllOption, Format, FormatOption, Output, OutputOption, pour
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora


@frozen(kw_only=True)
class _Question:
    """What the options ask for."""

    metrics: Sequence[str]
    since: str | None
    until: str
    product: str
    by: str | None
    only: Sequence[str]
    cname: str | None
    users: Sequence[str]

    def __attrs_post_init__(self) -> None:
        if self.only and not self.by:
            raise InvalidRequest("--only names groups; say of what with --by")

    @property
    def counts(self) -> list[str]:
        return [metric for metric in self.metrics if metric in LIVE_COUNTS]

    @property
    def rates(self) -> list[str]:
        return [metric for metric in self.metrics if metric not in LIVE_COUNTS]

    @property
    def grouped(self) -> dict[str, Any]:
        """The keywords that the client's methods take."""
        return {"product": self.product, "by": self.by, "values": self.only, "cname": self.cname}


def realtime(
    metrics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            autocompletion=lambda: list(map(str, RealtimeMetric)),
            help=f"{metric_words(RealtimeMetric)}. Default: userCount.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-F", help="Go on with each new window, until Ctrl-C.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"From when, at most 40 to 60 minutes ago: {TIMES}. Default: 10m; with --follow: now.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to when: as --since.")] = "now",
    top: Annotated[
        bool, typer.Option("--top", help="Only the newest window, its 20 largest groups; with --by.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(list(Dimension)[:-1]),
            autocompletion=lambda: list(map(str, Dimension))[:-1],
            help="A row for each group.",
        ),
    ] = None,
    only: OnlyOption = None,
    cname: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID", help="A row for this user of --cname; give it again for more. Rates only."
        ),
    ] = None,
    product: ProductOption = Product.NATIVE,
    limit: AllOption = 0,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Say what happens now: users, channels and quality in windows of 20 seconds.

    Data comes 20 to 40 seconds late. A metric takes one request, of 480 or 1,440 a day; --follow asks for as many
    windows at a time as it must to get through the day. A table shows percent, the other formats fractions of 1.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    question = _Question(
        metrics=metrics_of(metrics or [RealtimeMetric.USER_COUNT], RealtimeMetric),
        since=since,
        until=until,
        product=product,
        by=by,
        only=only or (),
        cname=cname,
        users=user or (),
    )
    wanted = Output.of(format, output, limit)
    if follow:
        if user or top:
            raise InvalidRequest("--follow tells of everybody, or of all groups; leave --user and --top out")
        _run_following(account, question, wanted)
    elif top:
        asyncio.run(_top(account, question, wanted))
    else:
        asyncio.run(_over_time(account, question, wanted))


async def _over_time(account: Account, question: _Question, output: Output) -> None:
    from agora_analytics.cli.asking import asking

    listing = measures(
        question.metrics, name="times", over_time=True, by=question.by, users=bool(question.users)
    )
    if question.users and question.counts:
        raise InvalidRequest(f"{question.counts[0]} is not told of single users; ask for rates")
    async with asking(account, quiet=output.on_terminal) as client:
        since, asked = question.since or "10m", list[Awaitable[Iterable[Any]]]()
        if question.counts:
            asked.append(client.realtime.usage(question.counts, since, question.until, **question.grouped))
        if question.rates:
            asked.append(
                client.realtime.quality(
                    question.rates, since, question.until, uids=question.users, **question.grouped
                )
            )
        await pour(answers(*asked), listing, output)


async def _top(account: Account, question: _Question, output: Output) -> None:
    from agora_analytics.cli.asking import asking

    if question.by is None or question.only or question.cname or question.users:
        raise InvalidRequest("--top wants --by, and nothing else that chooses")
    metrics = list(dict.fromkeys([*question.metrics, RealtimeMetric.USER_COUNT.value]))
    listing = measures(metrics, name="groups", over_time=True, by=question.by)
    async with asking(account, quiet=output.on_terminal) as client:
        at = question.since
        if question.rates:
            found = client.realtime.top_quality(question.rates, question.by, at, product=question.product)
        else:
            found = client.realtime.top_usage(question.by, at, product=question.product)
        await pour(_groups(found), listing, output)


async def _groups(question: Awaitable[Iterable[Any]]) -> AsyncGenerator[Iterable[Row], None]:
    rows: dict[str | None, dict[str, Any]] = {}
    for group in await question:
        row = rows.setdefault(
            group.dimension_value,
            {
                "ts": group.window_start_ts,
                "dimension": group.dimension,
                "dimension_value": group.dimension_value,
            },
        )
        row[group.metric] = group.value
        if group.user_count is not None:
            row[RealtimeMetric.USER_COUNT.value] = group.user_count
    yield rows.values()


def _run_following(account: Account, question: _Question, output: Output) -> None:
    reached: list[int] = []  # the end of each window that was written
    try:
        asyncio.run(_follow(account, question, output, reached))
    except KeyboardInterrupt:
        from agora_analytics.instants import iso

        if not reached:
            raise
        again = f"; --since {iso(reached[-1])} goes on from there"
        count = f"{len(reached):,} window{'' if len(reached) == 1 else 's'}"
        raise KeyboardInterrupt(f"stopped after {count}{again}") from None


async def _follow(account: Account, question: _Question, output: Output, reached: list[int]) -> None:
    from agora_analytics.cli.asking import asking
    from agora_analytics.cli.following import Lines

    listing = measures(question.metrics, name="windows", over_time=True, by=question.by)
    async with asking(account, quiet=True) as client:
        windows = _windows(client, question, reached, output.limit)
        if output.format is Format.TABLE and output.file is None:
            lines = Lines(listing)
            async for rows in windows:
                lines.add(rows)
        else:
            columns = dict(listing.columns) | {"missing": Kind.TEXTS}
            every_row = evolve(output, limit=0)  # it is windows that are limited, and each comes whole
            await pour(windows, listing.with_columns(columns), every_row)


async def _windows(
    client: "AsyncAgora", question: _Question, reached: list[int], limit: int
) -> AsyncGenerator[list[Row], None]:
    following = client.realtime.follow(question.metrics, since=question.since, **question.grouped)
    async for window in following:
        of_window = {"ts": window.ts, "missing": list(window.missing)}
        yield [{**row, **of_window} for row in wide_rows(window.rows) or [{}]]
        reached.append(window.end)
        if limit and len(reached) >= limit:
            return
