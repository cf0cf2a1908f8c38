"""`agora-analytics sessions`."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import asdict

from agora_analytics.cli.accounts import (
    Account,
    AppIdOption,
    BaseUrlOption,
    LedgerOption,
    PlanOption,
    RegionOption,
)
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
from agora_analytics.cli.output.columns import Kind, Listing, Row, Shown, length, moment, percent, plain
from agora_analytics.cli.output.options import FormatOption, LimitOption, Output, OutputOption, write_rows

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

SESSIONS = Listing(
    name="sessions",
    columns={
        "call_id": Kind.TEXT,
        "sid": Kind.TEXT,
        "cname": Kind.TEXT,
        "uid": Kind.TEXT,
        "account": Kind.TEXT,
        "network": Kind.TEXT,
        "platform": Kind.TEXT,
        "speaker": Kind.FLAG,
        "roles": Kind.TEXTS,
        "sdk_version": Kind.TEXT,
        "device_type": Kind.TEXT,
        "join_ts": Kind.TIME,
        "leave_ts": Kind.TIME,
        "finished": Kind.FLAG,
        "user_audio_freeze_rate": Kind.NUMBER,
        "user_video_freeze_rate": Kind.NUMBER,
        "extra": Kind.OBJECT,
    },
    shown=(
        Shown("user", plain("uid"), least=10),
        Shown("joined", moment("join_ts")),
        Shown("stayed", length("join_ts", "leave_ts", "finished"), right=True),
        Shown("network", plain("network"), least=9),
        Shown("platform", plain("platform"), least=8),
        Shown("device", plain("device_type"), least=11),
        Shown("video freeze", percent("user_video_freeze_rate"), right=True),
        Shown("audio freeze", percent("user_audio_freeze_rate"), right=True),
        Shown("SDK", plain("sdk_version")),
        Shown("roles", plain("roles"), least=6),
        Shown("session id", plain("sid")),
    ),
)

UserOption = Annotated[
    list[str] | None, typer.Option(metavar="UID", help="Only this user; give it again for more, up to 10.")
]


def sessions(
    call_id: CallIdArgument,
    around: AroundOption = None,
    cname: CnameOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    user: UserOption = None,
    servers: Annotated[bool, typer.Option("--servers", help="Users on servers as well.")] = False,
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
    """List who was in a call: each stay of each user, from when to when, on what network and device.

    100 sessions take one request, and the call has to be found first: --around TIME makes that cheap, and both
    --since and --until spare it. A user who left and came back has two sessions.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    where = Where(around=around, cname=cname, since=since, until=until, spend=spend)
    asyncio.run(_write(account, call_id, where, user or (), servers, Output.of(format, output, limit)))


async def _write(
    account: Account, call_id: str, where: Where, users: Iterable[str], servers: bool, output: Output
) -> None:
    from agora_analytics.cli.client_context import open_client

    async with open_client(account, quiet=output.on_terminal) as client:
        await write_rows(
            _rows(client, call_id, where, tuple(users), servers, output.page_size), SESSIONS, output
        )


async def _rows(
    client: "AsyncAgora", call_id: str, where: Where, users: tuple[str, ...], servers: bool, page_size: int
) -> AsyncGenerator[Iterable[Row], None]:
    call, *ends = await call_or_range(client, call_id, where)
    found = client.sessions(call, *ends, uids=users, exclude_server_user=not servers, page_size=page_size)
    async for page in found.pages():
        yield (asdict(session) | {"call_id": call_id} for session in page.records)
