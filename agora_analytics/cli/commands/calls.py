"""`agora-analytics calls` and `sessions`, and the search for a call by its id.

The API has no search by id: it needs the call's time range in addition to the id.
"""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import frozen

from agora_analytics.agora.call_lookup import can_be_call_id, looks_like_call_id
from agora_analytics.agora.operations import LISTS
from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import run_listing, run_pages
from agora_analytics.cli.metric_titles import title_of
from agora_analytics.cli.options import (
    TIMES,
    ServersOption,
    SinceOption,
    UntilOption,
    UserOption,
    option_groups,
)
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
from agora_analytics.cli.terminal import err, one_line
from agora_analytics.errors import CallNotFound, InvalidRequest
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.records import Call

CALL_ROWS = RowKind(
    name="calls",
    schema=stored_table("calls"),
    columns=(
        TableColumn("began", timestamp("created_ts")),
        TableColumn("call id", plain("call_id")),
        TableColumn("channel", plain("cname"), least=12),
        TableColumn("lasted", elapsed("created_ts", "destroyed_ts", "finished"), right=True),
        TableColumn(title_of("video_freeze_rate"), percent("call_video_freeze_rate"), right=True),
        TableColumn("users", number("call_acu"), right=True),
        TableColumn(title_of("audio_freeze_rate"), percent("call_audio_freeze_rate"), right=True),
        TableColumn("most at once", number("call_pcu"), right=True),
    ),
    json_columns=("extra",),
)
SESSION_ROWS = RowKind(
    name="sessions",
    schema=stored_table("sessions"),
    columns=(
        TableColumn("user", plain("uid")),
        TableColumn("joined", timestamp("join_ts")),
        TableColumn("stayed", elapsed("join_ts", "leave_ts", "finished"), right=True),
        TableColumn("network", plain("network"), least=9),
        TableColumn("platform", plain("platform"), least=8),
        TableColumn("device", plain("device_type"), least=11),
        TableColumn(title_of("video_freeze_rate"), percent("user_video_freeze_rate"), right=True),
        TableColumn(title_of("audio_freeze_rate"), percent("user_audio_freeze_rate"), right=True),
        TableColumn("SDK", plain("sdk_version")),
        TableColumn("roles", plain("roles"), least=6),
        TableColumn("session id", plain("sid"), below=True),
    ),
    json_columns=("extra",),
)

_CHEAP = 2  # list requests up to which a search is not reported
_search_option = partial(typer.Option, rich_help_panel="Search for the call")

CallIdArgument = Annotated[
    str, typer.Argument(metavar="CALL_ID", help="The id, as `agora-analytics calls` shows it.")
]


@frozen(kw_only=True)
class CallSearch:
    """The options that say where to look for a call."""

    around: Annotated[
        str | None,
        _search_option(
            metavar="TIME",
            help="A time within ten minutes of the call. The search then takes about one request. Without it, the "
            "whole range that the plan allows is searched, the newest calls first.",
        ),
    ] = None
    cname: Annotated[
        str | None, _search_option(metavar="CHANNEL", help="Channel of the call; makes the search cheaper.")
    ] = None
    since: Annotated[str | None, _search_option(metavar="TIME", help=f"Start of the search: {TIMES}.")] = None
    until: Annotated[str | None, _search_option(metavar="TIME", help="End of the search, as --since.")] = None
    spend: Annotated[
        int,
        _search_option(
            min=1, metavar="N", help="List requests (of 100 calls each) that the search may send."
        ),
    ] = 100

    async def find(self, client: "AsyncAgora", call_id: str) -> "Call":
        """Return the call with an id. Reports an expensive search on stderr.

        Raises:
            InvalidRequest: there is no such call, or the text cannot be an id; then no request was sent.
        """
        self._check_id(call_id)
        if self.around is not None and (self.since or self.until):
            raise InvalidRequest("use either --around, or --since and --until")
        before = client.sent.get(LISTS.name, 0)
        try:
            call = await client.find_call(
                call_id,
                self.around,
                since=self.since,
                until=self.until,
                cname=self.cname,
                max_pages=self.spend,
            )
        except CallNotFound as error:
            requests = client.sent.get(LISTS.name, 0) - before
            raise InvalidRequest(self._not_found(error, requests)) from None
        requests = client.sent.get(LISTS.name, 0) - before
        if requests > _CHEAP and self.around is None:
            hint = f"--around {iso(call.created_ts)} finds the call with fewer"
            one_line(err(), f"the search took {requests} list requests; {hint}", "faint")
        return call

    async def call_or_range(self, client: "AsyncAgora", call_id: str) -> tuple["Call"] | tuple[str, str, str]:
        """Return the arguments of the client's methods: the call, or its id and time range if both ends are given."""
        if self.since and self.until and not self.around:
            return call_id, self.since, self.until
        return (await self.find(client, call_id),)

    def _check_id(self, call_id: str) -> None:
        """Refuse a text that cannot be a call id, and one that does not look like one unless the search is narrow."""
        narrow = self.around is not None or self.since is not None
        if not can_be_call_id(call_id):
            what = "cannot be a call id"
        elif not narrow and not looks_like_call_id(call_id):
            what = "does not look like a call id"
        else:
            return
        hint = "run `agora-analytics calls` to list the calls with their ids"
        if can_be_call_id(call_id):
            hint += ", or give the time with --around TIME to search anyway"
        raise InvalidRequest(f"{call_id!r} {what}; {hint}")

    def _not_found(self, error: CallNotFound, requests: int) -> str:
        call_id, since, until = error.call_id, error.since, error.until
        channel = f" in channel {self.cname}" if self.cname else ""
        spent = f"{requests} list request{'' if requests == 1 else 's'}"
        if error.complete:
            return (
                f"no call with the id {call_id}{channel} from {iso(since)} to {iso(until)} ({spent}); "
                "run `agora-analytics calls` to list the calls"
            )
        return (
            f"call {call_id} is not among the newest calls{channel} ({spent}); "
            "give its time with --around TIME, or raise --spend"
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

    from agora_analytics.agora.arrow import calls_table

    run_pages(
        account.client,
        lambda client: client.calls(since, until, cname=cname, page_size=output.page_size),
        lambda page: calls_table([page]),
        CALL_ROWS,
        output,
    )


@option_groups
def sessions(
    call_id: CallIdArgument,
    user: UserOption = None,
    servers: ServersOption = False,
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
            yield sessions_table([page], call_id=call_id)

    run_listing(account.client, pages, SESSION_ROWS, output)
