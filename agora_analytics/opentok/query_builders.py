"""The queries of the listings, as data, and the names of the fields in them. Pure.

Source: Vonage, "Insights Dashboard & API", "Obtaining Project Data" and "Obtaining Session Data".
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import chain
from zoneinfo import ZoneInfo

from attrs import frozen

from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok.graphql_query import (
    Field,
    OneOrMore,
    as_list,
    camel_case,
    collection,
    enum_list,
    enum_value,
    leaf_fields,
    project,
    string,
    string_list,
)
from agora_analytics.opentok.spec import DAILY_REACH

PACIFIC = "America/Los_Angeles"
"""The time zone of the days of project data."""

USAGE = tuple(
    f"usage.{name}"
    for name in (
        "streamedPublishedMinutes", "streamedSubscribedMinutes", "experienceComposer", "experienceComposerArchive",
        "experienceComposerBroadcast", "individualArchiveMinutes", "sdArchiveComposedMinutes",
        "hdArchiveComposedMinutes", "sdBroadcastComposedMinutes", "hdBroadcastComposedMinutes", "hlsMinutes",
        "sipUserMinutes",
    )
)  # fmt: skip
"""All usage except the participant minutes, in minutes."""
TIERS = tuple(
    f"from{tier}Publishers"
    for tier in (
        "1To2", "1To4", "1To8", "1To10", "1To25", "3To6", "3To25", "5To8", "7To8", "9To10", "11To20", "11To35",
        "21To35", "26To35", "36To40", "36Plus", "41Plus",
    )
)  # fmt: skip
"""The tiers of participant minutes, by number of publishers. They overlap, so never add all of them up."""
PARTICIPANTS = tuple(f"usage.participantMinutes.{tier}" for tier in TIERS)
"""Participant minutes of a project."""
QUALITY = tuple(
    f"quality.{side}.{name}"
    for side in ("publisher", "subscriber")
    for name in ("videoBitrateKbpsAvg", "latencyMsAvg")
)
"""Averages over all streams: kbit/s and milliseconds."""
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
"""Histograms; the number is the upper bound of a bucket. The unit of the values is not documented."""
ERRORS = tuple(
    f"errors.{what}.{name}"
    for what in ("connect", "publish", "subscribe")
    for name in ("attempts", "failures")
)
"""Counts; the failure rate is failures / attempts."""

SUMMARY = (
    "meetingId", "createdAt", "destroyedAt", "totalConnections", "totalStreams", "totalSubscribers",
    "maxConcurrentConnections", "maxConcurrentStreams", "maxConcurrentSubscribers",
)  # fmt: skip
"""Fields of a meeting in a summary."""
CONNECTION = (
    "guid", "createdAt", "destroyedAt", "country", "region", "city", "browser", "browserVersion", "deviceModel",
    "userAgent", "sdkType", "sdkVersion",
)  # fmt: skip
"""Fields of a connection, in addition to its id."""
STREAM = ("destroyedAt", "stream.videoType", "stream.hasAudioTrack", "stream.hasVideoTrack")
"""Fields of a publisher or a subscriber, in addition to its ids and its start."""
STATS = (
    "audioBitrateKbps", "videoBitrateKbps", "audioLatencyMs", "videoLatencyMs", "audioPacketLoss", "videoPacketLoss",
    "videoResolution", "audioCodec", "videoCodec", "hasAudio", "hasVideo", "subscribeToAudio", "subscribeToVideo",
)  # fmt: skip
"""Fields of a sample, in addition to its time. Those that a publisher or subscriber lacks are not requested."""

PROJECT_FIELDS = (*USAGE, *PARTICIPANTS, *QUALITY, *DISTRIBUTIONS, *ERRORS)
"""All documented fields of project data."""
_MINUTES = ("publisherMinutes", "subscriberMinutes", *(f"participantMinutes.{tier}" for tier in TIERS))
_IDENTITY = {
    "connection": ("connectionId",),
    "publisher": ("createdAt", "connectionId", "stream.streamId"),
    "subscriber": ("subscriberId", "createdAt", "connectionId", "stream.streamId"),
}
SESSION_FIELDS = (*SUMMARY, *CONNECTION, *STREAM, *STATS, *chain.from_iterable(_IDENTITY.values()))
"""All documented fields of session data that a caller may choose."""
_MISSING = {"publisher": ("subscribeToAudio", "subscribeToVideo"), "subscriber": ("hasAudio", "hasVideo")}

_UNFILTERED = re.compile(r"usage\.(participantMinutes\..*|\w*Archive(Composed)?Minutes)")


@frozen(kw_only=True)
class MeetingFilter:
    """Selects meetings of a session: those that began in `since <= t < until` (UTC epoch seconds), or with an id."""

    since: float | None = None
    until: float | None = None
    meeting_id: str | None = None

    def matches(self, created_at: datetime | None, meeting_id: str | None) -> bool:
        """Return whether a meeting is selected. The server may read the arguments in another way.

        A start or an id that cannot be read excludes nothing: the server has selected the meeting.
        """
        if None not in (self.meeting_id, meeting_id) and self.meeting_id != meeting_id:
            return False
        if created_at is None:
            return True
        began = created_at.timestamp()
        return (self.since is None or self.since <= began) and (self.until is None or began < self.until)

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of `meetings`."""
        arguments: dict[str, str] = {}
        if self.since is not None:
            arguments["start"] = date_literal(self.since)
        if self.until is not None:
            arguments["end"] = date_literal(self.until)
        if self.meeting_id is not None:
            arguments["meetingId"] = string(self.meeting_id)
            arguments["first"] = "2"  # it has few entries, which allows larger pages inside them
        return arguments


def date_literal(seconds: float) -> str:
    """Return a timestamp as the API takes it, with milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return string(text.replace("+00:00", "Z"))


def project_query(project_id: str, *fields: Field) -> Field:
    """Return the query of fields of a project."""
    return Field("query", (Field("project", fields, {"projectId": project(project_id)}),))


def sessions_query(
    project_id: str, session_ids: Sequence[str], chosen: MeetingFilter, *inner: Field, minutes: bool = False
) -> Field:
    """Return the query of sessions and their meetings, with the fields `inner` in each meeting."""
    extra = leaf_fields(*_MINUTES) if minutes else ()
    meetings = collection(
        "meetings", *leaf_fields("meetingId", "createdAt", "destroyedAt"), *extra, *inner, **chosen.arguments
    )
    sessions = collection(
        "sessions",
        *leaf_fields("sessionId", "mediaMode"),
        *extra,
        meetings,
        sessionIds=string_list(session_ids),
        first=str(len(session_ids)),
    )
    return project_query(project_id, Field("sessionData", (sessions,)))


def summaries_query(
    project_id: str,
    *,
    start: float,
    end: float | None,
    minutes: bool,
    fields: Sequence[str] = SUMMARY,
) -> Field:
    """Return the query of the sessions that had a meeting in a time range."""
    extra = leaf_fields(*_MINUTES) if minutes else ()
    summaries = collection(
        "sessionSummaries",
        *leaf_fields("sessionId", "mediaMode"),
        *extra,
        collection("meetings", *leaf_fields("createdAt", *fields), *extra),
        start=date_literal(start),
        **({} if end is None else {"end": date_literal(end)}),
    )
    return project_query(project_id, Field("sessionData", (summaries,)))


def participant_fields(role: str, fields: Sequence[str]) -> Field:
    """Return the connections, publishers or subscribers of a meeting."""
    return collection(f"{role}s", *leaf_fields(*_IDENTITY[role], *fields))


def sample_fields(role: str, fields: Sequence[str]) -> Field:
    """Return the publishers or subscribers of a meeting, with their samples."""
    present = [name for name in fields if name not in _MISSING[role]]
    stats = collection("streamStatsCollection", *leaf_fields("createdAt", *present))
    return collection(f"{role}s", *leaf_fields(*_IDENTITY[role]), stats)


def unfiltered_fields(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that the server filters and groups by country only, not by SDK, region or browser."""
    return tuple(filter(_UNFILTERED.fullmatch, fields))


def project_data_query(
    project_id: str,
    fields: Sequence[str],
    *,
    start: float,
    end: float | None,
    interval: str | None,
    group_by: OneOrMore,
    enum_filters: Mapping[str, OneOrMore],
    text_filters: Mapping[str, OneOrMore],
) -> Field:
    """Return the query of project data, including the fields that it is grouped by."""
    arguments = {"start": "0" if start == 0 else date_literal(start)}
    if end is not None:
        arguments["end"] = date_literal(end)
    if interval is not None:
        arguments["interval"] = enum_value(interval)
    lists = {"groupBy": group_by, **enum_filters}
    arguments |= {name: enum_list(values) for name, values in lists.items() if as_list(values)}
    arguments |= {name: string_list(values) for name, values in text_filters.items() if as_list(values)}
    times = ("intervalStart", "intervalEnd") if interval is not None else ()
    names = [camel_case(group.lower()) for group in as_list(group_by)]
    rows = collection("projectData", *leaf_fields(*times, *names, *fields), **arguments)
    return project_query(project_id, rows)


def pacific_midnight(day: date | str) -> datetime:
    """Return the start of a day of project data, as an aware datetime in UTC.

    Args:
        day: a date, or `2026-11-20`.

    Raises:
        InvalidRequest: it is not a day.

    Example:
        >>> pacific_midnight("2026-11-20").isoformat(), pacific_midnight("2026-07-01").isoformat()
        ('2026-11-20T08:00:00+00:00', '2026-07-01T07:00:00+00:00')
    """
    try:
        parsed = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        raise InvalidRequest(f"{day!r} is not a day; write it as 2026-11-20") from None
    return datetime.combine(parsed, time(), ZoneInfo(PACIFIC)).astimezone(UTC)


def pacific_day(second: float) -> date:
    """Return the day of project data that a time belongs to (UTC epoch seconds)."""
    return datetime.fromtimestamp(second, ZoneInfo(PACIFIC)).date()


def oldest_daily_row(now: float) -> float:
    """Return the start of the oldest day whose row is kept at `now`; both are UTC epoch seconds."""
    return pacific_midnight(pacific_day(now - DAILY_REACH)).timestamp()
