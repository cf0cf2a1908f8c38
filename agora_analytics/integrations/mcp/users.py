"""The tool `list_users`: the users of a call."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.errors import InvalidRequest
from agora_analytics.integrations.mcp.arguments import CallId, page_text
from agora_analytics.integrations.mcp.cursors import read_cursor, write_cursor
from agora_analytics.integrations.mcp.opened_store import OpenedStore, equals, time_text
from agora_analytics.integrations.mcp.results import ResultModel, tool_result
from agora_analytics.store.sql_guard import quoted


class CallUser(ResultModel):
    """One user of a call. Of OpenTok, only the ids, times and streams are known."""

    user_id: str
    name: str | None = Field(default=None, description="The user's name in the application.")
    sessions: int = Field(description="How often the user joined; OpenTok: measured streams.")
    joined: str = Field(description="UTC. OpenTok: time of the first value.")
    left: str = Field(description="UTC. OpenTok: time of the last value.")
    sent_media: bool | None = Field(default=None, description="Whether the user sent audio or video.")
    networks: list[str] | None = None
    platforms: list[str] | None = None
    devices: list[str] | None = None
    sdk_versions: list[str] | None = None
    audio_freeze_rate: float | None = Field(
        default=None,
        description="Largest share of frozen audio time of a session, 0 to 1, as the vendor computes it.",
    )
    video_freeze_rate: float | None = Field(default=None, description="The same of video.")


class UserPage(ResultModel):
    """A page of users."""

    vendor: str
    call_id: str
    users: list[CallUser] = Field(description="By user id.")
    total: int = Field(description="Users of all pages.")
    next: str | None = Field(
        default=None, description="Pass it as cursor for the next page. Absent on the last page."
    )


_SETS = {
    "networks": "network",
    "platforms": "platform",
    "devices": "device_type",
    "sdk_versions": "sdk_version",
}


def list_users(
    opened: OpenedStore,
    *,
    call_id: CallId,
    limit: Annotated[int, Field(ge=1, le=100, description="Users of a page.")] = 30,
    cursor: Annotated[str | None, Field(description="`next` of the page before.")] = None,
) -> Annotated[CallToolResult, UserPage]:
    """List the users of a call: when they joined and left, network, platform, device, SDK version and freezes.

    For the calls of a user, use list_calls with user.
    Example: {"call_id": "5ca4f3b1d2e8"}
    """
    of_call = equals("call_id", call_id)
    sets = ", ".join(f"list_sort(list(DISTINCT {column})) AS {name}" for name, column in _SETS.items())
    nothing = ", ".join(f"NULL::VARCHAR[] AS {name}" for name in _SETS)
    after = "true" if cursor is None else f"user_id > {quoted(str(read_cursor(cursor, (str,))[0]))}"
    rows = opened.rows(f"""
        WITH users AS (
            SELECT 'agora' AS vendor, uid AS user_id, max(account) AS name, count(DISTINCT sid) AS sessions,
                min(join_ts) AS joined, max(leave_ts) AS "left", bool_or(speaker) AS sent_media, {sets},
                max(user_audio_freeze_rate) AS audio_freeze_rate, max(user_video_freeze_rate) AS video_freeze_rate
            FROM sessions WHERE {of_call} AND uid IS NOT NULL GROUP BY uid
            UNION ALL
            SELECT vendor, user_id, NULL, count(DISTINCT session_id), min(ts), max(ts), NULL, {nothing}, NULL, NULL
            FROM points WHERE {of_call} AND user_id IS NOT NULL GROUP BY vendor, user_id
        )
        SELECT *, (SELECT count(*) FROM users) AS total FROM users WHERE {after} ORDER BY user_id LIMIT {limit + 1}
    """)
    if not rows:
        _require_call(opened, of_call)
    shown = rows[:limit]
    result = UserPage(
        vendor=shown[0]["vendor"] if shown else "agora",
        call_id=call_id,
        users=[
            CallUser(
                **{name: row[name] for name in CallUser.model_fields if name not in _SETS} | {name: row[name] or None for name in _SETS}
                | {name: time_text(row[name]) for name in ("joined", "left")}
            )
            for row in shown
        ],
        total=shown[0]["total"] if shown else 0,
        next=write_cursor([shown[-1]["user_id"]]) if len(rows) > limit else None,
    )  # fmt: skip
    text = page_text(len(shown), result.total, "users", is_last=result.next is None)
    return tool_result(result, text)


def _require_call(opened: OpenedStore, of_call: str | None) -> None:
    """Refuse a call that is not in the store."""
    if not opened.rows(f"SELECT 1 FROM calls WHERE {of_call}"):
        raise InvalidRequest(
            "the store has no such call; find call ids with list_calls, and the stored days with coverage"
        )
