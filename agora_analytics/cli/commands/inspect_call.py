"""`agora-analytics inspect`."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import format_requests, open_client
from agora_analytics.cli.commands.calls import CallIdArgument, CallSearch
from agora_analytics.cli.options import ServersOption, UserOption, option_groups
from agora_analytics.cli.output import Format, PageOutput, atomic_file, write_table
from agora_analytics.cli.output.columns import RowKind, TableColumn, plain, row_schema
from agora_analytics.cli.terminal import out, stdout_console
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.agora.records import Session
    from agora_analytics.core.columns import Series
    from agora_analytics.insight.call_charts import CallCharts, UserCharts


_OF_CALL = ("call_id", "cname", "created_ts", "destroyed_ts")
_OF_LAST_SESSION = ("finished", "network", "platform", "device_type", "sdk_version")
_MEANS = (
    "loss_up",
    "loss_down",
    "freeze",
    "sent_kbps",
    "received_kbps",
    "round_trip_ms",
)  # in the order of `Measure`

# A table of users is a report with charts: see `call_report`.
USER_ROWS = RowKind(
    name="users",
    schema=row_schema(
        dict.fromkeys(_OF_CALL, "calls")
        | {"uid": "sessions", "sessions": "int64"}
        | dict.fromkeys(("join_ts", "leave_ts", *_OF_LAST_SESSION, "speaker"), "sessions")
        | dict.fromkeys(_MEANS, "double")
    ),
    columns=(TableColumn("user", plain("uid")),),
)


@option_groups
def inspect(
    call_id: CallIdArgument,
    users: Annotated[
        str, typer.Option(metavar="N|all", help="Number of users to draw, those with the most trouble first.")
    ] = "8",
    user: UserOption = None,
    servers: ServersOption = False,
    ask: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Fetch the metrics of at most N sessions, those that froze most; 20 sessions take one request.",
        ),
    ] = 1000,
    *,
    search: CallSearch,
    output: PageOutput,
    account: AgoraAccount,
) -> None:
    """Show one call: its users, their networks and devices, and charts of loss, freeze and bitrate for each user.

    Take the id from `agora-analytics calls`. Loss is the larger of a user's uplink and downlink loss; freeze is the
    share of the received audio and video that froze. --output call.html writes a page with charts, in one file. The other
    formats have a row for each user with the means. For the samples: agora-analytics metrics.
    """
    from agora_analytics.cli.call_report import chart_width, report_width, show_call
    from agora_analytics.insight.call_charts import CallCharts
    from agora_analytics.insight.diagnosis.call_findings import MOST_SESSIONS, CallFindings, call_findings
    from agora_analytics.insight.pages.call_page import BINS as PAGE_BINS
    from agora_analytics.insight.pages.call_page import call_page
    from agora_analytics.insight.pages.html_page import load_libraries

    count = _user_count(users)
    is_page = output.format is Format.HTML
    if is_page:
        load_libraries()
    bins = PAGE_BINS if is_page else chart_width(report_width(stdout_console()))

    async def fetch() -> tuple[CallCharts, int, str, CallFindings | None]:
        """Return the charts, the sessions without metrics, the requests in words, and what was wrong, for a page."""
        async with open_client(account.client) as client:
            call = await search.find(client, call_id)
            sessions = await client.sessions(call, uids=user or (), exclude_server_user=not servers).collect()
            charts = CallCharts(call, sessions, bins=bins)
            chosen = _most_frozen(charts.sessions, ask)
            series: list[Series] = []
            is_diagnosed = is_page and 0 < len(chosen) <= MOST_SESSIONS
            if chosen:
                async for page in client.metrics(call, sids=chosen).pages():
                    charts.add(page.records)
                    series += page.records if is_diagnosed else ()
            findings = call_findings(chosen, series) if is_diagnosed else None
            return charts, len(sessions) - len(chosen), format_requests(client.sent), findings

    charts, omitted, requests, findings = asyncio.run(fetch())
    drawn = charts.worst_first()[:count]
    if is_page:
        _write_page(call_page(charts, omitted=omitted, findings=findings), output)
    elif output.format is not Format.TABLE:
        rows = (_user_row(charts, user) for user in charts.worst_first())
        write_table(USER_ROWS.table(rows), USER_ROWS, output)
    elif output.file is not None:
        with (
            atomic_file(output.file) as part,
            part.open("w", encoding="utf-8", errors="backslashreplace") as file,
        ):
            show_call(out(file), charts, drawn, omitted=omitted)
    else:
        console = out()
        show_call(console, charts, drawn, omitted=omitted)
        console.print(f"This took {requests}.", style="faint")


def _write_page(page: str, output: PageOutput) -> None:
    assert output.file is not None  # noqa: S101 - `PageOutput` refuses a page without a file
    with atomic_file(output.file) as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")


def _user_count(users: str) -> int | None:
    if users == "all":
        return None
    if not users.isdecimal() or not int(users):
        raise InvalidRequest(f"--users {users} is not a number of users; use 1 or more, or all")
    return int(users)


def _most_frozen(sessions: Sequence["Session"], limit: int) -> list["Session"]:
    """Return at most `limit` sessions, those that froze most and then the longest."""

    def trouble(session: "Session") -> tuple[float, int]:
        rates = (session.user_video_freeze_rate or 0, session.user_audio_freeze_rate or 0)
        return max(rates), session.leave_ts - session.join_ts

    chosen = {session.sid for session in sorted(sessions, key=trouble, reverse=True)[:limit]}
    return [session for session in sessions if session.sid in chosen]


def _user_row(charts: "CallCharts", user: "UserCharts") -> dict[str, Any]:
    from agora_analytics.insight.call_charts import Measure

    last = user.sessions[-1]
    return {
        **{name: getattr(charts.call, name) for name in _OF_CALL},
        **{name: getattr(last, name) for name in ("leave_ts", *_OF_LAST_SESSION)},
        **{name: user.mean(measure) for name, measure in zip(_MEANS, Measure, strict=True)},
        "uid": user.uid,
        "sessions": len(user.sessions),
        "join_ts": user.sessions[0].join_ts,
        "speaker": any(session.speaker for session in user.sessions),
    }
