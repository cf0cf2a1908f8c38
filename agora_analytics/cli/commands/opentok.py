"""`agora-analytics opentok`: its commands."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agora_analytics.cli.accounts import OpenTokAccount
from agora_analytics.cli.client_context import open_client, run_newest_first, run_pages
from agora_analytics.cli.commands.simulate import serve_until_stopped
from agora_analytics.cli.commands.store import run_harvest
from agora_analytics.cli.metric_titles import title_of, unit_of
from agora_analytics.cli.options import (
    HarvestOptions,
    PortOption,
    SeedOption,
    ServerOptions,
    SinceOption,
    UntilOption,
    option_groups,
)
from agora_analytics.cli.output import Format, LimitedOutput
from agora_analytics.cli.output.columns import (
    Cells,
    RowKind,
    TableColumn,
    number,
    percent,
    plain,
    row_schema,
    timestamp,
    with_unit,
)
from agora_analytics.cli.terminal import data, err, one_line, standard_input
from agora_analytics.core.hidden_characters import visible_json
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.query_builders import ERRORS, QUALITY, USAGE
from agora_analytics.opentok.spec import GroupBy, Interval

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.opentok.graphql_query import Field

T = TypeVar("T")

app = typer.Typer(
    name="opentok",
    help="Vonage / OpenTok Insights: sessions, meetings, stream statistics and daily project data. "
    "Account: OPENTOK_API_KEY and OPENTOK_API_SECRET, or VONAGE_APPLICATION_ID and VONAGE_PRIVATE_KEY.",
    no_args_is_help=True,
)

_INTERVALS = {"day": Interval.DAILY, "week": Interval.WEEKLY, "month": Interval.MONTHLY}
_MEETING_FIELDS = (
    *("session_id", "meeting_id", "created_at", "destroyed_at"),
    *("total_connections", "total_streams", "max_concurrent_streams"),
)
_MINUTES = ("publisher_minutes", "subscriber_minutes")
_SHOWN_TIER = "participant_minutes_from1_to25_publishers"  # of the current rate plan
_SAMPLE_FIELDS = (
    *("session_id", "meeting_id", "role", "stream_id", "connection_id", "subscriber_id", "created_at"),
    *("audio_bitrate_kbps", "video_bitrate_kbps", "audio_latency_ms", "video_latency_ms"),
    *("audio_packet_loss", "video_packet_loss", "video_resolution"),
)


def _meetings_table(summaries: Sequence[Any], *, minutes: bool = False) -> "pa.Table":
    """Return the meetings of sessions, one row each, with the media mode of the session as the second column.

    With `minutes`, streamed minutes follow, and a column for each tier of the participant minutes.
    """
    import pyarrow as pa

    from agora_analytics.core.record_table import record_table
    from agora_analytics.opentok.records import MeetingSummary

    meetings = [meeting for summary in summaries for meeting in summary.meetings]
    modes = [summary.media_mode for summary in summaries for _ in summary.meetings]
    everything = record_table(MeetingSummary, meetings)
    rows = everything.select(_MEETING_FIELDS)
    for name in _MINUTES if minutes else ():
        rows = rows.append_column(name, everything[name])
    if minutes:
        tiers = everything.select(["participant_minutes"]).flatten()
        for name in tiers.column_names:
            rows = rows.append_column(name.replace(".", "_"), tiers[name])
    rows = rows.rename_columns({"created_at": "created_ts", "destroyed_at": "destroyed_ts"})
    return rows.add_column(1, "media_mode", pa.array(modes, pa.string()))


def _samples_table(samples: Sequence[Any]) -> "pa.Table":
    from agora_analytics.core.record_table import record_table
    from agora_analytics.opentok.records import StreamSample

    return record_table(StreamSample, samples).select(_SAMPLE_FIELDS).rename_columns({"created_at": "ts"})


def _ended(row: Cells) -> str:
    return timestamp("destroyed_ts")(row) if row["destroyed_ts"] else "ongoing"


MEETING_ROWS = RowKind(
    name="meetings",
    schema=lambda: _meetings_table(()).schema,
    columns=(
        TableColumn("began", timestamp("created_ts")),
        TableColumn("ended", _ended),
        TableColumn("participants", number("total_connections"), right=True),
        TableColumn("streams", number("total_streams"), right=True),
        # `opentok stats` needs it, and it fills most of a narrow terminal.
        TableColumn("session id", plain("session_id"), below=True),
    ),
)
MEETING_MINUTES_ROWS = RowKind(
    name="meetings",
    schema=lambda: _meetings_table((), minutes=True).schema,
    columns=(
        *MEETING_ROWS.columns[:-1],
        TableColumn("published minutes", number("publisher_minutes", 1), right=True),
        TableColumn("subscribed minutes", number("subscriber_minutes", 1), right=True),
        TableColumn("participant minutes (1-25)", number(_SHOWN_TIER, 1), right=True),
        MEETING_ROWS.columns[-1],
    ),
)
TOTAL_ROWS = RowKind(
    name="metrics",
    schema=row_schema(dict.fromkeys(("metric", "value"), "string")),
    columns=(TableColumn("metric", plain("metric")), TableColumn("value", plain("value"), right=True)),
)
SAMPLE_ROWS = RowKind(
    name="samples",
    schema=lambda: _samples_table(()).schema,
    columns=(
        TableColumn("time", timestamp("ts")),
        TableColumn("role", plain("role")),
        TableColumn("video bitrate", with_unit("video_bitrate_kbps", "kbit/s"), right=True),
        TableColumn("video loss", percent("video_packet_loss"), right=True),
        TableColumn("video latency", with_unit("video_latency_ms", "ms"), right=True),
        TableColumn("audio bitrate", with_unit("audio_bitrate_kbps", "kbit/s"), right=True),
        TableColumn("audio loss", percent("audio_packet_loss"), right=True),
        TableColumn("audio latency", with_unit("audio_latency_ms", "ms"), right=True),
        TableColumn("connection id", plain("connection_id"), below=True),
    ),
)


@app.command()
@option_groups
def project(
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD",
            help="Such as usage.streamedPublishedMinutes, usage.participantMinutes.from1To25Publishers, "
            "errors.connect.failures. Default: minutes, quality, errors.",
        ),
    ] = None,
    since: SinceOption = "30d",
    until: UntilOption = "now",
    each: Annotated[
        str | None,
        typer.Option(metavar="day|week|month", help="A row for each interval. Default: one row in total."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIMENSION",
            help=f"A row for each group: {', '.join(GroupBy).lower()}; repeat it for more.",
        ),
    ] = None,
    *,
    output: LimitedOutput,
    account: OpenTokAccount,
) -> None:
    """Show usage, quality and errors of the project, the newest days first.

    Days are Pacific days. They are available after 36 to 48 hours and kept for 90 days, months for a year.
    """
    names = list(dict.fromkeys(fields or [*USAGE[:2], *QUALITY, *ERRORS[:2]]))
    dimensions = {name.lower(): name for name in GroupBy}
    groups = list(dict.fromkeys(_choice("--by", group, dimensions) for group in by or ()))
    group_keys = [group.lower() for group in groups]
    keys = [*(["interval_start", "interval_end"] if each else []), *group_keys]
    interval = None if each is None else _choice("--each", each, _INTERVALS)

    def table(rows: Sequence[Any]) -> "pa.Table":
        from agora_analytics.opentok.records import project_table

        return project_table(rows, names).select([*keys, *names])

    one_row = output.format is Format.TABLE and not keys
    kind = (
        TOTAL_ROWS
        if one_row
        else RowKind(
            name="rows",
            schema=lambda: table(()).schema,
            columns=(
                *(TableColumn("from", timestamp(name)) for name in keys[:1] if each),
                *(TableColumn(group.replace("_", " "), plain(group)) for group in group_keys),
                *(_project_column(name, chart=bool(each) and not groups) for name in names),
            ),
        )
    )
    run_newest_first(
        account.client,
        lambda client: client.project_data(since, until, interval=interval, group_by=groups, fields=names),
        lambda page: table(page.records),
        kind,
        output,
        by="interval_start" if each else None,
        as_rows=(lambda rows: _total_rows(rows, kind)) if one_row else None,
    )


def _choice(option: str, word: str, allowed: Mapping[str, T]) -> T:
    """Return what a word of an option stands for, in any case: a key of `allowed`, or the API's own name of a value."""
    values = {**allowed, **{str(value).lower(): value for value in allowed.values()}}
    if word.lower() not in values:
        hint = did_you_mean(word, allowed)
        raise InvalidRequest(f"{option} {word!r} is not valid; use one of {', '.join(allowed)}{hint}")
    return values[word.lower()]


def _total_rows(rows: "pa.Table", kind: RowKind) -> "pa.Table":
    """Return the one row of a total with a row for each metric."""
    return kind.table(
        {"metric": title_of(name), "value": _project_column(name).text(row)}
        for row in rows.to_pylist()
        for name in row
    )


def _project_column(name: str, *, chart: bool = False) -> TableColumn:
    text = with_unit(name, unit) if (unit := unit_of(name)) else number(name)
    return TableColumn(title_of(name), text, right=True, keep=True, chart=name if chart else "")


@app.command()
@option_groups
def sessions(
    since: SinceOption = "1d",
    until: UntilOption = "now",
    minutes: Annotated[
        bool,
        typer.Option(
            "--minutes",
            help="Add streamed minutes and the participant minutes of each tier, which are billed. Slow. Tiers overlap: "
            "do not add them up.",
        ),
    ] = False,
    *,
    output: LimitedOutput,
    account: OpenTokAccount,
) -> None:
    """List the meetings of a time range of the last 21 days with their sessions, the newest first.

    Needs Advanced Insights. The server lists the oldest first, so every page of the range is fetched.
    """
    run_newest_first(
        account.client,
        lambda client: client.session_summaries(since, until, minutes=minutes),
        lambda page: _meetings_table(page.records, minutes=minutes),
        MEETING_MINUTES_ROWS if minutes else MEETING_ROWS,
        output,
        by="created_ts",
    )


@app.command()
@option_groups
def stats(
    session_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION_ID", help="The ids, as `agora-analytics opentok sessions` shows them."
        ),
    ],
    meeting: Annotated[str | None, typer.Option(metavar="ID", help="Only this meeting.")] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="publisher|subscriber", help="Only sent, or only received streams."),
    ] = None,
    *,
    output: LimitedOutput,
    account: OpenTokAccount,
) -> None:
    """Show the samples of the streams of sessions, every 30 seconds. A table shows loss in percent, files as a fraction.

    The samples are in the order of the streams and of time.
    """
    roles = role or ("publisher", "subscriber")
    run_pages(
        account.client,
        lambda client: client.stream_stats(session_ids, meeting_id=meeting, roles=roles),
        lambda page: _samples_table(page.records),
        SAMPLE_ROWS,
        output,
    )


@app.command()
@option_groups
def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="A GraphQL query; - reads it from stdin.")],
    variables: Annotated[
        str, typer.Option(metavar="JSON", help="The variables of the query, as a JSON object.")
    ] = "{}",
    *,
    account: OpenTokAccount,
) -> int:
    """Run a GraphQL query, fetch all pages of each list in it, and write the data as JSON."""
    from agora_analytics.cli.runner import DONE, TRY_LATER

    try:
        values = json.loads(variables)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InvalidRequest('--variables is not a JSON object; use one such as \'{"id": "1_MX4"}\'')
    complete = asyncio.run(_query(account, standard_input() if text == "-" else text, values))
    return DONE if complete else TRY_LATER


async def _query(account: OpenTokAccount, text: str, variables: dict[str, Any]) -> bool:
    from agora_analytics.opentok.raw_query import parse_query

    async with open_client(account.client) as client:
        result = await client.query(text, variables)
    root, _ = parse_query(text, variables)
    stream = data(escape=visible_json)
    stream.write(json.dumps(_selected(result.data, root), indent=2, ensure_ascii=False) + "\n")
    stream.flush()
    for problem in result.problems:
        path = ".".join(map(str, problem.path))
        one_line(err(), f"agora-analytics: {problem.message} (path: {path or 'not named'})", "warn")
    return not result.problems


def _selected(value: Any, field: "Field") -> Any:
    """Return data with the fields that the query selects; the client adds `pageInfo` to each list."""
    if isinstance(value, list):
        return [_selected(item, field) for item in value]
    if not isinstance(value, dict) or not field.fields:
        return value
    return {inner.key: _selected(value[inner.key], inner) for inner in field.fields if inner.key in value}


@app.command()
@option_groups
def harvest(*, options: HarvestOptions, account: OpenTokAccount) -> int:
    """Store the stream statistics of all meetings of a time range, and the daily project data, in Parquet files.

    If the harvest stops, the same command continues it. To query the store: agora-analytics sql --store DIR "select *
    from quality". --dry-run lists the sessions and counts one request for each meeting; a long meeting takes more.
    """
    return run_harvest(account.client, options.filled(account.harvest_settings()), units="meetings and days")


@app.command()
@option_groups
def simulate(
    port: PortOption = 8081,
    seed: SeedOption = 7,
    sessions: Annotated[int, typer.Option(min=0, metavar="N", help="Number of sessions.")] = 40,
    days: Annotated[
        float, typer.Option(min=0.1, max=4_000, metavar="N", help="The sessions begin in the last N days.")
    ] = 5,
    *,
    server: ServerOptions,
) -> None:
    """Simulate the Insights server on this machine with its real limits; needs no account."""
    from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld

    now = time.time()
    world = OpenTokWorld.generate(seed=seed, since=now - days * 86_400, until=now, sessions=sessions)
    ((key, secret),) = DEMO_PROJECT.items()
    serve_until_stopped(
        OpenTokSimulator(world, **server.knobs(seed)),
        server.host,
        port,
        content=f"{sessions:,} sessions of an OpenTok project",
        environment=lambda url: {
            "OPENTOK_BASE_URL": url,
            "OPENTOK_API_KEY": key,
            "OPENTOK_API_SECRET": secret,
        },
        next_command=f"agora-analytics opentok harvest --since {days:g}d --out quality.store",
    )
