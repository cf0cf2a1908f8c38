"""`agora-analytics inspect`."""

import asyncio
from collections.abc import Sequence
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
    find_call,
)
from agora_analytics.cli.output.columns import Kind, Listing, Row, Shown, plain
from agora_analytics.cli.output.options import Format, FormatOption, Output, OutputOption, at_once, write_rows
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.records import Session
    from agora_analytics.cli.call_charts import CallCharts, UserCharts

_USERS, _ASK = 8, 1000

USERS = Listing(
    name="users",
    columns={
        "call_id": Kind.TEXT,
        "cname": Kind.TEXT,
        "created_ts": Kind.TIME,
        "destroyed_ts": Kind.TIME,
        "uid": Kind.TEXT,
        "sessions": Kind.WHOLE,
        "join_ts": Kind.TIME,
        "leave_ts": Kind.TIME,
        "finished": Kind.FLAG,
        "network": Kind.TEXT,
        "platform": Kind.TEXT,
        "device_type": Kind.TEXT,
        "sdk_version": Kind.TEXT,
        "speaker": Kind.FLAG,
        "loss_up": Kind.NUMBER,
        "loss_down": Kind.NUMBER,
        "freeze": Kind.NUMBER,
        "sent_kbps": Kind.NUMBER,
        "received_kbps": Kind.NUMBER,
    },
    shown=(Shown("user", plain("uid")),),  # a table of this is a picture: see `call_picture`
)


def inspect(
    call_id: CallIdArgument,
    users: Annotated[
        str, typer.Option(metavar="N|all", help="How many users to draw: those with the most trouble.")
    ] = str(_USERS),
    user: UserOption = None,
    servers: Annotated[bool, typer.Option("--servers", help="Users on servers as well.")] = False,
    around: AroundOption = None,
    cname: CnameOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    ask: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Sessions at most whose metrics are asked for; 20 take one request."
        ),
    ] = _ASK,
    spend: SpendOption = SPEND,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Show one call: who was in it, on what network and device, and charts of loss, freeze and bitrate for each.

    Take the id from `agora-analytics calls`. Loss is the worse of what a user lost up and down; freeze is the share
    of the received audio and video that stood still. The other formats have a row for each user, with the means of
    the same; the samples are in `agora-analytics metrics`.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    where = Where(around=around, cname=cname, since=since, until=until, spend=spend)
    asyncio.run(
        _show(account, call_id, where, _number(users), user or (), servers, ask, Output.of(format, output))
    )


def _number(users: str) -> int | None:
    if users == "all":
        return None
    if not users.isdecimal() or not int(users):
        raise InvalidRequest(f"--users {users} is no number of users; give 1 or more, or all")
    return int(users)


async def _show(
    account: Account,
    call_id: str,
    where: Where,
    number: int | None,
    users: Sequence[str],
    servers: bool,
    ask: int,
    output: Output,
) -> None:
    from agora_analytics.cli.call_charts import CallCharts
    from agora_analytics.cli.call_report import chart_width, show_call, width_of
    from agora_analytics.cli.client_context import format_requests, open_client
    from agora_analytics.cli.output.writers import written
    from agora_analytics.cli.terminal import into, out

    console = out()
    async with open_client(account, quiet=output.on_terminal) as client:
        call = await find_call(client, call_id, where)
        found = await client.sessions(call, uids=users, exclude_server_user=not servers).collect()
        charts = CallCharts(call, found, bins=chart_width(width_of(console)))
        asked = _asked(charts.sessions, ask)
        if asked:
            async for page in client.metrics(call, sids=asked).pages():
                charts.add(page.records)
        spent = format_requests(client.sent)
    if output.format is not Format.TABLE:
        await write_rows(at_once([_row(charts, user) for user in charts.worst_first()]), USERS, output)
        return
    drawn = charts.worst_first()[:number]
    unasked = len(found) - len(asked)
    if output.file is None:
        show_call(console, charts, drawn, unasked=unasked)
        console.print(f"This took {spent}.", style="faint", soft_wrap=True)
        return
    with written(output.file) as part, part.open("w", encoding="utf-8") as file:
        show_call(into(file), charts, drawn, unasked=unasked)


def _asked(sessions: Sequence["Session"], most: int) -> list["Session"]:
    """Return the sessions whose metrics are asked for: where they are too many, those that froze most, then the longest."""

    def trouble(session: "Session") -> tuple[float, int]:
        rates = (session.user_video_freeze_rate or 0, session.user_audio_freeze_rate or 0)
        return max(rates), session.leave_ts - session.join_ts

    if len(sessions) <= most:
        return list(sessions)
    chosen = {session.sid for session in sorted(sessions, key=trouble, reverse=True)[:most]}
    return [session for session in sessions if session.sid in chosen]


def _row(charts: "CallCharts", user: "UserCharts") -> Row:
    from agora_analytics.cli.call_charts import Measure

    last = user.sessions[-1]
    row: dict[str, Any] = {
        "call_id": charts.call.call_id,
        "cname": charts.call.cname,
        "created_ts": charts.call.created_ts,
        "destroyed_ts": charts.call.destroyed_ts,
        "uid": user.uid,
        "sessions": len(user.sessions),
        "join_ts": user.sessions[0].join_ts,
        "leave_ts": last.leave_ts,
        "finished": last.finished,
        "network": last.network,
        "platform": last.platform,
        "device_type": last.device_type,
        "sdk_version": last.sdk_version,
        "speaker": any(session.speaker for session in user.sessions),
        "loss_up": user.mean(Measure.LOSS_UP),
        "loss_down": user.mean(Measure.LOSS_DOWN),
        "freeze": user.mean(Measure.FREEZE),
        "sent_kbps": user.mean(Measure.SENT),
        "received_kbps": user.mean(Measure.RECEIVED),
    }
    return row
