"""What a harvest will cost, before it is begun."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from agora_analytics.agora.endpoints import LISTS, MAX_SIDS, METRICS, SESSIONS
from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.connection import Quota
from agora_analytics.harvest.agenda import Agenda
from agora_analytics.harvest.units import window_of
from agora_analytics.instants import Instant
from agora_analytics.store import Store, open_store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora


@frozen(kw_only=True)
class Estimate:
    """What a harvest of `window` will cost.

    Attributes:
        window: what of the wanted time range is in the plan's reach.
        calls: calls to visit: counted where the server counts them, known from the store for the rest.
        known: calls that are in the store already and cost nothing.
        requests: requests for each endpoint. Sessions and metrics are the fewest for the calls that were seen, and
            in proportion for the others.
        quotas: what is left of the day, for each endpoint, the requests of this estimate already taken off.
        seconds: how long it takes at the plan's pace, if the quota lasts.
    """

    window: Window
    calls: int
    known: int
    requests: Mapping[str, int]
    quotas: Mapping[str, Quota]
    seconds: float

    @property
    def enough(self) -> bool:
        """True if what is left of the day's quota suffices."""
        return all(self.requests[name] <= self.quotas[name].left for name in self.requests)


async def estimate(
    client: "AsyncAgora", *, since: Instant, until: Instant = "now", store: Store | str | Path | None = None
) -> Estimate:
    """Return what a harvest will cost. Spends one list request for each window that the store does not know.

    Args:
        client: who will ask.
        since: as for `harvest`.
        until: as for `harvest`.
        store: what is in it costs nothing; a folder that does not exist counts as empty.

    Raises:
        As `harvest`.

    Example:
        cost = await estimate(client, since="1d")
        print(cost.calls, cost.requests, cost.enough)
    """
    wanted = client.legal_window(LISTS, since, until)
    opened = await asyncio.to_thread(_opened, store)
    due: list[Call] = []
    parts, known, pages = [wanted], 0, 0
    if opened is not None:
        agenda = await asyncio.to_thread(Agenda.read, opened, client.settings.app_id)
        due, known = agenda.due(wanted), agenda.done(wanted)
        parts = [part.window for part in agenda.unlisted(wanted)]
        pages = len(agenda.reopened(wanted, client.reach(LISTS)))
    seen, unseen = list(due), 0
    for part in parts:
        for window in split(part, client.limits(LISTS)):
            async for page in client.calls(window.start, window.end + 1).pages():
                total = page.meta.total or len(page.records)
                seen += page.records
                unseen += total - len(page.records)
                pages += max(1, math.ceil(total / 100))
                break
    calls = len(seen) + unseen
    scale = calls / len(seen) if seen else 0.0
    requests = {
        LISTS.name: pages,
        SESSIONS.name: math.ceil(scale * sum(_sessions_requests(client, call) for call in seen)),
        METRICS.name: math.ceil(scale * sum(_metrics_requests(client, call) for call in seen)),
    }
    quotas = {quota.endpoint: quota for quota in await client.quota()}
    return Estimate(
        window=wanted,
        calls=calls,
        known=known,
        requests=requests,
        quotas=quotas,
        seconds=max(requests[name] * quotas[name].period / quotas[name].requests for name in requests),
    )


def _opened(store: Store | str | Path | None) -> Store | None:
    if isinstance(store, str | Path):
        return open_store(store) if Path(store).exists() else None
    return store


def _windows(client: "AsyncAgora", call: Call) -> int:
    part = window_of(call, client.reach(METRICS).end).intersection(client.reach(METRICS))
    return len(split(part, client.limits(METRICS))) if part else 0


def _sessions_requests(client: "AsyncAgora", call: Call) -> int:
    return _windows(client, call) * max(1, math.ceil((call.call_acu or 1) / 100))


def _metrics_requests(client: "AsyncAgora", call: Call) -> int:
    return _windows(client, call) * max(1, math.ceil((call.call_acu or 1) / MAX_SIDS))
