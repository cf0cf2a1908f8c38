"""The records of Insights. Read tolerantly: whatever may be null is None, and numbers may come as text.

Nothing comes that was not asked for, so only fields that a caller names can be ones that a record does not know. They
are in its `extra`, by the API's names, as they were sent. A value that cannot be read is None; the page has the answer.

Source: `reference/opentok-insights.md`, sections 5 and 6; `reference/opentok_schema.graphql`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import attrs
from attrs import field, frozen

from agora_analytics.opentok.graphql_query import camel
from agora_analytics.opentok.query_builders import PACIFIC, pacific_midnight

T = TypeVar("T", bound=attrs.AttrsInstance)


def moment(value: Any) -> datetime | None:
    """Return a `Date` of an answer as an aware datetime, UTC; None for what is none.

    Example:
        >>> moment("2020-03-22T12:24:05.407Z").isoformat()
        '2020-03-22T12:24:05.407000+00:00'
    """
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and not value.isdecimal():
            parsed = datetime.fromisoformat(value)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        seconds = float(value)
        return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= 1e10 else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def number(value: Any) -> float | None:
    """Return a number, sent as such or as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: Any) -> int | None:
    """Return a whole number; None for what is none."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def text(value: Any) -> str | None:
    """Return a text; None for null and for an empty one."""
    return None if value is None or value == "" else str(value)


def flag(value: Any) -> bool | None:
    """Return true or false; None for anything else."""
    return value if isinstance(value, bool) else None


@frozen(kw_only=True)
class MeetingSummary:
    """What is told of a meeting without its participants.

    Attributes:
        session_id: the session.
        meeting_id: the meeting; a participant who comes back within 10 minutes makes another entry with the same id.
        created_at: when it began, UTC.
        destroyed_at: when it ended, UTC; None while it goes on.
        total_connections, total_streams, total_subscribers: how many there were.
        max_concurrent_connections, max_concurrent_streams, max_concurrent_subscribers: at the same time.
        publisher_minutes, subscriber_minutes: streamed minutes; None where they were not asked for.
        extra: fields that the caller named and that are not known here, as they were sent.
    """

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    destroyed_at: datetime | None = field(default=None, converter=moment)
    total_connections: int | None = field(default=None, converter=whole)
    total_streams: int | None = field(default=None, converter=whole)
    total_subscribers: int | None = field(default=None, converter=whole)
    max_concurrent_connections: int | None = field(default=None, converter=whole)
    max_concurrent_streams: int | None = field(default=None, converter=whole)
    max_concurrent_subscribers: int | None = field(default=None, converter=whole)
    publisher_minutes: float | None = field(default=None, converter=number)
    subscriber_minutes: float | None = field(default=None, converter=number)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Meeting:
    """A meeting of a session: people in it at the same time, until ten minutes after the last one has left.

    Attributes:
        session_id: the session.
        meeting_id: the meeting; not unique: see `MeetingSummary`.
        created_at: when it began, UTC.
        destroyed_at: when it ended, UTC; None while it goes on.
        publisher_minutes, subscriber_minutes: streamed minutes; None where they were not asked for.
    """

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    destroyed_at: datetime | None = field(default=None, converter=moment)
    publisher_minutes: float | None = field(default=None, converter=number)
    subscriber_minutes: float | None = field(default=None, converter=number)


@frozen(kw_only=True)
class Session:
    """A session: a prefetch_budget, for as long as its id is used.

    Attributes:
        session_id: its id.
        media_mode: `routed` or `relayed`.
        publisher_minutes, subscriber_minutes: of the whole session; None where they were not asked for.
        meetings: all of its meetings.
    """

    session_id: str
    media_mode: str | None = field(default=None, converter=text)
    publisher_minutes: float | None = field(default=None, converter=number)
    subscriber_minutes: float | None = field(default=None, converter=number)
    meetings: tuple[Meeting, ...] = ()


@frozen(kw_only=True)
class SessionSummary:
    """A session that had a meeting in a time range.

    Attributes:
        session_id: its id.
        media_mode: `routed` or `relayed`.
        publisher_minutes, subscriber_minutes: of the whole session, so do not add them up over a time range.
        meetings: all of its meetings.
    """

    session_id: str
    media_mode: str | None = field(default=None, converter=text)
    publisher_minutes: float | None = field(default=None, converter=number)
    subscriber_minutes: float | None = field(default=None, converter=number)
    meetings: tuple[MeetingSummary, ...] = ()


@frozen(kw_only=True)
class Connection:
    """A participant of a meeting. `guid` names the client over several connections, where it is told."""

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    meeting_created_at: datetime | None = field(default=None, converter=moment)
    connection_id: str | None = field(default=None, converter=text)
    guid: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    destroyed_at: datetime | None = field(default=None, converter=moment)
    country: str | None = field(default=None, converter=text)
    region: str | None = field(default=None, converter=text)
    city: str | None = field(default=None, converter=text)
    browser: str | None = field(default=None, converter=text)
    browser_version: str | None = field(default=None, converter=text)
    device_model: str | None = field(default=None, converter=text)
    user_agent: str | None = field(default=None, converter=text)
    sdk_type: str | None = field(default=None, converter=text)
    sdk_version: str | None = field(default=None, converter=text)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Publisher:
    """A stream that a connection sent into a meeting."""

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    meeting_created_at: datetime | None = field(default=None, converter=moment)
    connection_id: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    destroyed_at: datetime | None = field(default=None, converter=moment)
    stream_id: str | None = field(default=None, converter=text)
    video_type: str | None = field(default=None, converter=text)
    has_audio_track: bool | None = field(default=None, converter=flag)
    has_video_track: bool | None = field(default=None, converter=flag)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Subscriber:
    """A stream that a connection received."""

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    meeting_created_at: datetime | None = field(default=None, converter=moment)
    subscriber_id: str | None = field(default=None, converter=text)
    connection_id: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    destroyed_at: datetime | None = field(default=None, converter=moment)
    stream_id: str | None = field(default=None, converter=text)
    video_type: str | None = field(default=None, converter=text)
    has_audio_track: bool | None = field(default=None, converter=flag)
    has_video_track: bool | None = field(default=None, converter=flag)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class StreamSample:
    """What was measured of a stream, every 30 seconds, where it was sent or where it was received.

    Attributes:
        role: `publisher` or `subscriber`.
        connection_id: who measured.
        publisher_connection_id: who sent the stream; None if the publishers of its meeting were not asked for.
        created_at: when, UTC.
        audio_bitrate_kbps, video_bitrate_kbps: kbit/s by their names.
        audio_latency_ms, video_latency_ms: milliseconds.
        audio_packet_loss, video_packet_loss: fractions of 1, as the guide says; one public chart reads them as percent.
        video_resolution: `<width>x<height>`.
        has_audio, has_video: whether a publisher sent it.
        subscribe_to_audio, subscribe_to_video: whether a subscriber wanted it.
        extra: fields that the caller named and that are not known here, as they were sent.
    """

    session_id: str
    meeting_id: str | None = field(default=None, converter=text)
    meeting_created_at: datetime | None = field(default=None, converter=moment)
    role: str
    stream_id: str | None = field(default=None, converter=text)
    connection_id: str | None = field(default=None, converter=text)
    subscriber_id: str | None = field(default=None, converter=text)
    publisher_connection_id: str | None = field(default=None, converter=text)
    created_at: datetime | None = field(default=None, converter=moment)
    audio_bitrate_kbps: float | None = field(default=None, converter=number)
    video_bitrate_kbps: float | None = field(default=None, converter=number)
    audio_latency_ms: float | None = field(default=None, converter=number)
    video_latency_ms: float | None = field(default=None, converter=number)
    audio_packet_loss: float | None = field(default=None, converter=number)
    video_packet_loss: float | None = field(default=None, converter=number)
    video_resolution: str | None = field(default=None, converter=text)
    audio_codec: str | None = field(default=None, converter=text)
    video_codec: str | None = field(default=None, converter=text)
    has_audio: bool | None = field(default=None, converter=flag)
    has_video: bool | None = field(default=None, converter=flag)
    subscribe_to_audio: bool | None = field(default=None, converter=flag)
    subscribe_to_video: bool | None = field(default=None, converter=flag)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class ProjectRow:
    """An interval of a project's data, of one group if they are grouped.

    Attributes:
        interval_start: when the interval begins, UTC; None without an interval.
        interval_end: when its LAST DAY begins, UTC: that day belongs to it.
        country, region, sdk_type, sdk_version, browser, browser_version: the group; None where it is not one.
        values: by the names that were asked for, such as `usage.streamedPublishedMinutes` (minutes),
            `quality.subscriber.latencyMsAvg` (ms), `errors.connect.failures` (a count).
    """

    interval_start: datetime | None = field(default=None, converter=moment)
    interval_end: datetime | None = field(default=None, converter=moment)
    country: str | None = field(default=None, converter=text)
    region: str | None = field(default=None, converter=text)
    sdk_type: str | None = field(default=None, converter=text)
    sdk_version: str | None = field(default=None, converter=text)
    browser: str | None = field(default=None, converter=text)
    browser_version: str | None = field(default=None, converter=text)
    values: Mapping[str, float | None] = field(factory=dict)

    @property
    def interval_until(self) -> datetime | None:
        """When the interval is over, UTC: the midnight on Pacific time behind its last day."""
        if self.interval_end is None:
            return None
        last = self.interval_end.astimezone(ZoneInfo(PACIFIC)).date()
        return pacific_midnight(last + timedelta(days=1))


def record(kind: type[T], fields: Mapping[str, Any], **known: Any) -> T:
    """Return a record of what an answer holds: `sessionId` becomes `session_id`; fields that it does not know are extra.

    Lists in it are no fields of its own: they become records of their own.
    """
    names = _names(kind)
    found = {ours: fields[theirs] for theirs, ours in names.items() if theirs in fields}
    if "extra" in names and (more := fields.keys() - names.keys()):
        extra = {name: fields[name] for name in more if not _is_listed(fields[name])}
        found |= {"extra": extra}
    return kind(**(found | known))


def _is_listed(value: Any) -> bool:
    return isinstance(value, Mapping) and "resources" in value


@cache
def _names(kind: type[attrs.AttrsInstance]) -> Mapping[str, str]:
    return {camel(one.name): one.name for one in attrs.fields(kind)}


def snake(name: str) -> str:
    """Return a name of the API as it is here.

    Example:
        >>> snake("audioBitrateKbps")
        'audio_bitrate_kbps'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
