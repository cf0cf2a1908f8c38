"""`agora-analytics calls` and `agora-analytics sessions`."""

from typing import TYPE_CHECKING, Annotated

import typer

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.find_call import CallIdArgument, CallSearch
from agora_analytics.cli.options import SinceOption, UntilOption, UserOption, option_groups
from agora_analytics.cli.output import LimitedOutput
from agora_analytics.cli.output.columns import (
    RowKind,
    TableColumn,
    elapsed,
    number,
    percent,
    plain,
    stored_table,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora

CALL_ROWS = RowKind(
    name="calls",
    schema=stored_table("calls"),
    columns=(
        TableColumn("began", timestamp("created_ts")),
        TableColumn("call id", plain("call_id")),
        TableColumn("channel", plain("cname"), least=8),
        TableColumn("lasted", elapsed("created_ts", "destroyed_ts", "finished"), right=True),
        TableColumn("users", number("call_acu"), right=True),
        TableColumn("video freeze", percent("call_video_freeze_rate"), right=True),
        TableColumn("audio freeze", percent("call_audio_freeze_rate"), right=True),
        TableColumn("most at once", number("call_pcu"), right=True),
    ),
    json_columns=("extra",),
)
SESSION_ROWS = RowKind(
    name="sessions",
    schema=stored_table("sessions"),
    columns=(
        TableColumn("user", plain("uid"), least=10),
        TableColumn("joined", timestamp("join_ts")),
        TableColumn("stayed", elapsed("join_ts", "leave_ts", "finished"), right=True),
        TableColumn("network", plain("network"), least=9),
        TableColumn("platform", plain("platform"), least=8),
        TableColumn("device", plain("device_type"), least=11),
        TableColumn("video freeze", percent("user_video_freeze_rate"), right=True),
        TableColumn("audio freeze", percent("user_audio_freeze_rate"), right=True),
        TableColumn("SDK", plain("sdk_version")),
        TableColumn("roles", plain("roles"), least=6),
        TableColumn("session id", plain("sid")),
    ),
    json_columns=("extra",),
)


@option_groups
def calls(
    since: SinceOption = "6h",
    until: UntilOption = "now",
    cname: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Only the calls of this channel.")
    ] = None,
    *,
    output: LimitedOutput,
    account: AgoraAccount,
) -> None:
    """List the calls of a time range, the newest first.

    100 calls take one request. A table shows the first 40; --limit 0 shows all. A "+" after a duration means that the
    call is ongoing. To look at one call: agora-analytics inspect CALL_ID.
    """

    async def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        from agora_analytics.agora.arrow import calls_table

        async for page in client.calls(since, until, cname=cname, page_size=output.page_size).pages():
            yield calls_table(page.records)

    run_listing(account.client, pages, CALL_ROWS, output, **output.client_options)


@option_groups
def sessions(
    call_id: CallIdArgument,
    user: UserOption = None,
    servers: Annotated[
        bool, typer.Option("--servers", help="Include users on servers, such as recorders.")
    ] = False,
    *,
    search: CallSearch,
    output: LimitedOutput,
    account: AgoraAccount,
) -> None:
    """List who was in a call: each session of each user, with its times, network and device.

    100 sessions take one request. The call has to be found first: --around TIME makes the search cheap, and --since
    together with --until skips it. A user who left and came back has two sessions.
    """

    async def pages(client: "AsyncAgora") -> "AsyncGenerator[pa.Table, None]":
        from agora_analytics.agora.arrow import sessions_table

        call, *ends = await search.call_or_range(client, call_id)
        listing = client.sessions(
            call, *ends, uids=user or (), exclude_server_user=not servers, page_size=output.page_size
        )
        async for page in listing.pages():
            yield sessions_table(page.records, call_id=call_id)

    run_listing(account.client, pages, SESSION_ROWS, output)
