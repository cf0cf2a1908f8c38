"""The harvest of any vendor: stores everything of a time range that the client may fetch, exactly once."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import LISTS, METRICS, SESSIONS
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.engine.quota_reserve import reserving
from agora_analytics.engine.shared_requests import without_cache
from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.harvest.call_value import ValueName, ValueRule, value_rule
from agora_analytics.harvest.calls import harvest_calls
from agora_analytics.harvest.harvest_log import log_run
from agora_analytics.harvest.meetings import harvest_meetings
from agora_analytics.harvest.metric_days import harvest_metric_days, utc_days
from agora_analytics.harvest.repair import with_damage
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.instants import DAY, Instant, utc_day
from agora_analytics.logs import logger_of
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.spec import DAILY_REACH
from agora_analytics.store import open_store
from agora_analytics.store.harvest_writer import HarvestWriter, Store

_log = logger_of("harvest")

HarvestClient: TypeAlias = AsyncAgora | AsyncApsaraVideo | AsyncOpenTok
"""The clients that can be harvested."""

HarvestStore: TypeAlias = Store | HarvestWriter | str | Path
"""Where a harvest stores its rows: a store, its writer, its folder, or its URL in a bucket."""

_INSIGHTS_RETENTION = 30 * DAY
"""More seconds than Data Insights days stay available after calls, under any plan."""


async def harvest(
    client: HarvestClient,
    *,
    since: Instant,
    until: Instant = "now",
    store: HarvestStore,
    observer: HarvestObserver | None = None,
    compact: bool = True,
    verify: bool = False,
    reserve: int = 0,
    value: ValueName | ValueRule = "calls",
) -> HarvestReport:
    """Store everything of a time range, each row exactly once. Several vendors may share one store.

    Data in the store is not fetched again, so a new run resumes a harvest that was killed. Files that a power failure
    left damaged are moved to `_damaged`, named in the report and fetched again.

    - `AsyncAgora`: every call that was active at any time in `since <= t < until`, with its sessions and samples, into
      `calls`, `sessions` and `metrics`. Calls are stored as a whole, as far as the plan's retention allows. An ongoing
      call is stored as a snapshot, and fetched again by the next run.
    - `AsyncApsaraVideo`: the four metrics aggregated over all users, every five minutes, of each UTC day that the range
      touches, into `points`. A day that is not over, or ended recently, is fetched again by the next run, whatever its
      range.
    - `AsyncOpenTok`: the stream statistics of every meeting that began in the range, and the project's days, into
      `points`. An ongoing meeting and a day whose data may be incomplete are fetched again by the next run, whatever
      its range. A project without Advanced Insights has days only; the report says so.

    The view `quality` of the store has all of them in common names and units: see `docs/tables.md`.

    Args:
        client: the client; its rate limits determine the pace.
        since: an aware datetime, ISO 8601, epoch seconds, or a relative time (`6h`, `2d`).
        until: likewise.
        store: a store, or the folder or URL of one, which is created if it does not exist; see `open_store`.
            `open_store(..., durable=False)` is faster, but the last seconds may be lost in a power failure.
            In a bucket, stored calls become visible every 30 seconds and at the end.
        observer: called with every `HarvestEvent`, in addition to the log; the engine's events go to the client's own observer.
        compact: merge the many files of days that are over into a few at the end.
        verify: read every page of the store first, to find damage that the footers of the files do not show.
        reserve: leave so many requests of each daily quota to others; those that others have sent already count too.
        value: what a call is worth, for `AsyncAgora`: `calls` (each the same), `users`, `minutes`, or a function of a
            `Call`. If the daily quota does not suffice for all calls before their data leaves the plan's reach, those with
            the highest value per request are stored.

    Returns:
        The report. If the daily quota is exhausted, its `retry_at` says when to run the harvest again.

    Raises:
        InvalidRequest: `store` is a URL of another kind, `reserve` leaves nothing of a quota, or `value` is unknown.
        WindowOutOfReach: no part of the range is within the plan's retention.
        AuthenticationError, AccessDenied: the client may not fetch anything.
        StoreError: the store cannot be written; everything committed is safe.
        TransportError, ServerError: several calls in a row failed after all retries.

    Example:
        async with AsyncAgora.from_env() as client:
            report = await harvest(client, since="1d", store="calls.store")
            print(report.calls, report.points)
    """
    with log_run(client, since, until):
        rule = value_rule(value)
        check_reserve(client, reserve)
        opened = await open_or_create(store)
        with reserving(reserve):
            async with committing(opened):
                return await _harvest(
                    client, opened, since, until, observer, compact=compact, verify=verify, value=rule
                )


async def _harvest(
    client: HarvestClient,
    opened: HarvestWriter,
    since: Instant,
    until: Instant,
    observer: HarvestObserver | None,
    *,
    compact: bool,
    verify: bool,
    value: ValueRule,
) -> HarvestReport:
    calls_expired = -math.inf
    match client:
        case AsyncAgora():
            app_id, reach = client.settings.app_id, client.reach(METRICS)
            window = client.legal_window(LISTS, since, until)
            with without_cache():  # a harvest requests everything once
                report = await harvest_calls(client, opened, window, observer, verify=verify, value=value)
            calls_expired = min(client.reach(endpoint).start for endpoint in (LISTS, SESSIONS, METRICS))
            points_expired = calls_expired - _INSIGHTS_RETENTION
        case AsyncApsaraVideo():
            app_id, reach = client.app_id, client.reach()
            days = utc_days(client, since, until)
            report = await harvest_metric_days(client, opened, days, observer, verify=verify)
            points_expired = reach.start
        case AsyncOpenTok():
            app_id, reach = client.project_id, client.reach()
            window = client.window(since, until)
            report = await harvest_meetings(client, opened, window, observer, verify=verify)
            points_expired = reach.end - DAILY_REACH
    if not compact:
        return report
    async with client._engine.resources.compaction:  # noqa: SLF001 - same package
        compacted = await asyncio.to_thread(
            opened.compact,
            closed_before=utc_day(reach.end),
            app_id=app_id,
            calls_expired_before=calls_expired,
            points_expired_before=points_expired,
        )
    if any(day.damaged for day in compacted.skipped):
        repaired = await asyncio.to_thread(opened.repair, app_id, refetch_from=reach.start, verify=True)
        return with_damage(report, repaired.files, observer)
    return report


def check_reserve(client: HarvestClient, reserve: int) -> None:
    """Check that the requests that a harvest leaves to others are part of the quotas that it uses.

    Raises:
        InvalidRequest: they are not, or the vendor has no daily quota.
    """
    if reserve == 0:
        return
    if reserve < 0:
        raise InvalidRequest(f"reserve={reserve} is not a number of requests; pass 0 or more")
    if not isinstance(client, AsyncAgora):
        raise InvalidRequest("reserve= needs a daily quota, which only Agora has")
    per_day = min(client.limits(endpoint).per_day for endpoint in (LISTS, SESSIONS, METRICS))
    if reserve >= per_day:
        raise InvalidRequest(f"reserve={reserve} leaves nothing of the {per_day} requests a day")


@asynccontextmanager
async def committing(writer: HarvestWriter) -> AsyncIterator[None]:
    """Make published calls visible every `commit_interval` seconds while the block runs, and at its end."""
    if writer.commit_interval is None:
        yield
        return
    regularly = asyncio.create_task(_commit_regularly(writer, writer.commit_interval))
    try:
        yield
    except Exception:
        with suppress(StoreError):
            await asyncio.to_thread(writer.commit)
        raise
    else:
        await asyncio.to_thread(writer.commit)
    finally:
        regularly.cancel()
        await asyncio.wait([regularly])


async def _commit_regularly(writer: HarvestWriter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            await asyncio.to_thread(writer.commit)
        except StoreError as error:  # the harvest fails if the bucket is still away, or at its end
            _log.warning("cannot commit: %s", error)


async def open_or_create(store: HarvestStore) -> HarvestWriter:
    """Return the writer of a store, given itself, its folder or its URL. Create the store if it does not exist."""
    if isinstance(store, str | Path):
        return writer_of(await asyncio.to_thread(open_store, store, create=True))
    return writer_of(store)


def writer_of(store: Store | HarvestWriter) -> HarvestWriter:
    """Return the writer of a store."""
    return store.writer if isinstance(store, Store) else store
