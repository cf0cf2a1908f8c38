"""What runs in a world at the same time: harvests, a compaction, readers, another client, a web backend, an operator."""

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from agora_analytics.errors import (
    AgoraAnalyticsError,
    CallNotFound,
    DeadlineExceeded,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StoreConflict,
    StoreError,
    TransportError,
    WindowOutOfReach,
    WindowRefused,
)
from agora_analytics.harvest import HarvestReport, harvest
from agora_analytics.instants import utc_day
from agora_analytics.store import open_store
from tests.worlds.process import Kill, Killed

if TYPE_CHECKING:
    from tests.worlds.world import Running, SmallPages

_EXPECTED = (QuotaExhausted, RateLimited, ServerError, StoreConflict, TransportError, DeadlineExceeded)
"""The errors that a fault, a limit or another process may cause."""
_BETWEEN_SNAPSHOTS = 240.0  # seconds
_REST = 3.0  # seconds until a new process may send, if it does not know what the last one sent

_CALLS = """
    select call_id, (select count(*) from metrics m where m.call_id = c.call_id),
           (select count(*) from sessions s where s.call_id = c.call_id)
    from calls c where finished
"""
_DOUBLED = """
    select count(*) - count(distinct (m.call_id, sid, mid, peer_uid, ts))
    from metrics m join calls c using (call_id)
"""


async def harvest_until_done(running: "Running", number: int) -> None:
    """Start a harvest again and again, until it reports that everything is stored."""
    settings = running.settings
    kills, snapshots = iter(settings.kills[number]), settings.snapshots
    for attempt, gap in enumerate(settings.gaps[number]):
        await asyncio.sleep(max(gap, 0.0 if settings.shared_ledger else _REST))
        started_at = running.true_time.now()
        ending = await running.run_process(
            f"harvest {number}.{attempt}", next(kills, None), partial(_harvest, running)
        )
        if isinstance(ending, WindowOutOfReach | WindowRefused) and not settings.has_right_clock:
            await _sleep_until(running, running.settled_at)
            continue
        if isinstance(ending, Killed) and settings.compacts_after_kill:
            await compact(running, f"compact after {number}.{attempt}", 0, None)
        if isinstance(ending, (Killed, *_EXPECTED)):
            continue
        if not isinstance(ending, HarvestReport):
            running.break_invariant("errors", f"harvest {number}.{attempt} raised {ending!r}")
            return
        if ending.retry_at is not None:
            await _sleep_until(running, ending.retry_at + max(0.0, -running.clock.ahead))
        elif not ending.complete:
            continue
        elif started_at < running.settled_at:
            snapshots -= 1
            soon = running.true_time.now() + _BETWEEN_SNAPSHOTS
            await _sleep_until(running, soon if snapshots >= 0 else running.settled_at)
        elif not (ending.ongoing or ending.too_recent):
            return
    running.break_invariant("ends", f"harvest {number} is not done after {len(settings.gaps[number])} runs")


async def _harvest(running: "Running", client: "SmallPages") -> HarvestReport:
    settings = running.settings
    store = await asyncio.to_thread(open_store, running.store, create=True, durable=settings.durable)
    return await harvest(client, since=settings.since, until=settings.until, store=store)


async def _sleep_until(running: "Running", time: float) -> None:
    await asyncio.sleep(max(0.0, time - running.true_time.now()))


async def compact(running: "Running", name: str, renames: int, kill_at: Kill | None) -> None:
    """Compact the days that are over, once so many files were renamed."""

    async def work(client: "SmallPages") -> None:
        if running.store.exists():
            store = await asyncio.to_thread(open_store, running.store)
            today = utc_day(running.true_time.now())
            await asyncio.to_thread(store.writer.compact, closed_before=today)

    await running.renames.reached(renames)
    ending = await running.run_process(name, kill_at, work)
    if ending is not None and not isinstance(ending, Killed | StoreError):  # the store is being created
        running.break_invariant("errors", f"a compaction raised {ending!r}")


async def read(running: "Running", number: int, renames: int) -> None:
    """Query the store once so many files were renamed.

    No sample is stored twice, and a call that is in `calls` and has ended has all of its rows.
    """

    async def work(client: "SmallPages") -> None:
        if not running.store.exists():
            return
        store = await asyncio.to_thread(open_store, running.store)
        calls, [(doubled,)] = await asyncio.to_thread(
            lambda: [store.sql(query).fetchall() for query in (_CALLS, _DOUBLED)]
        )
        if doubled:
            running.break_invariant("readers", f"{doubled} samples are stored twice")
        for call_id, points, sessions in calls:
            call = running.world.call(call_id)
            if running.settings.dirt is not None or call is None:
                continue
            expected = sum(len(series.ts) for stay in call.sessions for series in running.world.points(stay))
            if (points, sessions) != (expected, len(call.sessions)):
                running.break_invariant(
                    "readers",
                    f"{call_id} has {sessions} sessions and {points} points, of {len(call.sessions)} and {expected}",
                )

    await running.renames.reached(renames)
    ending = await running.run_process(f"read {number}", None, work)
    if ending is not None and not isinstance(ending, StoreError):
        running.break_invariant("errors", f"a reader raised {ending!r}")


async def look_up(running: "Running", number: int, dice: Random) -> None:
    """List the calls and sessions with another client on the same ledger, and stop at some point."""

    async def work(client: "SmallPages") -> None:
        try:
            async with asyncio.timeout(dice.choice((0.05, 0.5, 1.5, 60))):
                calls = await client.calls(running.settings.since, running.settings.until).collect()
                for call in calls:
                    await client.sessions(call).collect()
        except TimeoutError:
            pass

    await asyncio.sleep(dice.uniform(0, 30))
    ending = await running.run_process(f"look up {number}", None, work)
    _require_expected(running, "another client", ending)


async def serve(running: "Running", dice: Random) -> None:
    """Ask for the same few calls from many tasks, with deadlines and cancellations, as a web backend does."""
    listed = [
        call.call_id for call in running.settings.calls if call.created_ts < running.settings.start - 60
    ]
    if not listed:
        return

    async def view(client: "SmallPages", after: float, patience: float) -> Any:
        await asyncio.sleep(after)
        try:
            async with asyncio.timeout(patience):
                found = await client.find_call(dice.choice(listed), since=running.settings.since)
                if found is not None:
                    await client.sessions(found).collect()
        except TimeoutError:
            return None
        except AgoraAnalyticsError as error:
            return error
        return None

    async def work(client: "SmallPages") -> None:
        plans = [
            (dice.uniform(0, 3), dice.choice((0.01, 0.3, 3, 60)))
            for _ in range(running.settings.web_requests)
        ]
        for ending in await asyncio.gather(*(view(client, *plan) for plan in plans)):
            _require_expected(running, "a web request", ending)

    await asyncio.sleep(dice.uniform(0, 10))
    _require_expected(running, "the backend", await running.run_process("backend", None, work))


def _require_expected(running: "Running", whose: str, ending: Any) -> None:
    settings, expected = running.settings, list[type[Exception]](_EXPECTED)
    if not settings.has_right_clock:
        expected += [WindowOutOfReach, WindowRefused, InvalidRequest]
    if not settings.has_right_clock or settings.dirt is not None:
        expected.append(CallNotFound)
    if ending is not None and not isinstance(ending, tuple(expected)):
        running.break_invariant("errors", f"{whose} raised {ending!r}")


async def set_clock(running: "Running", after: float, seconds: float) -> None:
    """Set the clock of the machine."""
    await asyncio.sleep(after)
    running.clock.ahead += seconds
    running.loop.note("machine", f"the clock is set by {seconds:+g} s")
