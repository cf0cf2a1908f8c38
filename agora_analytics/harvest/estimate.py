"""What a harvest will cost, before it is begun."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import LISTS
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.apsaravideo.spec import INTERACTION_METRICS
from agora_analytics.core.windows import Window
from agora_analytics.engine.engine import Quota
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.harvest.call_costs import call_costs
from agora_analytics.harvest.events import CallSkipped
from agora_analytics.harvest.meetings import meeting_units, project_day_units
from agora_analytics.harvest.metric_days import metric_day_units, utc_days
from agora_analytics.harvest.run import Client
from agora_analytics.harvest.unit_runner import PointsUnit, is_known
from agora_analytics.harvest.work_plan import WorkPlan
from agora_analytics.instants import Instant
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.facts import PROJECT_DATA, SESSION_DATA
from agora_analytics.store import Store, Units, open_store


@frozen(kw_only=True)
class Estimate:
    """What a harvest of `window` will cost.

    Attributes:
        window: what of the wanted time range would be harvested.
        calls: calls to visit; of the other vendors: meetings and project days, or days of a metric, to fetch.
        known: those that are in the store already and cost nothing.
        requests: requests for each endpoint, if none has to be tried again. `estimate` says which are exact.
        quotas: what is left of the day, for each endpoint, the requests of this estimate already taken off.
        seconds: how long it takes at the pace that the vendor allows, if the quota lasts.
        skipped: what cannot be listed, and why; the harvest will skip it too.
    """

    window: Window
    calls: int
    known: int
    requests: Mapping[str, int]
    quotas: Mapping[str, Quota]
    seconds: float
    skipped: Sequence[CallSkipped] = ()

    @property
    def enough(self) -> bool:
        """True if what is left of the day's quota suffices, or there is none of the day."""
        return all(
            count <= self.quotas[name].left or not self.quotas[name].daily
            for name, count in self.requests.items()
        )


async def estimate(
    client: Client, *, since: Instant, until: Instant = "now", store: Store | str | Path | None = None
) -> Estimate:
    """Return what a harvest will cost: requests for each endpoint, and how long they take. Nothing is stored.

    - `AsyncAgora`: spends one list request for each window that the store does not know, and one for each seam of two
      such windows where a page does not show all calls of the first. Calls are counted as the server counts them,
      each once, and known from the store for the rest. Requests for sessions and metrics are those of the calls that
      were seen, and in proportion for the others: the fewest for a call of one window. Of a longer one they are the
      most that users who came evenly can take (who stayed throughout, where the server does not say how many there
      were at a time). A call that goes on counts from where its snapshot ends.
    - `AsyncApsaraVideo`: sends nothing. All is exact: one request for each metric and UTC day.
    - `AsyncOpenTok`: spends the listing of session summaries, a request for each 1,000 sessions, which the harvest
      spends again. Meetings, days and the requests for days are exact. A meeting counts as one request, the fewest: one
      of more than an hour, or with more than 125 streams sent or received, takes further ones.

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
    opened = await asyncio.to_thread(_opened, store)
    match client:
        case AsyncAgora():
            return await _of_calls(client, client.legal_window(LISTS, since, until), opened)
        case AsyncApsaraVideo():
            return await _of_metric_days(client, utc_days(client, since, until), opened)
        case AsyncOpenTok():
            return await _of_meetings(client, client.window(since, until), opened)


async def _of_calls(client: AsyncAgora, wanted: Window, store: Store | None) -> Estimate:
    plan = WorkPlan.empty()
    if store is not None:
        plan = await asyncio.to_thread(WorkPlan.read, store, client.settings.app_id)
    cost = await call_costs(client, plan, wanted)
    quotas = await _quotas(client)
    return Estimate(
        window=wanted,
        calls=cost.calls,
        known=plan.done(wanted),
        requests=cost.requests,
        quotas=quotas,
        seconds=max(_paced(cost.requests, quotas)),  # the endpoints work side by side
    )


async def _of_metric_days(client: AsyncApsaraVideo, days: Sequence[Window], store: Store | None) -> Estimate:
    stored = await _units(client.app_id, store)
    due, known = _counted(metric_day_units(client, days, stored.pending["points"]), stored)
    requests, quotas = {INTERACTION_METRICS: due}, await _quotas(client)
    return Estimate(
        window=Window(days[0].start, days[-1].end),
        calls=due,
        known=known,
        requests=requests,
        quotas=quotas,
        seconds=sum(_paced(requests, quotas)),
    )


async def _of_meetings(client: AsyncOpenTok, wanted: Window, store: Store | None) -> Estimate:
    skipped: list[CallSkipped] = []

    def skip(work: str, error: AgoraAnalyticsError) -> None:
        skipped.append(CallSkipped(call_id=work, reason=str(error)))

    stored = await _units(client.project_id, store)
    marked = stored.pending["points"]
    spent_before = client.sent.get(SESSION_DATA, 0)
    listed = [unit async for unit in meeting_units(client, wanted, skip, marked)]
    listing = client.sent.get(SESSION_DATA, 0) - spent_before
    meetings, known_meetings = _counted(listed, stored)
    days, known_days = _counted(project_day_units(client, wanted, marked), stored)
    requests = {SESSION_DATA: listing + meetings, PROJECT_DATA: days}
    quotas = await _quotas(client)
    return Estimate(
        window=wanted,
        calls=meetings + days,
        known=known_meetings + known_days,
        requests=requests,
        quotas=quotas,
        seconds=sum(_paced(requests, quotas)),  # both keep one pace together
        skipped=tuple(skipped),
    )


async def _units(app_id: str, store: Store | None) -> Units:
    """Return what the store has of an app's `points`."""
    if store is None:
        return Units(live={"points": {}}, pending={"points": {}})
    return await asyncio.to_thread(store.units, app_id)


def _counted(units: Iterable[PointsUnit], stored: Units) -> tuple[int, int]:
    """Return how many units would be fetched, and how many the store has whole."""
    wanted = {unit.name: unit for unit in units}
    known = sum(is_known(unit, stored) for unit in wanted.values())
    return len(wanted) - known, known


async def _quotas(client: Client) -> dict[str, Quota]:
    return {quota.endpoint: quota for quota in await client.quota()}


def _paced(requests: Mapping[str, int], quotas: Mapping[str, Quota]) -> list[float]:
    """Return the seconds that the requests of each endpoint take at its pace."""
    return [count * quotas[name].period / quotas[name].requests for name, count in requests.items()]


def _opened(store: Store | str | Path | None) -> Store | None:
    if isinstance(store, str | Path):
        return open_store(store) if Path(store).exists() else None
    return store
