"""The records of Insights, their reader and their Arrow tables.

Any value may be null. The server returns only requested fields, so an unknown field is one that the caller named. It is
kept in `extra`, under the API's name, as it was sent, and so is a value that cannot be read.

Source: Vonage, "Insights Dashboard & API", "Response Objects".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import attrs
from attrs import field, frozen

from agora_analytics.core.field_types import Id
from agora_analytics.core.lenient_reader import READERS, LenientReader, show
from agora_analytics.core.numbers import number_of
from agora_analytics.core.record import Record
from agora_analytics.core.record_table import record_table
from agora_analytics.instants import LAST_SECOND
from agora_analytics.opentok.graphql_query import camel_case
from agora_analytics.opentok.participant_minutes import (
    ParticipantMinutes,
    read_participant_minutes,
    unreadable_tiers,
)
from agora_analytics.opentok.query_builders import PACIFIC, pacific_midnight

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T", bound=attrs.AttrsInstance)
M = TypeVar("M")


def moment(value: Any) -> datetime | None:
    """Return a `Date` of a response as an aware datetime in UTC; None if it cannot be read, or is out of bounds."""
    number = number_of(value)
    try:
        if number is not None:
            seconds = number / 1000 if number > LAST_SECOND else number
        else:
            parsed = datetime.fromisoformat(value)
            seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        return datetime.fromtimestamp(seconds, UTC) if 1 <= seconds <= LAST_SECOND else None
    except (TypeError, ValueError, OverflowError):
        return None


def _read_moment(value: Any, _: object) -> datetime:
    parsed = moment(value)
    if parsed is None:
        raise ValueError(f"{show(value)} is not a time")
    return parsed


READERS |= {
    datetime: _read_moment,
    ParticipantMinutes: lambda value, _: read_participant_minutes(value),
}


@frozen(kw_only=True)
class MeetingSummary(Record):
    """A meeting without its participants.

    Attributes:
        session_id: the session.
        meeting_id: the meeting. A participant who returns within 10 minutes makes another entry with the same id.
        created_at: when it began, UTC.
        destroyed_at: when it ended, UTC; None while it is still active.
        total_connections, total_streams, total_subscribers: totals of the meeting.
        max_concurrent_connections, max_concurrent_streams, max_concurrent_subscribers: the most at the same time.
        publisher_minutes, subscriber_minutes: streamed minutes; None if they were not requested.
        participant_minutes: the minutes that are billed; None if they were not requested.
        extra: fields that the caller named and that no attribute stands for, and values that cannot be read.
    """

    session_id: str
    meeting_id: str | None = None
    created_at: datetime | None = None
    destroyed_at: datetime | None = None
    total_connections: int | None = None
    total_streams: int | None = None
    total_subscribers: int | None = None
    max_concurrent_connections: int | None = None
    max_concurrent_streams: int | None = None
    max_concurrent_subscribers: int | None = None
    publisher_minutes: float | None = None
    subscriber_minutes: float | None = None
    participant_minutes: ParticipantMinutes | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Meeting(Record):
    """A meeting of a session: it lasts until ten minutes after the last participant has left.

    Attributes:
        session_id: the session.
        meeting_id: the meeting. It is not unique: see `MeetingSummary`.
        created_at: when it began, UTC.
        destroyed_at: when it ended, UTC; None while it is still active.
        publisher_minutes, subscriber_minutes: streamed minutes; None if they were not requested.
        participant_minutes: the minutes that are billed; None if they were not requested.
        extra: values that cannot be read, as they were sent.
    """

    session_id: str
    meeting_id: str | None = None
    created_at: datetime | None = None
    destroyed_at: datetime | None = None
    publisher_minutes: float | None = None
    subscriber_minutes: float | None = None
    participant_minutes: ParticipantMinutes | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class _Session(Record, Generic[M]):
    session_id: Id
    media_mode: str | None = None
    publisher_minutes: float | None = None
    subscriber_minutes: float | None = None
    participant_minutes: ParticipantMinutes | None = None
    meetings: tuple[M, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Session(_Session[Meeting]):
    """A session: a room, for as long as its id is used.

    Attributes:
        session_id: its id.
        media_mode: `routed` or `relayed`.
        publisher_minutes, subscriber_minutes: of the whole session; None if they were not requested.
        participant_minutes: likewise, the minutes that are billed.
        meetings: all of its meetings.
        extra: values that cannot be read, as they were sent.
    """


@frozen(kw_only=True)
class SessionSummary(_Session[MeetingSummary]):
    """A session that had a meeting in a time range, with all of its meetings. Attributes: as `Session`.

    The minutes are those of the whole session, so do not add them up over a time range; add up those of `meetings`.
    """


@frozen(kw_only=True)
class Connection(Record):
    """A participant of a meeting. `guid` identifies the same client over several connections, if it was sent."""

    session_id: str
    meeting_id: str | None = None
    meeting_created_at: datetime | None = None
    connection_id: str | None = None
    guid: str | None = None
    created_at: datetime | None = None
    destroyed_at: datetime | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    device_model: str | None = None
    user_agent: str | None = None
    sdk_type: str | None = None
    sdk_version: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Publisher(Record):
    """A stream that a connection sent into a meeting."""

    session_id: str
    meeting_id: str | None = None
    meeting_created_at: datetime | None = None
    connection_id: str | None = None
    created_at: datetime | None = None
    destroyed_at: datetime | None = None
    stream_id: str | None = None
    video_type: str | None = None
    has_audio_track: bool | None = None
    has_video_track: bool | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class Subscriber(Record):
    """A stream that a connection received."""

    session_id: str
    meeting_id: str | None = None
    meeting_created_at: datetime | None = None
    subscriber_id: str | None = None
    connection_id: str | None = None
    created_at: datetime | None = None
    destroyed_at: datetime | None = None
    stream_id: str | None = None
    video_type: str | None = None
    has_audio_track: bool | None = None
    has_video_track: bool | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class StreamSample(Record):
    """A measurement of a stream, taken every 30 seconds by its publisher or by a subscriber.

    Attributes:
        role: `publisher` or `subscriber`.
        connection_id: the connection that measured.
        publisher_connection_id: the connection that sent the stream; None if publishers were not requested.
        created_at: when it was taken, UTC.
        audio_bitrate_kbps, video_bitrate_kbps: kbit/s, according to the names.
        audio_latency_ms, video_latency_ms: milliseconds.
        audio_packet_loss, video_packet_loss: fractions of 1, according to the guide. One public chart reads them as percent.
        video_resolution: `<width>x<height>`.
        has_audio, has_video: whether the publisher sent audio and video.
        subscribe_to_audio, subscribe_to_video: whether the subscriber requested audio and video.
        extra: fields that the caller named and that no attribute stands for, and values that cannot be read.
    """

    session_id: str
    meeting_id: str | None = None
    meeting_created_at: datetime | None = None
    role: str
    stream_id: str | None = None
    connection_id: str | None = None
    subscriber_id: str | None = None
    publisher_connection_id: str | None = None
    created_at: datetime | None = None
    audio_bitrate_kbps: float | None = None
    video_bitrate_kbps: float | None = None
    audio_latency_ms: float | None = None
    video_latency_ms: float | None = None
    audio_packet_loss: float | None = None
    video_packet_loss: float | None = None
    video_resolution: str | None = None
    audio_codec: str | None = None
    video_codec: str | None = None
    has_audio: bool | None = None
    has_video: bool | None = None
    subscribe_to_audio: bool | None = None
    subscribe_to_video: bool | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class ProjectRow(Record):
    """One interval of project data, for one group if the data are grouped.

    Attributes:
        interval_start: when the interval begins, UTC; None without an interval.
        interval_end: when its LAST DAY begins, UTC. That day belongs to the interval.
        country, region, sdk_type, sdk_version, browser, browser_version: the group; None if the data are not grouped by it.
        values: by the requested names, such as `usage.streamedPublishedMinutes` (minutes),
            `quality.subscriber.latencyMsAvg` (ms), `errors.connect.failures` (a count).
        extra: values that cannot be read, as they were sent.
    """

    interval_start: datetime | None = None
    interval_end: datetime | None = None
    country: str | None = None
    region: str | None = None
    sdk_type: str | None = None
    sdk_version: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    values: Mapping[str, float | None] = field(factory=dict, hash=False)
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def interval_until(self) -> datetime | None:
        """When the interval is over, UTC: midnight in Pacific time after its last day."""
        if self.interval_end is None:
            return None
        last = self.interval_end.astimezone(ZoneInfo(PACIFIC)).date()
        return pacific_midnight(last + timedelta(days=1))


def record(
    kind: type[T], fields: Mapping[str, Any], reader: LenientReader, path: str, **known: Any
) -> T | None:
    """Return a record of an object of a response: `sessionId` becomes `session_id`. None if it is skipped.

    Fields without an attribute go to `extra`, except collections, whose members become records of their own.
    """
    names = _names(kind)
    own = {name for spelled in names.values() for name in spelled}
    elsewhere = {names[name][0] for name in known}
    row = {
        name: value
        for name, value in fields.items()
        if not (name in elsewhere or (name in own and value == "") or _is_collection(value))
    }
    row |= unreadable_tiers(row.get("participantMinutes"))
    return reader.record(kind, row, path, names=names, known=known)


def _is_collection(value: Any) -> bool:
    return isinstance(value, dict) and "resources" in value


@cache
def _names(kind: type[attrs.AttrsInstance]) -> Mapping[str, tuple[str]]:
    """Return the API's names of the attributes of a record."""
    return {attribute.name: (camel_case(attribute.name),) for attribute in attrs.fields(kind)}


def snake(name: str) -> str:
    """Return a name of the API as the name of an attribute.

    Example:
        >>> snake("audioBitrateKbps")
        'audio_bitrate_kbps'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def project_table(rows: Sequence[ProjectRow], names: Iterable[str]) -> "pa.Table":
    """Return project data as an Arrow table: the interval, the group, and a float64 column for each name."""
    import pyarrow as pa

    grouped = record_table(ProjectRow, rows, without={"values"})
    for name in names:
        grouped = grouped.append_column(name, pa.array([row.values.get(name) for row in rows], pa.float64()))
    return grouped
