"""The harvest of any vendor: everything of a time range that the client may ask for, into a store, exactly once."""

import asyncio
from pathlib import Path
from typing import TypeAlias

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import METRICS
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.harvest.calls import harvest_calls
from agora_analytics.harvest.events import HarvestObserver
from agora_analytics.harvest.meetings import harvest_meetings
from agora_analytics.harvest.metric_days import harvest_metric_days
from agora_analytics.harvest.report import HarvestReport
from agora_analytics.instants import Instant, utc_day
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.store import Store, open_store

Client: TypeAlias = AsyncAgora | AsyncApsaraVideo | AsyncOpenTok
"""Who can be harvested."""


async def harvest(
    client: Client,
    *,
    since: Instant,
    until: Instant = "now",
    store: Store | str | Path,
    observer: HarvestObserver | None = None,
    compact: bool = True,
) -> HarvestReport:
    """Bring everything of a time range into a store, each row exactly once. Several vendors may share one store.

    What the store has is not asked for again, so a harvest that was killed goes on where it stood.

    - `AsyncAgora`: every call that went on at some moment of `since <= t < until`, its sessions and its samples, whole
      as far as the plan reaches, into `calls`, `sessions` and `metrics`. A call that still goes on is stored as far as
      it went, and visited again by the next harvest.
    - `AsyncApsaraVideo`: the four metrics over all users, every five minutes, of each UTC day that the range touches,
      into `points`.
    - `AsyncOpenTok`: the stream statistics of every meeting that began in the range, and the project's days, into
      `points`. A meeting that still goes on is stored as far as it went, and fetched again by the next harvest.

    The view `quality` of the store has all of them in common names and units: see `docs/tables.md`.

    Args:
        client: who asks; its limits are the pace.
        since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
        until: likewise.
        store: a `Store`, or the folder of one, which is made if it is not there.
        observer: called with every `HarvestEvent`; the engine's events go to the client's own observer.
        compact: turn the many files of days that are over into a few at the end.

    Returns:
        What was done and what is left. If the day's quota is spent, its `retry_at` says when to go on.

    Raises:
        WindowOutOfReach: nothing of the range is in the plan's reach.
        AuthenticationError, AccessDenied: nothing can be asked for.
        StoreError: the store cannot be written; everything committed is safe.
        TransportError, ServerError: several calls in a row failed, however often each was tried.

    Example:
        async with AsyncAgora.from_env() as client:
            report = await harvest(client, since="1d", store="calls.store")
            print(report.calls, report.points)
    """
    opened = (
        await asyncio.to_thread(open_store, store, create=True) if isinstance(store, str | Path) else store
    )
    match client:
        case AsyncAgora():
            app_id, over = client.settings.app_id, client.reach(METRICS).end
            report = await harvest_calls(client, since=since, until=until, store=opened, observer=observer)
        case AsyncApsaraVideo():
            app_id, over = client.app_id, client.reach().end
            report = await harvest_metric_days(
                client, since=since, until=until, store=opened, observer=observer
            )
        case AsyncOpenTok():
            app_id, over = client.project_id, client.reach().end
            report = await harvest_meetings(client, since=since, until=until, store=opened, observer=observer)
    if compact:
        await asyncio.to_thread(opened.compact, closed_before=utc_day(over), app_id=app_id)
    return report
