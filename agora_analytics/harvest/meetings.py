"""The harvest of OpenTok: the stream statistics of each meeting, and project data by day, into `points`."""

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.core.windows import Window, merge_nearby
from agora_analytics.errors import (
    AccessDenied,
    AgoraAnalyticsError,
    DecodeError,
    IncompleteListing,
    WindowOutOfReach,
)
from agora_analytics.harvest.points import FetchedPoints, PointsUnit, fetched_points, harvest_points
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.harvest.unit_runner import UnitRunner
from agora_analytics.instants import utc_day
from agora_analytics.opentok.pagination import InsightsPages
from agora_analytics.opentok.query_builders import pacific_day, pacific_midnight
from agora_analytics.opentok.records import MeetingSummary, ProjectRow, StreamSample, snake
from agora_analytics.opentok.spec import DAILY_REACH, METRIC_MAPPINGS, PROJECT_LATENCY
from agora_analytics.store.harvest_writer import HarvestWriter

if TYPE_CHECKING:
    from agora_analytics.opentok.client import AsyncOpenTok

VENDOR = "opentok"
_CONCURRENCY = 8
_NO_ADD_ON_CODE = 1014
_DAY_PREFIX = "project."
_MERGE_DISTANCE = 3600
"""Seconds between the starts of incomplete meetings that are listed with one window."""
_MAX_PROBLEMS = 3

T = TypeVar("T")
Skip = Callable[[str, AgoraAnalyticsError], None]
"""Reports a unit that cannot be listed, and the error."""


async def harvest_meetings(
    client: "AsyncOpenTok",
    store: HarvestWriter,
    window: Window,
    observer: HarvestObserver | None,
    *,
    verify: bool,
) -> HarvestReport:
    """Store the stream statistics of every meeting that began in a window, and the project's days."""
    runner = UnitRunner(client, observer, concurrency=_CONCURRENCY)
    unreadable = dict[str, DecodeError]()

    def skip(name: str, error: AgoraAnalyticsError) -> None:
        if isinstance(error, DecodeError):
            unreadable[name] = error
        else:
            runner.skip(name, error)

    async def units(
        incomplete_units: Collection[str], lost: Sequence[Window]
    ) -> AsyncGenerator[PointsUnit, None]:
        for part in (*lost, window):
            for unit in project_day_units(client, part, incomplete_units):
                yield unit
        for part in (*lost, window):
            async for unit in meeting_units(client, part, skip, incomplete_units):
                yield unit
        for name, error in unreadable.items():
            await runner.note_unreadable(name, error)

    return await harvest_points(
        runner, store, client.project_id, window, units, reach=client.reach(), verify=verify
    )


def project_day_units(
    client: "AsyncOpenTok", window: Window, incomplete_units: Collection[str]
) -> Iterator[PointsUnit]:
    """Yield the Pacific days that a window touches, and the incomplete ones; each is one request."""
    reach_end = client.reach().end
    oldest = pacific_day(reach_end - DAILY_REACH)
    first, last = max(pacific_day(window.start), oldest), pacific_day(min(window.end, reach_end))
    names = (name.removeprefix(_DAY_PREFIX) for name in incomplete_units if name.startswith(_DAY_PREFIX))
    days = {day for day in map(date.fromisoformat, names) if day >= oldest}
    days |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    for day in sorted(days):
        yield _day_unit(client, day)


async def meeting_units(
    client: "AsyncOpenTok", window: Window, skip: Skip, incomplete_units: Collection[str]
) -> AsyncGenerator[PointsUnit, None]:
    """Yield the meetings that began in a window, and the incomplete ones.

    The session summaries list the meetings and whether they have ended. One listing covers the window; further ones
    cover the hours outside of it in which incomplete meetings began.
    """
    milliseconds = (name.rpartition(".")[2] for name in incomplete_units)
    starts = [int(start) // 1000 for start in milliseconds if start.isdecimal()]
    outside = [second for second in starts if not window.start <= second <= window.end]
    try:
        for part in [*merge_nearby(outside, max_gap=_MERGE_DISTANCE), window]:
            async for meeting, start in _meetings(client, part, skip):
                unit = _meeting_unit(client, meeting, start)
                if window.start <= start.timestamp() < window.end + 1 or unit.name in incomplete_units:
                    yield unit
    except AccessDenied as error:
        if error.code != _NO_ADD_ON_CODE:
            raise
        skip("sessions", error)


async def _meetings(
    client: "AsyncOpenTok", part: Window, skip: Skip
) -> AsyncGenerator[tuple[MeetingSummary, datetime], None]:
    """Yield the meetings of sessions active in a window, with their start; none if it is outside the retention."""
    try:
        async for page in client.session_summaries(part.start, part.end + 1).pages():
            for record in page.skipped:
                skip(record.key or record.path, DecodeError(record.reason, path=record.path))
            for problem in page.problems:
                skip("sessions", IncompleteListing(problem.message))
            for meeting in (meeting for summary in page.records for meeting in summary.meetings):
                if (start := meeting.created_at) is None or meeting.meeting_id is None:
                    error = DecodeError("the response has no start time or no id for this meeting")
                    skip(f"{meeting.session_id}.{meeting.meeting_id or start}", error)
                else:
                    yield meeting, start
    except WindowOutOfReach:
        return  # project data has a longer retention than session data


def _day_unit(client: "AsyncOpenTok", day: date) -> PointsUnit:
    start, end = pacific_midnight(day), pacific_midnight(day + timedelta(days=1))

    async def fetch() -> FetchedPoints:
        rows, missing, skipped = await _collect(client.project_data(start, end, interval="DAILY"))
        points = (point for row in rows for point in _day_points(row))
        return fetched_points(VENDOR, points, missing=missing, skipped=skipped)

    return PointsUnit(
        name=f"{_DAY_PREFIX}{day.isoformat()}",
        day=utc_day(start.timestamp()),
        is_final=lambda: client.reach().end >= end.timestamp() + PROJECT_LATENCY,
        fetch=fetch,
    )


def _meeting_unit(client: "AsyncOpenTok", meeting: MeetingSummary, start: datetime) -> PointsUnit:
    end = meeting.destroyed_at

    async def fetch() -> FetchedPoints:
        listing = client.stream_stats(
            meeting.session_id,
            since=start,
            until=start + timedelta(milliseconds=1),
            meeting_id=meeting.meeting_id,
        )
        samples, missing, skipped = await _collect(listing)
        return fetched_points(VENDOR, sample_points(samples), missing=missing, skipped=skipped)

    return PointsUnit(
        name=f"{meeting.session_id}.{meeting.meeting_id}.{round(start.timestamp() * 1000)}",
        day=utc_day(start.timestamp()),
        is_final=lambda: end is not None and end.timestamp() <= client.reach().end,
        fetch=fetch,
    )


async def _collect(listing: InsightsPages[T]) -> tuple[list[T], str, list[SkippedRecord]]:
    """Return the records of a listing, the problems that its pages report, and the records that cannot be read."""
    records, problems, skipped = list[T](), list[str](), list[SkippedRecord]()
    async for page in listing.pages():
        records += page.records
        skipped += page.skipped
        problems += (problem.message for problem in page.problems)
    return records, "; ".join(problems[:_MAX_PROBLEMS]), skipped


_FIELDS = tuple(
    (role, source, snake(source.partition(".")[2]))
    for source in METRIC_MAPPINGS
    for role in [source.partition(".")[0]]
    if role in {"publisher", "subscriber"}
)


def sample_points(samples: Sequence[StreamSample]) -> Iterator[Mapping[str, Any]]:
    """Yield a point for each value of the samples of a meeting that is not null; unreadable ones as they were sent."""
    for sample in samples:
        is_subscriber = sample.role == "subscriber"
        identity = {
            "channel": sample.session_id,
            "call_id": sample.meeting_id,
            "session_id": sample.subscriber_id if is_subscriber else sample.stream_id,
            "user_id": sample.connection_id,
            "peer_id": sample.publisher_connection_id if is_subscriber else None,
            "ts": sample.created_at,
        }
        for role, source, name in _FIELDS:
            value = getattr(sample, name)
            if value is None:
                value = sample.extra.get(source.partition(".")[2])
            if role == sample.role and value is not None:
                yield identity | {"source": source, "value": value}


_UNITS = (("usage.", "min"), ("Kbps", "kbit/s"), ("Ms", "ms"))
"""The unit of a project data field, by a part of its name. See docs/opentok.md."""


def _day_points(row: ProjectRow) -> Iterator[Mapping[str, Any]]:
    for name, read in row.values.items():
        value = row.extra.get(name) if read is None else read
        if value is not None:
            unit = next((unit for part, unit in _UNITS if part in name), "")
            yield {"ts": row.interval_start, "source": name, "value": value, "unit": unit}
    attempts, failures = (row.values.get(f"errors.connect.{what}") for what in ("attempts", "failures"))
    if attempts and failures is not None:
        yield {"ts": row.interval_start, "source": "errors.connect", "value": 1 - failures / attempts}
