"""The queries that the client asks, as data, and what they are made of. Pure.

Source: `reference/opentok_schema.graphql`; `reference/opentok-insights.md`, sections 5 and 6.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from attrs import frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.graphql_query import (
    Field,
    camel,
    enum,
    enums,
    listing,
    plain,
    project,
    text,
    texts,
)

PACIFIC = "America/Los_Angeles"
"""The time zone of the days of project data."""

USAGE = tuple(
    f"usage.{name}"
    for name in (
        "streamedPublishedMinutes",
        "streamedSubscribedMinutes",
        "experienceComposer",
        "experienceComposerArchive",
        "experienceComposerBroadcast",
        "individualArchiveMinutes",
        "sdArchiveComposedMinutes",
        "hdArchiveComposedMinutes",
        "sdBroadcastComposedMinutes",
        "hdBroadcastComposedMinutes",
        "hlsMinutes",
        "sipUserMinutes",
    )
)
"""All usage but the participant minutes, in minutes."""
PARTICIPANTS = tuple(
    f"usage.participantMinutes.from{tier}Publishers"
    for tier in (
        "1To2", "1To4", "1To8", "1To10", "1To25", "3To6", "3To25", "5To8", "7To8", "9To10", "11To20", "11To35",
        "21To35", "26To35", "36To40", "36Plus", "41Plus",
    )
)  # fmt: skip
"""Minutes of participants by how many published. The tiers overlap: never add all of them up."""
QUALITY = tuple(
    f"quality.{side}.{name}"
    for side in ("publisher", "subscriber")
    for name in ("videoBitrateKbpsAvg", "latencyMsAvg")
)
"""ClientOptions over all streams: kbit/s and milliseconds."""
DISTRIBUTIONS = tuple(
    f"quality.{side}.{name}"
    for side in ("publisher", "subscriber")
    for name in (
        *(f"latencyDistribution.ms{ms}" for ms in (50, *range(100, 1001, 100), "1000Plus")),
        *(
            f"videoBitrateDistribution.kbps{kbps}"
            for kbps in (
                *range(100, 1001, 100), *range(1200, 2001, 200), 2250, 2500, 2750, 3000, "3000Plus"
            )
        ),
    )
)  # fmt: skip
"""Histograms; the number names a bucket's upper bound. No document names the unit of the values."""
ERRORS = tuple(
    f"errors.{what}.{name}"
    for what in ("connect", "publish", "subscribe")
    for name in ("attempts", "failures")
)
"""Counts; the rate is failures / attempts."""

SUMMARY = (
    "meetingId", "createdAt", "destroyedAt", "totalConnections", "totalStreams", "totalSubscribers",
    "maxConcurrentConnections", "maxConcurrentStreams", "maxConcurrentSubscribers",
)  # fmt: skip
"""Of a meeting in a summary."""
CONNECTION = (
    "guid", "createdAt", "destroyedAt", "country", "region", "city", "browser", "browserVersion", "deviceModel",
    "userAgent", "sdkType", "sdkVersion",
)  # fmt: skip
"""Of a connection, beside its id."""
STREAM = ("destroyedAt", "stream.videoType", "stream.hasAudioTrack", "stream.hasVideoTrack")
"""Of a publisher or a subscriber, beside ids and when it began."""
STATS = (
    "audioBitrateKbps", "videoBitrateKbps", "audioLatencyMs", "videoLatencyMs", "audioPacketLoss", "videoPacketLoss",
    "videoResolution", "audioCodec", "videoCodec", "hasAudio", "hasVideo", "subscribeToAudio", "subscribeToVideo",
)  # fmt: skip
"""Of a sample, beside its time; of a publisher or a subscriber only what it has."""

_MINUTES = ("publisherMinutes", "subscriberMinutes")
_KNOWN_BY = {
    "publisher": ("createdAt", "connectionId", "stream.streamId"),
    "subscriber": ("subscriberId", "createdAt", "connectionId", "stream.streamId"),
}
_NOT_OF = {"publisher": ("subscribeToAudio", "subscribeToVideo"), "subscriber": ("hasAudio", "hasVideo")}


@frozen(kw_only=True)
class MeetingFilter:
    """Which meetings of a session: those that began in `since <= t < until` (UTC epoch seconds), or with an id."""

    since: float | None = None
    until: float | None = None
    meeting_id: str | None = None

    def has(self, created_at: datetime | None, meeting_id: str | None) -> bool:
        """Return whether a meeting is one of them, however the server reads its arguments."""
        if self.meeting_id not in (None, meeting_id):
            return False
        if created_at is None:
            return True
        began = created_at.timestamp()
        return (self.since is None or self.since <= began) and (self.until is None or began < self.until)

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of `meetings`."""
        found: dict[str, str] = {}
        if self.since is not None:
            found["start"] = text(date_text(self.since))
        if self.until is not None:
            found["end"] = text(date_text(self.until))
        if self.meeting_id is not None:
            found["meetingId"] = text(self.meeting_id)
            found["first"] = "2"  # its entries are few, so that what is in them may come on larger pages
        return found


def date_text(seconds: float) -> str:
    """Return a moment as the API takes it, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def project_query(project_id: str, *fields: Field) -> Field:
    """Return the query for something of a project."""
    return Field("query", (Field("project", fields, {"projectId": project(project_id)}),))


def sessions_query(
    project_id: str, session_ids: Sequence[str], part: MeetingFilter, *inner: Field, minutes: bool = False
) -> Field:
    """Return the query for sessions, their meetings, and what is wanted of each meeting."""
    extra = plain(*_MINUTES) if minutes else ()
    meetings = listing(
        "meetings", *plain("meetingId", "createdAt", "destroyedAt"), *extra, *inner, **part.arguments
    )
    sessions = listing(
        "sessions",
        *plain("sessionId", "mediaMode"),
        *extra,
        meetings,
        sessionIds=texts(session_ids),
        first=str(len(session_ids)),
    )
    return project_query(project_id, Field("sessionData", (sessions,)))


def summaries_query(
    project_id: str, window: Window, *, minutes: bool, fields: Sequence[str] = SUMMARY
) -> Field:
    """Return the query for the sessions that had a meeting in a time range."""
    extra = plain(*_MINUTES) if minutes else ()
    summaries = listing(
        "sessionSummaries",
        *plain("sessionId", "mediaMode"),
        *extra,
        listing("meetings", *plain("createdAt", *fields), *extra),
        start=text(date_text(window.start)),
        end=text(date_text(window.end + 1)),
    )
    return project_query(project_id, Field("sessionData", (summaries,)))


def connection_fields(fields: Sequence[str] = CONNECTION) -> Field:
    """Return what is asked for of a meeting's connections."""
    return listing("connections", *plain("connectionId", *fields))


def stream_fields(role: str, fields: Sequence[str] = STREAM) -> Field:
    """Return what is asked for of a meeting's publishers or subscribers."""
    return listing(f"{role}s", *plain(*_KNOWN_BY[role], *fields))


def sample_fields(role: str, fields: Sequence[str] = STATS) -> Field:
    """Return what is asked for of the samples of a meeting's publishers or subscribers."""
    its_own = [name for name in fields if name not in _NOT_OF[role]]
    stats = listing("streamStatsCollection", *plain("createdAt", *its_own))
    return listing(f"{role}s", *plain(*_KNOWN_BY[role]), stats)


def project_data_query(
    project_id: str,
    fields: Sequence[str],
    *,
    start: float,
    end: float | None,
    interval: str | None,
    group_by: Sequence[str],
    enum_filters: Mapping[str, Sequence[str]],
    text_filters: Mapping[str, Sequence[str]],
) -> Field:
    """Return the query for project data; what is grouped by is asked for too."""
    arguments = {"start": "0" if start == 0 else text(date_text(start))}
    if end is not None:
        arguments["end"] = text(date_text(end))
    if interval is not None:
        arguments["interval"] = enum(interval)
    if group_by:
        arguments["groupBy"] = enums(group_by)
    arguments |= {name: enums(values) for name, values in enum_filters.items() if values}
    arguments |= {name: texts(values) for name, values in text_filters.items() if values}
    times = ("intervalStart", "intervalEnd") if interval is not None else ()
    groups = [camel(enum(group).lower()) for group in group_by]
    return project_query(project_id, listing("projectData", *plain(*times, *groups, *fields), **arguments))


def check_session_ids(session_ids: Sequence[str]) -> None:
    """Check session ids.

    Raises:
        InvalidRequest: none is named, one is empty, or one is named twice.
    """
    if not session_ids:
        raise InvalidRequest("no session is named, so there is nothing to ask for")
    if not all(str(one).strip() for one in session_ids):
        raise InvalidRequest("a session id is empty")
    if len(set(session_ids)) < len(session_ids):
        raise InvalidRequest("a session id is named twice")


def pacific_midnight(day: date | str) -> datetime:
    """Return when a day of project data begins, as an aware datetime, UTC.

    Args:
        day: a date, or `2026-11-20`.

    Raises:
        InvalidRequest: if it is no day.

    Example:
        >>> pacific_midnight("2026-11-20").isoformat(), pacific_midnight("2026-07-01").isoformat()
        ('2026-11-20T08:00:00+00:00', '2026-07-01T07:00:00+00:00')
    """
    try:
        parsed = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        raise InvalidRequest(f"{day!r} is no day; write it as 2026-11-20") from None
    return datetime.combine(parsed, time(), ZoneInfo(PACIFIC)).astimezone(UTC)
