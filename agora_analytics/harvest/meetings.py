"""The harvest of OpenTok: the samples of each meeting, and the project's days, into `points`."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from agora_analytics.core.windows import Window
from agora_analytics.errors import AccessDenied, AgoraAnalyticsError, IncompleteListing, WindowOutOfReach
from agora_analytics.harvest.events import HarvestObserver
from agora_analytics.harvest.points import Fetched, Gathering, PointsUnit, rows_of
from agora_analytics.harvest.report import HarvestReport
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
_AT_ONCE = 8
_DAYS_KEPT = 90
_NO_ADD_ON = 1014
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

    A meeting that still goes on is stored as far as it went, and fetched again by the next run; so is a Pacific day
    whose data may not be there yet. A project without Advanced Insights has days only, and the report says so.
    """
    wanted = client.window(since, until)
    gathering = Gathering(
        client, store, client.project_id, window=wanted, observer=observer, at_once=_AT_ONCE
    )
    return await gathering.bring(_units(client, wanted, gathering.skip))


async def _units(client: "AsyncOpenTok", wanted: Window, skip: Skip) -> AsyncGenerator[PointsUnit, None]:
    for unit in project_day_units(client, wanted):
        yield unit
    async for unit in meeting_units(client, wanted, skip):
        yield unit


def project_day_units(client: "AsyncOpenTok", wanted: Window) -> Iterator[PointsUnit]:
    """Yield the Pacific days that a time range touches, each one request."""
    settled = client.reach().end
    for day in _pacific_days(wanted, settled):
        yield _day_unit(client, day, settled)


async def meeting_units(
    client: "AsyncOpenTok", wanted: Window, skip: Skip
) -> AsyncGenerator[PointsUnit, None]:
    """Yield the meetings that began in a time range, as the listing of session summaries tells them."""
    settled = client.reach().end
    try:
        async for page in client.session_summaries(wanted.start, wanted.end + 1).pages():
            for problem in page.problems:
                skip("sessions", IncompleteListing(problem.message))
            for meeting in (meeting for summary in page.records for meeting in summary.meetings):
                if (begins := meeting.created_at) is None:
                    error = IncompleteListing("the server does not say when it began")
                    skip(f"{meeting.session_id}.{meeting.meeting_id}", error)
                elif wanted.start <= begins.timestamp() < wanted.end + 1:
                    yield _meeting_unit(client, meeting, begins, settled)
    except WindowOutOfReach:
        return  # the days reach further back than sessions do
    except AccessDenied as error:
        if error.code != _NO_ADD_ON:
            raise
        skip("sessions", error)


def _pacific_days(wanted: Window, settled: float) -> Iterator[date]:
    zone = ZoneInfo(PACIFIC)
    first = datetime.fromtimestamp(max(wanted.start, settled - _DAYS_KEPT * DAY), zone).date()
    last = datetime.fromtimestamp(min(wanted.end, settled), zone).date()
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _day_unit(client: "AsyncOpenTok", day: date, settled: float) -> PointsUnit:
    begins, ends = pacific_midnight(day), pacific_midnight(day + timedelta(days=1))

    async def fetch() -> Fetched:
        rows, missing = await _collected(client.project_data(begins, ends, interval="DAILY"))
        points = (point for row in rows for point in _points_of_day(row))
        return Fetched(rows=rows_of(VENDOR, points), missing=missing)

    return PointsUnit(
        name=f"project.{day.isoformat()}",
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
    sender = {sample.stream_id: sample.connection_id for sample in samples if sample.role == "publisher"}
    for sample in samples:
        receives = sample.role == "subscriber"
        place = {
            "channel": sample.session_id,
            "call_id": sample.meeting_id,
            "session_id": sample.subscriber_id if receives else sample.stream_id,
            "user_id": sample.connection_id,
            "peer_id": sender.get(sample.stream_id) if receives else None,
            "ts": sample.created_at,
        }
        for role, source, name in _FIELDS:
            value = getattr(sample, name)
            if role == sample.role and value is not None and sample.created_at is not None:
                yield place | {"source": source, "value": value}


_UNITS = (("Minutes", "min"), ("Kbps", "kbit/s"), ("Ms", "ms"))


def _points_of_day(row: ProjectRow) -> Iterator[Mapping[str, Any]]:
    for name, value in row.values.items():
        if value is not None:
            unit = next((unit for part, unit in _UNITS if part in name), "")
            yield {"ts": row.interval_start, "source": name, "value": value, "unit": unit}
    attempts, failures = (row.values.get(f"errors.connect.{what}") for what in ("attempts", "failures"))
    if attempts and failures is not None:
        yield {"ts": row.interval_start, "source": "errors.connect", "value": 1 - failures / attempts}
