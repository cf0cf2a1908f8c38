"""`agora-analytics opentok`: its commands."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.cli.listings import Kind, Listing, Row, Shown, moment, number, plain
from agora_analytics.cli.output import FormatOption, LimitOption, Output, OutputOption, pour
from agora_analytics.cli.serving import seconds_of, serve_until_stopped
from agora_analytics.cli.vendors import (
    PANEL,
    DryRunOption,
    FaultOption,
    LatencyOption,
    PortOption,
    SinceOption,
    StoreOption,
    UntilOption,
    require,
    run_harvest,
)
from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.query_builders import ERRORS, QUALITY, USAGE
from agora_analytics.opentok.spec import GroupBy, Interval

if TYPE_CHECKING:
    from datetime import datetime

    from agora_analytics.engine.pages import Pages
    from agora_analytics.opentok.client import AsyncOpenTok

app = typer.Typer(
    name="opentok",
    help="Vonage / OpenTok Insights: sessions, meetings, stream statistics, and a project's days. "
    "Who asks: OPENTOK_API_KEY and OPENTOK_API_SECRET, or VONAGE_APPLICATION_ID and VONAGE_PRIVATE_KEY.",
    no_args_is_help=True,
)

BaseUrlOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=PANEL, help="Another host to ask: the simulator. Or OPENTOK_BASE_URL."),
]
SessionsArgument = Annotated[
    list[str], typer.Argument(metavar="SESSION_ID...", help="As `agora-analytics opentok sessions` shows it.")
]

SESSIONS = Listing(
    name="meetings",
    columns={
        "session_id": Kind.TEXT,
        "media_mode": Kind.TEXT,
        "meeting_id": Kind.TEXT,
        "created_ts": Kind.TIME,
        "destroyed_ts": Kind.TIME,
        "total_connections": Kind.WHOLE,
        "total_streams": Kind.WHOLE,
        "max_concurrent_streams": Kind.WHOLE,
    },
    shown=(
        Shown("began", moment("created_ts")),
        Shown("ended", moment("destroyed_ts")),
        Shown("people", number("total_connections"), right=True),
        Shown("streams", number("total_streams"), right=True),
        Shown("session id", plain("session_id")),
    ),
)
STATS = Listing(
    name="samples",
    columns={
        "session_id": Kind.TEXT,
        "meeting_id": Kind.TEXT,
        "role": Kind.TEXT,
        "stream_id": Kind.TEXT,
        "connection_id": Kind.TEXT,
        "subscriber_id": Kind.TEXT,
        "ts": Kind.NUMBER,
        "audio_bitrate_kbps": Kind.NUMBER,
        "video_bitrate_kbps": Kind.NUMBER,
        "audio_latency_ms": Kind.NUMBER,
        "video_latency_ms": Kind.NUMBER,
        "audio_packet_loss": Kind.NUMBER,
        "video_packet_loss": Kind.NUMBER,
        "video_resolution": Kind.TEXT,
    },
    shown=(
        Shown("time", moment("ts")),
        Shown("who", plain("role")),
        Shown("connection", plain("connection_id"), least=8),
        Shown("video kbit/s", number("video_bitrate_kbps"), right=True),
        Shown("loss", number("video_packet_loss", 4), right=True),
        Shown("ms", number("video_latency_ms"), right=True),
        Shown("audio kbit/s", number("audio_bitrate_kbps"), right=True),
        Shown("loss", number("audio_packet_loss", 4), right=True),
        Shown("ms", number("audio_latency_ms"), right=True),
    ),
)


@frozen(kw_only=True)
class OpenTokAccount:
    """What the options say; what they leave open, the environment says."""

    base_url: str | None = None

    def client(self, **means: Any) -> "AsyncOpenTok":
        """Return a client for this account.

        Raises:
            ConfigurationError: naming everything that is missing.
        """
        from agora_analytics.opentok.client import AsyncOpenTok

        if not os.environ.get("VONAGE_APPLICATION_ID"):
            needed = ("OPENTOK_API_KEY", "OPENTOK_API_SECRET")
            require([name for name in needed if not os.environ.get(name)], "opentok")
        return AsyncOpenTok.from_env(base_url=self.base_url, **means)


@app.command()
def project(
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD",
            help="Such as usage.streamedPublishedMinutes, errors.connect.failures. Default: minutes, quality, errors.",
        ),
    ] = None,
    since: SinceOption = "30d",
    until: UntilOption = "now",
    each: Annotated[
        str | None, typer.Option(metavar="|".join(Interval), help="A row for each; else one in all.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(GroupBy), help="A row for each group; give it again for more."),
    ] = None,
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Say how much the project was used, and how well it went.

    Days are Pacific days, and come 36 to 48 hours late; they are kept for 90 days, months for a year.
    """
    wanted = fields or [*USAGE[:2], *QUALITY, *ERRORS[:2]]
    groups = [group.lower() for group in by or ()]
    times = ["interval_start", "interval_end"] if each else []
    listing = Listing(
        name="rows",
        columns=dict.fromkeys(times, Kind.TIME)
        | dict.fromkeys(groups, Kind.TEXT)
        | dict.fromkeys(wanted, Kind.NUMBER),
        shown=(
            *(Shown("from", moment(name)) for name in times[:1]),
            *(Shown(group, plain(group)) for group in groups),
            *(Shown(name.partition(".")[2] or name, number(name, 1), right=True) for name in wanted),
        ),
    )

    def rows(client: "AsyncOpenTok") -> AsyncGenerator[Iterable[Row], None]:
        found = client.project_data(since, until, interval=each, group_by=by or (), fields=wanted)
        return _rows(found, _project_row)

    asyncio.run(_write(OpenTokAccount(base_url=base_url), rows, listing, Output.of(format, output, limit)))


@app.command()
def sessions(
    since: SinceOption = "1d",
    until: UntilOption = "now",
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """List the meetings of the sessions that had one in a time range of the last 21 days. Needs Advanced Insights."""

    def rows(client: "AsyncOpenTok") -> AsyncGenerator[Iterable[Row], None]:
        return _rows(client.session_summaries(since, until), _meeting_rows)

    asyncio.run(_write(OpenTokAccount(base_url=base_url), rows, SESSIONS, Output.of(format, output, limit)))


@app.command()
def stats(
    session_ids: SessionsArgument,
    meeting: Annotated[str | None, typer.Option(help="Only this meeting.")] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="publisher|subscriber", help="Only where streams were sent, or received."),
    ] = None,
    limit: LimitOption = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Write what was measured of the streams of sessions, every 30 seconds. Loss is a fraction of 1."""

    def rows(client: "AsyncOpenTok") -> AsyncGenerator[Iterable[Row], None]:
        roles = role or ("publisher", "subscriber")
        return _rows(client.stream_stats(session_ids, meeting_id=meeting, roles=roles), _sample_row)

    asyncio.run(_write(OpenTokAccount(base_url=base_url), rows, STATS, Output.of(format, output, limit)))


@app.command()
def query(
    text: Annotated[str, typer.Argument(help="A GraphQL query; - takes it from stdin.")],
    variables: Annotated[str, typer.Option(metavar="JSON", help="The values of its variables.")] = "{}",
    base_url: BaseUrlOption = None,
) -> int:
    """Ask any GraphQL query, follow the pages of every list in it, and write the data as JSON."""
    from agora_analytics.cli.exit_codes import DONE, TRY_LATER

    try:
        given = json.loads(variables)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest('--variables is no JSON object; give one such as \'{"id": "1_MX4"}\'')
    asked = sys.stdin.read() if text == "-" else text
    complete = asyncio.run(_query(OpenTokAccount(base_url=base_url), asked, given))
    return DONE if complete else TRY_LATER


@app.command()
def harvest(
    since: SinceOption,
    out: StoreOption,
    until: UntilOption = "now",
    dry_run: DryRunOption = False,
    base_url: BaseUrlOption = None,
) -> int:
    """Bring the stream statistics of all meetings that began in a time range into a folder of Parquet.

    Also what each Pacific day says of the project. Whatever ends it, the same command goes on where it stood. Then ask
    it: agora-analytics sql --store DIR "select * from quality". --dry-run lists the sessions, and counts a meeting as
    one request; a long one takes more.
    """
    account = OpenTokAccount(base_url=base_url)
    return run_harvest(account, since, until, out, units="meetings and days", dry_run=dry_run)


@app.command()
def simulate(
    port: PortOption = 8081,
    seed: Annotated[int, typer.Option(help="Where the sessions come from: the same seed, the same.")] = 7,
    sessions: Annotated[int, typer.Option(min=0, help="How many sessions there are.")] = 40,
    days: Annotated[float, typer.Option(min=0.1, help="They begin in so many days before now.")] = 5,
    latency: LatencyOption = "0:0",
    fault_share: FaultOption = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Play the Insights server on this machine, behind its limits, to try things on without an account."""
    from agora_analytics.simulator import Faults
    from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld

    now = time.time()
    world = OpenTokWorld.generate(seed=seed, since=now - days * 86_400, until=now, sessions=sessions)
    simulator = OpenTokSimulator(
        world, latency=seconds_of(latency), faults=Faults(share=fault_share, seed=seed)
    )
    ((key, secret),) = DEMO_PROJECT.items()
    serve_until_stopped(
        simulator,
        host,
        port,
        what=f"{sessions:,} sessions of an OpenTok project",
        exports=lambda url: {
            "OPENTOK_BASE_URL": url,
            "OPENTOK_API_KEY": key,
            "OPENTOK_API_SECRET": secret,
        },
        then=f"agora-analytics opentok harvest --since {days:g}d --out quality.store",
    )


async def _write(
    account: OpenTokAccount,
    rows: "Callable[[AsyncOpenTok], AsyncGenerator[Iterable[Row], None]]",
    listing: Listing,
    output: Output,
) -> None:
    from agora_analytics.cli.asking import asking

    async with asking(account, quiet=output.on_terminal, **output.means) as client:
        await pour(rows(client), listing, output)


async def _query(account: OpenTokAccount, text: str, variables: dict[str, Any]) -> bool:
    from agora_analytics.cli.asking import asking
    from agora_analytics.cli.consoles import err, one_line

    async with asking(account) as client:
        result = await client.query(text, variables)
    typer.echo(json.dumps(result.data, indent=2, ensure_ascii=False))
    for problem in result.problems:
        place = ".".join(map(str, problem.path))
        one_line(err(), f"agora-analytics: {problem.message} ({place or 'no place given'})", "warn")
    return not result.problems


async def _rows(
    listing: "Pages[Any, Any]", rows_of: Callable[[Any], Iterable[Row]]
) -> AsyncGenerator[Iterable[Row], None]:
    from agora_analytics.cli.consoles import err, one_line

    async for page in listing.pages():
        for problem in getattr(page, "problems", ()):
            one_line(err(), f"agora-analytics: {problem.message}", "warn")
        yield (row for record in page.records for row in rows_of(record))


def _ts(at: "datetime | None") -> float | None:
    return None if at is None else at.timestamp()


def _meeting_rows(summary: Any) -> Iterable[Row]:
    for meeting in summary.meetings:
        yield {
            "session_id": summary.session_id,
            "media_mode": summary.media_mode,
            "meeting_id": meeting.meeting_id,
            "created_ts": _ts(meeting.created_at),
            "destroyed_ts": _ts(meeting.destroyed_at),
            "total_connections": meeting.total_connections,
            "total_streams": meeting.total_streams,
            "max_concurrent_streams": meeting.max_concurrent_streams,
        }


def _sample_row(sample: Any) -> Iterable[Row]:
    own = {name: getattr(sample, name) for name in STATS.columns if name != "ts"}
    yield own | {"ts": _ts(sample.created_at)}


def _project_row(row: Any) -> Iterable[Row]:
    groups = {group.lower(): getattr(row, group.lower()) for group in GroupBy}
    times = {"interval_start": _ts(row.interval_start), "interval_end": _ts(row.interval_end)}
    yield times | groups | dict(row.values)
