"""`agora-analytics score`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from agora_analytics.cli.options import TIMES, StoreOption, option_groups
from agora_analytics.cli.output import LimitedOutput, write_table
from agora_analytics.cli.output.columns import (
    RowKind,
    TableColumn,
    number,
    percent,
    plain,
    timestamp,
    with_unit,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.insight.scores import ScoreLevel


class ScoreBy(StrEnum):
    """The names of `insight.scores.ScoreLevel`, which imports too much for the start of every command."""

    INTERVAL = "interval"
    STREAM = "stream"
    USER = "user"
    CALL = "call"
    CHANNEL = "channel"
    DAY = "day"


class ScoreMedia(StrEnum):
    """What a score is of."""

    AUDIO = "audio"
    VIDEO = "video"


_CALL, _CHANNEL = TableColumn("call id", plain("call_id")), TableColumn("channel", plain("channel"), least=12)
_USER, _PEER = TableColumn("receiver", plain("user_id")), TableColumn("sender", plain("peer_id"))
_DAY, _VENDOR = TableColumn("day", plain("day")), TableColumn("vendor", plain("vendor"))
_MEDIA = TableColumn("media", plain("media"))
_KEYS: Mapping[ScoreBy, tuple[TableColumn, ...]] = {
    ScoreBy.INTERVAL: (TableColumn("until", timestamp("ts")), _CALL, _USER, _PEER, _MEDIA),
    ScoreBy.STREAM: (_CALL, _USER, _PEER, _MEDIA),
    ScoreBy.USER: (_USER, _MEDIA),
    ScoreBy.CALL: (_CALL, _MEDIA),
    ScoreBy.CHANNEL: (_CHANNEL, _MEDIA),
    ScoreBy.DAY: (_DAY, _VENDOR, _MEDIA),
}
_SCORE = TableColumn("score", number("score", 2), right=True, keep=True)
_OF_INTERVAL = (
    _SCORE,
    TableColumn("seconds", number("seconds", 0), right=True),
    TableColumn("loss", percent("loss"), right=True),
    TableColumn("delay", with_unit("delay", "ms"), right=True),
    TableColumn("freeze", percent("freeze_share"), right=True),
    TableColumn("frame rate", with_unit("frame_rate", "fps"), right=True),
    TableColumn("width", number("width"), right=True),
    TableColumn("height", number("height"), right=True),
)
_OF_GROUP = (
    _SCORE,
    TableColumn("worst 30 s", number("worst_window", 2), right=True, keep=True),
    TableColumn("worst until", timestamp("worst_window_ts")),
    TableColumn("seconds", number("seconds", 0), right=True),
    TableColumn("without score", number("seconds_without_score", 0), right=True),
)
_COUNTS = (
    TableColumn("worst receiver", plain("worst_user_id")),
    TableColumn("worst sender", plain("worst_peer_id")),
    TableColumn("users", number("users"), right=True),
    TableColumn("calls", number("calls"), right=True),
)


@option_groups
def score(
    store: StoreOption,
    by: Annotated[
        ScoreBy,
        typer.Option(
            metavar="LEVEL", help="What a row is about: interval, stream, user, call, channel or day."
        ),
    ] = ScoreBy.CALL,
    media: Annotated[
        ScoreMedia | None,
        typer.Option(metavar="MEDIUM", help="Only audio or only video. Default: both.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Start of the time range: {TIMES}. Default: everything stored."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the time range, as --since.")
    ] = None,
    call: Annotated[str | None, typer.Option(metavar="CALL_ID", help="Only this call.")] = None,
    channel: Annotated[str | None, typer.Option(metavar="CHANNEL", help="Only this channel.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="UID", help="Only the streams that this user received.")
    ] = None,
    vendor: Annotated[
        str | None, typer.Option(metavar="VENDOR", help="Only this vendor: agora or opentok.")
    ] = None,
    *,
    output: LimitedOutput,
) -> None:
    """Show how good the received audio and video of stored calls was: scores from 1 (worst) to 4.5.

    The score is the mean over all intervals of some seconds. The worst 30 seconds of one stream are beside it, because a
    mean hides a short impairment. Rows begin with the worst, except those by interval or day. The audio score is the MOS
    of ITU-T G.107; see docs/scores. Sends no request.
    """
    from agora_analytics.insight import score as scores
    from agora_analytics.insight.scores import score_schema
    from agora_analytics.store import open_store

    level: ScoreLevel = by.value
    table = scores(
        open_store(store),
        level,
        media=media.value if media else None,
        since=since,
        until=until,
        vendor=vendor,
        channel=channel,
        call_id=call,
        user=user,
    )
    kind = RowKind(
        name="scores",
        schema=lambda: score_schema(level),
        columns=_columns(by),
        notes=_notes(table),
    )
    write_table(table, kind, output)


def _columns(by: ScoreBy) -> tuple[TableColumn, ...]:
    if by is ScoreBy.INTERVAL:
        return _KEYS[by] + _OF_INTERVAL
    rest = () if by is ScoreBy.STREAM else _COUNTS
    more = () if by in (ScoreBy.CHANNEL, ScoreBy.DAY) else (_CHANNEL,)
    return _KEYS[by] + _OF_GROUP + rest + more


def _notes(table: "pa.Table") -> tuple[str, ...]:
    """Return lines with the assumptions of the scores; without rows, a line with what has scores."""
    if not table.num_rows:
        return ("Agora and OpenTok have scores. ApsaraVideo sends totals of all users only.",)
    media = table.select(["media", "assumptions"]).group_by(["media", "assumptions"]).aggregate([])
    return tuple(
        f"Assumptions of {row['media']}: {row['assumptions']}"
        for row in media.sort_by([("media", "ascending"), ("assumptions", "ascending")]).to_pylist()
    )
