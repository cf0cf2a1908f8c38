"""The harvest of OpenTok: the samples of each meeting, and the project's days, into `points`."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from agora_analytics.core.windows import Window
from agora_analytics.errors import AccessDenied, AgoraAnalyticsError, IncompleteListing, WindowOutOfReach
from agora_analytics.harvest.events import HarvestObserver
from agora_analytics.harvest.report import HarvestReport
from agora_analytics.harvest.unit_runner import (
    FetchedPoints,
    IncompleteUnits,
    PointsUnit,
    UnitRunner,
    points_table,
)
from agora_analytics.harvest.units import merge_nearby
from agora_analytics.instants import Instant, utc_day
from agora_analytics.opentok.facts import DAY, PROJECT_LATENCY
from agora_analytics.opentok.questions import PACIFIC, pacific_midnight
from agora_analytics.opentok.records import MeetingSummary, ProjectRow, StreamSample, snake
from agora_analytics.opentok.walk import InsightsPages
from agora_analytics.store import Store
from agora_analytics.store.quality import OPENTOK

if TYPE_CHECKING:
    from agora_analytics.opentok.client import AsyncOpenTok

VENDOR = "opentok"
_CONCURRENCY = 8
_RETENTION_DAYS = 90
_NO_ADD_ON_CODE = 1014
_DAY_PREFIX = "project."
_MERGE_DISTANCE = 3600
"""Seconds between the beginnings of marked meetings that are listed together, and what began between them."""
_MAX_PROBLEMS = 3

T = TypeVar("T")
Skip = Callable[[str, AgoraAnalyticsError], None]
"""Told of what cannot be listed, and why."""


async def harvest_meetings(
    client: "AsyncOpenTok",
    *,
    since: Instant,
    until: Instant,
    store: Store,
    observer: HarvestObserver | None = None,
) -> HarvestReport:
    """Bring the stream statistics of every meeting that began in a time range, and the project's days, into a store.

    A meeting that still goes on is stored as far as it went, and fetched again by the next run, whatever its range; so
    is a Pacific day whose data may not be there yet. A project without Advanced Insights has days only, and the report
    says so.
    """
    wanted = client.window(since, until)
    runner = UnitRunner(
        client, store, client.project_id, window=wanted, observer=observer, concurrency=_CONCURRENCY
    )
    return await runner.run(partial(_units, client, wanted, runner.skip))


async def _units(
    client: "AsyncOpenTok", wanted: Window, skip: Skip, incomplete_units: IncompleteUnits
) -> AsyncGenerator[PointsUnit, None]:
    for unit in project_day_units(client, wanted, incomplete_units):
        yield unit
    async for unit in meeting_units(client, wanted, skip, incomplete_units):
        yield unit


def project_day_units(
    client: "AsyncOpenTok", wanted: Window, incomplete_units: IncompleteUnits = ()
) -> Iterator[PointsUnit]:
    """Yield the Pacific days that a time range touches, and those that are marked, each one request."""
    settled_until = client.reach().end
    for day in sorted(
        {*_pacific_days(wanted, settled_until), *_incomplete_days(incomplete_units, settled_until)}
    ):
        yield _day_unit(client, day, settled_until)


async def meeting_units(
    client: "AsyncOpenTok", wanted: Window, skip: Skip, incomplete_units: IncompleteUnits = ()
) -> AsyncGenerator[PointsUnit, None]:
    """Yield the meetings that began in a time range, and those that are marked.

    The listing of session summaries tells of them, and whether they have end: one for the range, and one for each
    hour or so outside of it in which marked ones began.
    """
    settled_until = client.reach().end
    before = [
        second for second in _start_seconds(incomplete_units) if not wanted.start <= second <= wanted.end
    ]
    try:
        for part in [*merge_nearby(before, max_gap=_MERGE_DISTANCE), wanted]:
            async for meeting, start in _meetings(client, part, skip):
                unit = _meeting_unit(client, meeting, start, settled_until)
                if wanted.start <= start.timestamp() < wanted.end + 1 or unit.name in incomplete_units:
                    yield unit
    except AccessDenied as error:
        if error.code != _NO_ADD_ON_CODE:
            raise
        skip("sessions", error)


async def _meetings(
    client: "AsyncOpenTok", part: Window, skip: Skip
) -> AsyncGenerator[tuple[MeetingSummary, datetime], None]:
    """Yield the meetings of the sessions that had one in a time range, and when each began; none if out of reach."""
    try:
        async for page in client.session_summaries(part.start, part.end + 1).pages():
            for problem in page.problems:
                skip("sessions", IncompleteListing(problem.message))
            for meeting in (meeting for summary in page.records for meeting in summary.meetings):
                if (start := meeting.created_at) is None:
                    error = IncompleteListing("the server does not say when it began")
                    skip(f"{meeting.session_id}.{meeting.meeting_id}", error)
                else:
                    yield meeting, start
    except WindowOutOfReach:
        return  # the days reach further back than sessions do


def _start_seconds(incomplete_units: IncompleteUnits) -> Iterator[int]:
    """Yield the second in which each marked meeting began."""
    for name in incomplete_units:
        milliseconds = name.rpartition(".")[2]
        if milliseconds.isdecimal():
            yield int(milliseconds) // 1000


def _pacific_days(wanted: Window, settled_until: float) -> Iterator[date]:
    first = max(_pacific_day(wanted.start), _oldest_day(settled_until))
    last = _pacific_day(min(wanted.end, settled_until))
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _incomplete_days(incomplete_units: IncompleteUnits, settled_until: float) -> Iterator[date]:
    oldest = _oldest_day(settled_until)
    days = (name.removeprefix(_DAY_PREFIX) for name in incomplete_units if name.startswith(_DAY_PREFIX))
    yield from (day for day in map(date.fromisoformat, days) if day >= oldest)


def _oldest_day(settled_until: float) -> date:
    return _pacific_day(settled_until - _RETENTION_DAYS * DAY)


def _pacific_day(second: float) -> date:
    return datetime.fromtimestamp(second, ZoneInfo(PACIFIC)).date()


def _day_unit(client: "AsyncOpenTok", day: date, settled_until: float) -> PointsUnit:
    start, end = pacific_midnight(day), pacific_midnight(day + timedelta(days=1))

    async def fetch() -> FetchedPoints:
        rows, missing = await _collect(client.project_data(start, end, interval="DAILY"))
        points = (point for row in rows for point in _day_points(row))
        return FetchedPoints(rows=points_table(VENDOR, points), missing=missing)

    return PointsUnit(
        name=f"{_DAY_PREFIX}{day.isoformat()}",
        day=utc_day(start.timestamp()),
        complete=settled_until >= end.timestamp() + PROJECT_LATENCY,
        fetch=fetch,
    )


def _meeting_unit(
    client: "AsyncOpenTok", meeting: MeetingSummary, start: datetime, settled_until: float
) -> PointsUnit:
    end = meeting.destroyed_at

    async def fetch() -> FetchedPoints:
        listing = client.stream_stats(
            meeting.session_id,
            since=start,
            until=start + timedelta(milliseconds=1),
            meeting_id=meeting.meeting_id,
        )
        samples, missing = await _collect(listing)
        return FetchedPoints(rows=points_table(VENDOR, sample_points(samples)), missing=missing)

    return PointsUnit(
        name=f"{meeting.session_id}.{meeting.meeting_id}.{round(start.timestamp() * 1000)}",
        day=utc_day(start.timestamp()),
        complete=end is not None and end.timestamp() <= settled_until,
        fetch=fetch,
    )


async def _collect(listing: InsightsPages[T]) -> tuple[list[T], str]:
    """Return the records of a listing, and what the server or its own counts say against them."""
    records, problems = list[T](), list[str]()
    async for page in listing.pages():
        records += page.records
        problems += (problem.message for problem in page.problems)
    return records, "; ".join(problems[:_MAX_PROBLEMS])


_FIELDS = tuple(
    (role, source, snake(source.partition(".")[2]))
    for source in OPENTOK
    for role in [source.partition(".")[0]]
    if role in {"publisher", "subscriber"}
)


def sample_points(samples: Sequence[StreamSample]) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each value of the samples of a meeting; a value that is null makes none."""
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
            if role == sample.role and value is not None and sample.created_at is not None:
                yield identity | {"source": source, "value": value}


_UNITS = (("usage.", "min"), ("Kbps", "kbit/s"), ("Ms", "ms"))
"""The unit of a field of project data, by a part of its name. Source: `reference/opentok-insights.md`, project data."""


def _day_points(row: ProjectRow) -> Iterator[Mapping[str, Any]]:
    for name, value in row.values.items():
        if value is not None:
            unit = next((unit for part, unit in _UNITS if part in name), "")
            yield {"ts": row.interval_start, "source": name, "value": value, "unit": unit}
    attempts, failures = (row.values.get(f"errors.connect.{what}") for what in ("attempts", "failures"))
    if attempts and failures is not None:
        yield {"ts": row.interval_start, "source": "errors.connect", "value": 1 - failures / attempts}
