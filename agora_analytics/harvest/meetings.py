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
from agora_analytics.harvest.unit_runner import Fetched, IncompleteUnits, PointsUnit, UnitRunner, rows_of
from agora_analytics.harvest.units import merge_nearby
from agora_analytics.instants import Instant, utc_day
from agora_analytics.opentok.pagination import InsightsPages
from agora_analytics.opentok.query_builders import PACIFIC, pacific_midnight
from agora_analytics.opentok.records import MeetingSummary, ProjectRow, StreamSample, snake
from agora_analytics.opentok.spec import DAY, PROJECT_LATENCY
from agora_analytics.store import Store
from agora_analytics.store.quality import OPENTOK

if TYPE_CHECKING:
    from agora_analytics.opentok.client import AsyncOpenTok

VENDOR = "opentok"
_AT_ONCE = 8
_DAYS_KEPT = 90
_NO_ADD_ON = 1014
_PROJECT = "project."
_APART = 3600
"""Seconds between the beginnings of marked meetings that are listed together, and what began between them."""
_PROBLEMS_TOLD = 3

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
    runner = UnitRunner(client, store, client.project_id, window=wanted, observer=observer, at_once=_AT_ONCE)
    return await runner.bring(partial(_units, client, wanted, runner.skip))


async def _units(
    client: "AsyncOpenTok", wanted: Window, skip: Skip, marked: IncompleteUnits
) -> AsyncGenerator[PointsUnit, None]:
    for unit in project_day_units(client, wanted, marked):
        yield unit
    async for unit in meeting_units(client, wanted, skip, marked):
        yield unit


def project_day_units(
    client: "AsyncOpenTok", wanted: Window, marked: IncompleteUnits = ()
) -> Iterator[PointsUnit]:
    """Yield the Pacific days that a time range touches, and those that are marked, each one request."""
    settled = client.reach().end
    for day in sorted({*_pacific_days(wanted, settled), *_marked_days(marked, settled)}):
        yield _day_unit(client, day, settled)


async def meeting_units(
    client: "AsyncOpenTok", wanted: Window, skip: Skip, marked: IncompleteUnits = ()
) -> AsyncGenerator[PointsUnit, None]:
    """Yield the meetings that began in a time range, and those that are marked.

    The listing of session summaries tells of them, and whether they have ended: one for the range, and one for each
    hour or so outside of it in which marked ones began.
    """
    settled = client.reach().end
    before = [second for second in _beginnings(marked) if not wanted.start <= second <= wanted.end]
    try:
        for part in [*merge_nearby(before, apart=_APART), wanted]:
            async for meeting, begins in _meetings(client, part, skip):
                unit = _meeting_unit(client, meeting, begins, settled)
                if wanted.start <= begins.timestamp() < wanted.end + 1 or unit.name in marked:
                    yield unit
    except AccessDenied as error:
        if error.code != _NO_ADD_ON:
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
                if (begins := meeting.created_at) is None:
                    error = IncompleteListing("the server does not say when it began")
                    skip(f"{meeting.session_id}.{meeting.meeting_id}", error)
                else:
                    yield meeting, begins
    except WindowOutOfReach:
        return  # the days reach further back than sessions do


def _beginnings(marked: IncompleteUnits) -> Iterator[int]:
    """Yield the second in which each marked meeting began."""
    for name in marked:
        milliseconds = name.rpartition(".")[2]
        if milliseconds.isdecimal():
            yield int(milliseconds) // 1000


def _pacific_days(wanted: Window, settled: float) -> Iterator[date]:
    first = max(_pacific_day(wanted.start), _oldest_day(settled))
    last = _pacific_day(min(wanted.end, settled))
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _marked_days(marked: IncompleteUnits, settled: float) -> Iterator[date]:
    oldest = _oldest_day(settled)
    days = (name.removeprefix(_PROJECT) for name in marked if name.startswith(_PROJECT))
    yield from (day for day in map(date.fromisoformat, days) if day >= oldest)


def _oldest_day(settled: float) -> date:
    return _pacific_day(settled - _DAYS_KEPT * DAY)


def _pacific_day(second: float) -> date:
    return datetime.fromtimestamp(second, ZoneInfo(PACIFIC)).date()


def _day_unit(client: "AsyncOpenTok", day: date, settled: float) -> PointsUnit:
    begins, ends = pacific_midnight(day), pacific_midnight(day + timedelta(days=1))

    async def fetch() -> Fetched:
        rows, missing = await _collected(client.project_data(begins, ends, interval="DAILY"))
        points = (point for row in rows for point in _points_of_day(row))
        return Fetched(rows=rows_of(VENDOR, points), missing=missing)

    return PointsUnit(
        name=f"{_PROJECT}{day.isoformat()}",
        day=utc_day(begins.timestamp()),
        whole=settled >= ends.timestamp() + PROJECT_LATENCY,
        fetch=fetch,
    )


def _meeting_unit(
    client: "AsyncOpenTok", meeting: MeetingSummary, begins: datetime, settled: float
) -> PointsUnit:
    ended = meeting.destroyed_at

    async def fetch() -> Fetched:
        listing = client.stream_stats(
            meeting.session_id,
            since=begins,
            until=begins + timedelta(milliseconds=1),
            meeting_id=meeting.meeting_id,
        )
        samples, missing = await _collected(listing)
        return Fetched(rows=rows_of(VENDOR, points_of(samples)), missing=missing)

    return PointsUnit(
        name=f"{meeting.session_id}.{meeting.meeting_id}.{round(begins.timestamp() * 1000)}",
        day=utc_day(begins.timestamp()),
        whole=ended is not None and ended.timestamp() <= settled,
        fetch=fetch,
    )


async def _collected(listing: InsightsPages[T]) -> tuple[list[T], str]:
    """Return the records of a listing, and what the server or its own counts say against them."""
    records, problems = list[T](), list[str]()
    async for page in listing.pages():
        records += page.records
        problems += (problem.message for problem in page.problems)
    return records, "; ".join(problems[:_PROBLEMS_TOLD])


_FIELDS = tuple(
    (role, source, snake(source.partition(".")[2]))
    for source in OPENTOK
    for role in [source.partition(".")[0]]
    if role in {"publisher", "subscriber"}
)


def points_of(samples: Sequence[StreamSample]) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each value of the samples of a meeting; a value that is null makes none."""
    for sample in samples:
        receives = sample.role == "subscriber"
        place = {
            "channel": sample.session_id,
            "call_id": sample.meeting_id,
            "session_id": sample.subscriber_id if receives else sample.stream_id,
            "user_id": sample.connection_id,
            "peer_id": sample.publisher_connection_id if receives else None,
            "ts": sample.created_at,
        }
        for role, source, name in _FIELDS:
            value = getattr(sample, name)
            if role == sample.role and value is not None and sample.created_at is not None:
                yield place | {"source": source, "value": value}


_UNITS = (("usage.", "min"), ("Kbps", "kbit/s"), ("Ms", "ms"))
"""The unit of a field of project data, by a part of its name. Source: `reference/opentok-insights.md`, project data."""


def _points_of_day(row: ProjectRow) -> Iterator[Mapping[str, Any]]:
    for name, value in row.values.items():
        if value is not None:
            unit = next((unit for part, unit in _UNITS if part in name), "")
            yield {"ts": row.interval_start, "source": name, "value": value, "unit": unit}
    attempts, failures = (row.values.get(f"errors.connect.{what}") for what in ("attempts", "failures"))
    if attempts and failures is not None:
        yield {"ts": row.interval_start, "source": "errors.connect", "value": 1 - failures / attempts}
