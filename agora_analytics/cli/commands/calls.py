"""`agora-analytics calls`."""

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
from agora_analytics.cli.find_call import TIMES
from agora_analytics.cli.output.columns import (
    Kind,
    Listing,
    Row,
    Shown,
    length,
    moment,
    number,
    percent,
    plain,
)
from agora_analytics.cli.output.options import FormatOption, LimitOption, Output, OutputOption, write_rows

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora


CALLS = Listing(
    name="calls",
    columns={
        "call_id": Kind.TEXT,
        "cname": Kind.TEXT,
        "created_ts": Kind.TIME,
        "destroyed_ts": Kind.TIME,
        "finished": Kind.FLAG,
        "call_pcu": Kind.WHOLE,
        "call_acu": Kind.WHOLE,
        "call_audio_freeze_rate": Kind.NUMBER,
        "call_video_freeze_rate": Kind.NUMBER,
        "extra": Kind.OBJECT,
    },
    shown=(
        Shown("began", moment("created_ts")),
        Shown("call id", plain("call_id")),
        Shown("channel", plain("cname"), least=8),
        Shown("lasted", length("created_ts", "destroyed_ts", "finished"), right=True),
        Shown("users", number("call_acu"), right=True),
        Shown("video freeze", percent("call_video_freeze_rate"), right=True),
        Shown("audio freeze", percent("call_audio_freeze_rate"), right=True),
        Shown("most at once", number("call_pcu"), right=True),
    ),
)


def calls(
    since: Annotated[str, typer.Option(metavar="TIME", help=f"From when: {TIMES}.")] = "6h",
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to when: as --since.")] = "now",
    cname: Annotated[str | None, typer.Option(help="Only the calls of this channel.")] = None,
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    plan: PlanOption = None,
    app_id: AppIdOption = None,
    base_url: BaseUrlOption = None,
    region: RegionOption = None,
    ledger: LedgerOption = None,
) -> None:
    """List the calls that went on in a time range, the newest first.

    100 calls take one request. A table shows the first 40; --limit 0 shows all. A "+" behind a length: the call
    still goes on. Then look at one: agora-analytics inspect CALL_ID.
    """
    account = Account(plan=plan, app_id=app_id, base_url=base_url, region=region, ledger=ledger)
    asyncio.run(_write(account, since, until, cname, Output.of(format, output, limit)))


async def _write(account: Account, since: str, until: str, cname: str | None, output: Output) -> None:
    from agora_analytics.cli.client_context import open_client

    async with open_client(account, quiet=output.on_terminal, **output.means) as client:
        await write_rows(_rows(client, since, until, cname, output.page_size), CALLS, output)


async def _rows(
    client: "AsyncAgora", since: str, until: str, cname: str | None, page_size: int
) -> AsyncGenerator[Iterable[Row], None]:
    async for page in client.calls(since, until, cname=cname, page_size=page_size).pages():
        yield (asdict(call) for call in page.records)
