"""`agora-analytics statistics`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.agora.enums import Dimension, FreezeMetric, TimeMetric
from agora_analytics.cli.account import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
from agora_analytics.cli.finding import (
    SPEND,
    AroundOption,
    CallIdArgument,
    CnameOption,
    SinceOption,
    SpendOption,
    UntilOption,
    Where,
    call_or_range,
)
from agora_analytics.cli.listings import NOTHING, Kind, Listing, Row, Shown, moment, number, percent, plain
from agora_analytics.cli.measures import metrics_of
from agora_analytics.cli.output import FormatOption, LimitOption, Output, OutputOption, pour
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

_DIMENSIONS = tuple(map(str, Dimension))[:-1]
_TITLES: Mapping[str, str] = {
    TimeMetric.USER_COUNT: "users",
    TimeMetric.AUDIO_FREEZE_RATE: "audio freeze",
    TimeMetric.VIDEO_FREEZE_RATE: "video freeze",
    TimeMetric.AUDIO_FREEZE_USER_COUNT: "with audio freeze",
    TimeMetric.VIDEO_FREEZE_USER_COUNT: "with video freeze",
}
_PART = {"call_id": Kind.TEXT, "since": Kind.TIME, "until": Kind.TIME}
_FROM, _UP_TO = Shown("from", moment("since")), Shown("up to", moment("until"))

Ask = Callable[..., Awaitable[Iterable[Any]]]


@frozen(kw_only=True)
class _Question:
    """One of the three things that a call's statistics tell.

    Attributes:
        takes: the metrics that can be asked for.
        default: the metrics that are, where none is named.
        ask: what asks a client for the records of metrics.
        listing: the listing of metrics.
        keys: the fields of a record that make its row.
        cells: what else of a record goes into its row.
        order: what the records are sorted by.
    """

    takes: Sequence[str]
    default: Sequence[str]
    ask: "Callable[[AsyncAgora], Ask]"
    listing: Callable[[Sequence[str]], Listing]
    keys: Sequence[str]
    cells: Callable[[Any], Row]
    order: Callable[[Any], Any]

    def rows(self, call_id: str, records: Iterable[Any]) -> list[Row]:
        """Return one row for each group, bucket or minute, with what each metric tells of it."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for record in sorted(records, key=self.order):
            key = {name: getattr(record, name) for name in self.keys}
            row = found.setdefault(tuple(key.values()), {"call_id": call_id} | key)
            row |= {name: value for name, value in self.cells(record).items() if name not in row}
        return list(found.values())


def _groups(by: str) -> _Question:
    def listing(metrics: Sequence[str]) -> Listing:
        told = {name: Kind.NUMBER for metric in metrics for name in (metric, _users(metric))}
        return Listing(
            name="groups",
            columns=_PART | {"dimension": Kind.TEXT, "dimension_value": Kind.TEXT} | told,
            shown=(
                Shown(by, plain("dimension_value"), least=12),
                Shown("users", _counts([_users(metric) for metric in metrics]), right=True),
                *(Shown(_TITLES[metric], percent(metric), right=True) for metric in metrics),
                _FROM,
                _UP_TO,
            ),
        )

    def ask(client: "AsyncAgora") -> Ask:
        return lambda call, metrics, **ends: client.statistics(call, metrics, by, **ends)

    return _Question(
        takes=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        ask=ask,
        listing=listing,
        keys=("since", "dimension", "dimension_value"),
        cells=lambda row: {"until": row.until, row.metric: row.value, _users(row.metric): row.user_count},
        order=lambda row: (row.since, -(row.user_count or 0), row.dimension_value or ""),
    )


def _freeze() -> _Question:
    def listing(metrics: Sequence[str]) -> Listing:
        columns = [_users(metric) for metric in metrics]
        titles = [f"users by {_TITLES[metric]}" for metric in metrics]
        shown = [Shown(title, number(name), right=True) for title, name in zip(titles, columns, strict=True)]
        return Listing(
            name="buckets",
            columns=_PART | {"bucket": Kind.TEXT} | dict.fromkeys(columns, Kind.WHOLE),
            shown=(Shown("freeze", plain("bucket")), *shown, _FROM, _UP_TO),
        )

    return _Question(
        takes=tuple(FreezeMetric),
        default=tuple(FreezeMetric),
        ask=lambda client: client.freeze_distribution,
        listing=listing,
        keys=("since", "bucket"),
        cells=lambda row: {"until": row.until, _users(row.metric): row.user_count},
        order=lambda row: (row.since, row.bounds or (1.0, 1.0)),
    )


def _minutes() -> _Question:
    def listing(metrics: Sequence[str]) -> Listing:
        shown = [
            Shown(_TITLES[metric], (percent if metric.endswith("rate") else number)(metric), right=True)
            for metric in metrics
        ]
        return Listing(
            name="minutes",
            columns={"call_id": Kind.TEXT, "ts": Kind.TIME} | dict.fromkeys(metrics, Kind.NUMBER),
            shown=(Shown("minute", moment("ts")), *shown),
        )

    return _Question(
        takes=tuple(TimeMetric),
        default=tuple(TimeMetric)[:3],
        ask=lambda client: client.statistics_over_time,
        listing=listing,
        keys=("ts",),
        cells=lambda row: {row.metric: row.value},
        order=lambda row: row.ts,
    )


def statistics(
    call_id: CallIdArgument,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_DIMENSIONS),
            autocompletion=lambda: list(_DIMENSIONS),
            help="What users are grouped by. Default: net.",
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="How many users froze how much, instead of the groups.")
    ] = False,
    over_time: Annotated[
        bool, typer.Option("--over-time", help="The call minute by minute, instead of the groups.")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            autocompletion=lambda: list(map(str, TimeMetric)),
            help="Only this metric; give it again for more. audio_freeze_rate, video_freeze_rate; with --over-time "
            "also user_count, audio_freeze_user_count, video_freeze_user_count.",
        ),
    ] = None,
    around: AroundOption = None,
    cname: CnameOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    spend: SpendOption = SPEND,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Say how a whole call went, by the vendor's own count: by group of users, by how much they froze, or by minute.

    A metric takes one request for each 1 to 6 hours of the call, by plan; a longer call has rows for each such part.
    A table shows percent, the other formats fractions of 1.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    where = Where(around=around, cname=cname, since=since, until=until, spend=spend)
    question = _question(by, freeze=freeze, over_time=over_time)
    metrics = metrics_of(metric or question.default, question.takes)
    asyncio.run(_write(account, call_id, where, question, metrics, Output.of(format, output, limit)))


def _question(by: str | None, *, freeze: bool, over_time: bool) -> _Question:
    if (by is not None) + freeze + over_time > 1:
        raise InvalidRequest("--by, --freeze and --over-time are questions of their own: give one of them")
    if freeze:
        return _freeze()
    return _minutes() if over_time else _groups(Dimension.NET if by is None else by)


async def _write(
    account: Account,
    call_id: str,
    where: Where,
    question: _Question,
    metrics: Sequence[str],
    output: Output,
) -> None:
    from agora_analytics.cli.asking import asking

    async with asking(account, quiet=output.on_terminal) as client:
        await pour(_rows(client, call_id, where, question, metrics), question.listing(metrics), output)


async def _rows(
    client: "AsyncAgora", call_id: str, where: Where, question: _Question, metrics: Sequence[str]
) -> AsyncGenerator[Iterable[Row], None]:
    call, *ends = await call_or_range(client, call_id, where)
    ask = question.ask(client)
    try:
        records = await ask(call, metrics, **dict(zip(("since", "until"), ends, strict=False)))
    except AgoraAnalyticsError as error:
        yield question.rows(call_id, error.partial or ())
        raise
    yield question.rows(call_id, records)


def _users(metric: str) -> str:
    return f"{metric}_users"


def _counts(names: Sequence[str]) -> Callable[[Row], str]:
    """Return what shows the users of a group once, or each count where the metrics are about different users."""

    def text(row: Row) -> str:
        counts = dict.fromkeys(number(name)(row) for name in names if row.get(name) is not None)
        return " / ".join(counts) or NOTHING

    return text
