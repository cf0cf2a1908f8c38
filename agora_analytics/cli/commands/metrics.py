"""`agora-analytics metrics`."""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.accounts import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
from agora_analytics.cli.commands.sessions import UserOption
from agora_analytics.cli.find_call import (
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
from agora_analytics.cli.output.columns import Kind, Listing, Row, Shown, moment, number, plain
from agora_analytics.cli.output.options import (
    Format,
    FormatOption,
    LimitOption,
    Output,
    OutputOption,
    write_rows,
)
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.core.columns import Series


class Each(StrEnum):
    """What a row is."""

    SERIES = "series"
    SAMPLE = "sample"


_KEY = {
    "call_id": Kind.TEXT,
    "sid": Kind.TEXT,
    "uid": Kind.TEXT,
    "mid": Kind.WHOLE,
    "metric": Kind.TEXT,
    "unit": Kind.TEXT,
    "peer_uid": Kind.TEXT,
}
_WHAT = (
    Shown("user", plain("uid"), least=10),
    Shown("metric", plain("metric"), least=16),
    Shown("of user", lambda row: "" if row["peer_uid"] == "0" else row["peer_uid"], least=8),
)

SAMPLES = Listing(
    name="samples",
    columns=_KEY | {"ts": Kind.TIME, "value": Kind.NUMBER},
    shown=(
        *_WHAT,
        Shown("at", moment("ts")),
        Shown("value", number("value", 2), right=True),
        Shown("unit", plain("unit")),
    ),
)
SERIES = Listing(
    name="series",
    columns=_KEY
    | {
        "samples": Kind.WHOLE,
        "first_ts": Kind.TIME,
        "last_ts": Kind.TIME,
        "lowest": Kind.NUMBER,
        "mean": Kind.NUMBER,
        "highest": Kind.NUMBER,
    },
    shown=(
        *_WHAT,
        Shown("lowest", number("lowest", 1), right=True),
        Shown("mean", number("mean", 1), right=True),
        Shown("highest", number("highest", 1), right=True),
        Shown("unit", plain("unit")),
        Shown("samples", number("samples"), right=True),
        Shown("first", moment("first_ts")),
        Shown("last", moment("last_ts")),
    ),
)


def _metric_names() -> list[str]:
    from agora_analytics.agora.metric_ids import METRIC_IDS

    return [metric.name for metric in METRIC_IDS.values()]


def metrics(
    call_id: CallIdArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME|ID",
            autocompletion=_metric_names,
            help="Only this metric, such as video_render_freeze or 20011; give it again for more.",
        ),
    ] = None,
    user: UserOption = None,
    each: Annotated[
        Each | None,
        typer.Option(
            help="A row is a sample, or a whole series with its lowest, mean and highest value. "
            "Default: a series in a table, a sample in every other format.",
            show_default=False,
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
    """Give what was measured in a call: bitrates, losses, freezes, frame rates, CPU and more, by user.

    20 sessions take one request for each 1 to 6 hours of the call, by plan; --user asks for less. "Of user" is whose
    stream was measured; empty: the user's own. Charts of the same: agora-analytics inspect CALL_ID.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    where = Where(around=around, cname=cname, since=since, until=until, spend=spend)
    wanted = Output.of(format, output, limit)
    each = each or (Each.SERIES if wanted.format is Format.TABLE else Each.SAMPLE)
    asyncio.run(_write(account, call_id, where, user or (), _mids(metric or ()), each, wanted))


async def _write(
    account: Account,
    call_id: str,
    where: Where,
    users: Iterable[str],
    mids: frozenset[int],
    each: Each,
    output: Output,
) -> None:
    from agora_analytics.cli.client_context import open_client

    # Ahead of a reader that is slow or goes away, only a little is fetched: the answers are large.
    async with open_client(account, quiet=output.on_terminal, prefetch=2) as client:
        listing = SERIES if each is Each.SERIES else SAMPLES
        await write_rows(_rows(client, call_id, where, tuple(users), mids, each), listing, output)


async def _rows(
    client: "AsyncAgora",
    call_id: str,
    where: Where,
    users: tuple[str, ...],
    mids: frozenset[int],
    each: Each,
) -> AsyncGenerator[Iterable[Row], None]:
    call, *ends = await call_or_range(client, call_id, where)
    found = client.sessions(call, *ends, uids=users, exclude_server_user=False)
    sessions = sorted(await found.collect(), key=lambda session: (session.join_ts, session.sid))
    names = {session.sid: session.uid for session in sessions}
    rows = _summaries if each is Each.SERIES else _samples
    async for page in client.metrics(call, *ends, sids=sessions).pages():
        series = [one for one in page.records if not mids or one.mid in mids]
        yield rows(call_id, names, series)


def _mids(names: Iterable[str]) -> frozenset[int]:
    from agora_analytics.agora.metric_ids import METRIC_IDS

    by_name = {metric.name: metric.mid for metric in METRIC_IDS.values()}
    for name in names:
        if not name.isdecimal() and name not in by_name:
            close = [known for known in by_name if name in known] or sorted(by_name)
            raise InvalidRequest(f"there is no metric {name!r}; choose an id or one of {', '.join(close)}")
    return frozenset(int(name) if name.isdecimal() else by_name[name] for name in names)


def _key(call_id: str, names: Mapping[str, str], series: "Series") -> dict[str, Any]:
    from agora_analytics.agora.metric_ids import METRIC_IDS, metric_name

    known = METRIC_IDS.get(series.mid)
    return {
        "call_id": call_id,
        "sid": series.sid,
        "uid": names.get(series.sid),
        "mid": series.mid,
        "metric": metric_name(series.mid),
        "unit": known.unit if known else "",
        "peer_uid": series.peer_uid,
    }


def _samples(call_id: str, names: Mapping[str, str], found: "Sequence[Series]") -> Iterator[Row]:
    for series in found:
        key = _key(call_id, names, series)
        for ts, value in zip(series.ts, series.value, strict=True):
            yield {**key, "ts": ts, "value": None if math.isnan(value) else value}


def _summaries(call_id: str, names: Mapping[str, str], found: "Sequence[Series]") -> Iterator[Row]:
    for series in found:
        if not len(series):
            continue
        values = [value for value in series.value if not math.isnan(value)]
        yield _key(call_id, names, series) | {
            "samples": len(series),
            "first_ts": min(series.ts),
            "last_ts": max(series.ts),
            "lowest": min(values, default=None),
            "mean": sum(values) / len(values) if values else None,
            "highest": max(values, default=None),
        }
