"""The tool `score`: scores of received audio and video."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.insight.scores import ScoredMedia, ScoreLevel
from agora_analytics.insight.scores import score as scores_of
from agora_analytics.integrations.mcp.arguments import NOTHING_FOUND, AppId, Channel, Since, Until, Vendor
from agora_analytics.integrations.mcp.opened_store import OpenedStore, time_text
from agora_analytics.integrations.mcp.results import ResultModel, tool_result

_TIMES = ("ts", "started_ts", "ended_ts", "worst_window_ts")


class ScoreRow(ResultModel):
    """One medium of one interval, stream, user, call, channel or day. Which fields a row has depends on `by`."""

    vendor: str
    app_id: str
    media: str = Field(description="audio or video.")
    score: float | None = Field(
        default=None, description="Mean, 1 (worst) to 4.5, weighted by time. Absent: not enough data."
    )
    worst_window: float | None = Field(default=None, description="Lowest mean score of 30 s of one stream.")
    worst_window_ts: str | None = Field(default=None, description="End of the worst window, UTC.")
    seconds: float = Field(description="Time with a score.")
    seconds_without_score: float | None = Field(default=None, description="Time without one.")
    day: str | None = None
    channel: str | None = None
    call_id: str | None = None
    session_id: str | None = None
    user_id: str | None = Field(default=None, description="Who received the stream.")
    peer_id: str | None = Field(default=None, description="Who sent the stream.")
    calls: int | None = None
    users: int | None = None
    streams: int | None = None
    worst_call_id: str | None = Field(default=None, description="Call of the worst window.")
    worst_user_id: str | None = Field(default=None, description="Who received the worst window.")
    worst_peer_id: str | None = Field(default=None, description="Who sent the worst window.")
    started_ts: str | None = None
    ended_ts: str | None = None
    ts: str | None = Field(default=None, description="End of the interval, UTC.")
    loss: float | None = Field(default=None, description="Audio: share of lost packets, 0 to 1.")
    delay: float | None = Field(
        default=None, description="Audio: one-way delay in ms, as far as it is known."
    )
    delay_of: str | None = Field(default=None, description="Audio: whose part of the delay is known.")
    freeze_share: float | None = Field(default=None, description="Video: share of frozen time, 0 to 1.")
    frame_rate: float | None = Field(default=None, description="Video: frames per second.")
    width: float | None = Field(default=None, description="Video: pixels.")
    height: float | None = Field(default=None, description="Video: pixels.")
    rating: float | None = Field(default=None, description="Audio: rating R of ITU-T G.107, 0 to 100.")


class Scores(ResultModel):
    """Scores, the worst first; by interval or day in the order of time."""

    rows: list[ScoreRow]
    total: int = Field(description="Rows without the limit.")
    assumptions: list[str] = Field(description="What the scores assume because the vendor does not send it.")


def score(
    opened: OpenedStore,
    *,
    by: Annotated[ScoreLevel, Field(description="What a row is about.")] = "call",
    media: Annotated[ScoredMedia | None, Field(description="Default: both.")] = None,
    since: Since = None,
    until: Until = None,
    vendor: Vendor = None,
    app_id: AppId = None,
    channel: Channel = None,
    call_id: Annotated[str | None, Field(description="Only this call.")] = None,
    user: Annotated[
        str | None, Field(coerce_numbers_to_str=True, description="Only streams that this user id received.")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100, description="Rows of the result.")] = 20,
) -> Annotated[CallToolResult, Scores]:
    """Score received audio and video from 1 (worst) to 4.5, by interval, stream, user, call, channel or day.

    Use it for "which calls were worst" and "how good was it for this user". worst_window shows short problems
    that the mean hides. Set since, or a call, in a large store. ApsaraVideo has no scores.
    Example: {"by": "call", "media": "audio", "since": "1d", "limit": 10} or {"by": "user", "call_id": "5ca4f3b1d2e8"}
    """
    found = scores_of(
        opened.store,
        by,
        media=media,
        since=since,
        until=until,
        vendor=vendor,
        app_id=app_id,
        channel=channel,
        call_id=call_id,
        user=user,
    )
    rows = found.slice(0, limit).to_pylist()
    assumptions = {text for row in rows for text in (row.pop("assumptions") or "").split("; ") if text}
    for row in rows:
        row.update({name: time_text(row[name]) for name in _TIMES if name in row})
        row.update({name: round(value, 4) for name, value in row.items() if isinstance(value, float)})
        row["day"] = row["day"].isoformat() if row.get("day") else None
    result = Scores(
        rows=[ScoreRow(**row) for row in rows], total=found.num_rows, assumptions=sorted(assumptions)
    )
    order = "in the order of time" if by in ("interval", "day") else "the worst first"
    text = f"{len(rows):,} of {found.num_rows:,} rows, {order}." if rows else NOTHING_FOUND
    return tool_result(result, text)
