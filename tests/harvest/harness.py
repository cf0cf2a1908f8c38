"""Harvests of a simulated Agora project: the harness with a store, and the expected contents of the store."""

from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

from attrs import define, field

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import Plan
from agora_analytics.harvest import HarvestReport, harvest
from agora_analytics.simulator import (
    DEMO_APP_ID,
    DEMO_CREDENTIALS,
    CallTruth,
    SessionTruth,
    Simulator,
    World,
)
from agora_analytics.store import ParquetStore, open_store
from agora_analytics.testing import VirtualClock
from tests.harness import Harness

MIDNIGHT = 1_795_046_400  # 2026-11-19 00:00 UTC
SINCE, UNTIL = MIDNIGHT - 86_400, MIDNIGHT
(CUSTOMER,) = DEMO_CREDENTIALS.items()
LATENCY = (0.020, 0.080)


def simple_world(calls: int, **knobs: Any) -> World:
    """Return a world of finished calls of ordinary length, with few points and without quirks."""
    return World.generate(
        seed=11, since=SINCE, until=UNTIL, calls=calls, simple=True, **({"interval": 30} | knobs)
    )


def make_call(call_id: str, since: int, until: int, *, users: int = 1, stay: int | None = None) -> CallTruth:
    """Return a call whose users join evenly and stay `stay` seconds each; by default for the whole call."""
    stay = stay or until - since
    apart = (until - since - stay) // max(1, users - 1)
    joins = [since + i * apart for i in range(users - 1)] + [until - stay]
    sessions = tuple(
        SessionTruth(sid=f"{call_id}-{i}", uid=str(i + 1), join_ts=join, leave_ts=join + stay, key=i)
        for i, join in enumerate(joins)
    )
    most = max(bisect_right(joins, join) - bisect_left(joins, join - stay) for join in joins)  # at each join
    return CallTruth(
        call_id=call_id,
        cname=call_id,
        created_ts=since,
        destroyed_ts=until,
        sessions=sessions,
        extra={"call_acu": users, "call_pcu": most},
    )


@define
class HarvestHarness(Harness):
    """A harness with a store, which its harvests fill."""

    store: Path = field(kw_only=True)

    def harvest(
        self,
        *,
        since: float = SINCE,
        until: float = UNTIL,
        verify: bool = False,
        reserve: int = 0,
        value: Any = "calls",
        **settings: Any,
    ) -> HarvestReport:
        async def job(client: AsyncAgora) -> HarvestReport:
            # not flushed to the disk, which would take most of the time of a test
            store = open_store(self.store, create=True, durable=False)
            return await harvest(
                client, since=since, until=until, store=store, verify=verify, reserve=reserve, value=value
            )

        return self.run(job, **settings)

    @property
    def tables(self) -> ParquetStore:
        return open_store(self.store)


def make_harness(
    world: World,
    store: Path,
    *,
    now: float = UNTIL + 3600,
    plan: Plan | str = "enterprise",
    **simulator: Any,
) -> HarvestHarness:
    """Return a simulated project with a latency, and an empty store."""
    clock = VirtualClock(now)
    api = Simulator(world, plan, now=clock.now, **({"latency": LATENCY} | simulator))
    settings = {"app_id": DEMO_APP_ID, "plan": api.plan, "base_url": "http://127.0.0.1:1"}
    return HarvestHarness(AsyncAgora, CUSTOMER, settings, clock, api, world=world, store=store)


def contents(store: ParquetStore) -> dict[str, Any]:
    """Return the totals of the tables, in the form of `truth`. Asserts that no row is stored twice."""
    # one query, because each opens DuckDB again
    points, keys, value_sum, ts_sum, calls, call_keys, sessions, session_keys = store.sql(
        "select * from (select count(*), count(distinct (call_id, sid, mid, peer_uid, ts)), sum(value), "
        "sum(epoch(ts)::bigint)::bigint from metrics), "
        "(select count(*), count(distinct call_id) from calls), "
        "(select count(*), count(distinct (call_id, sid)) from sessions)"
    ).fetchall()[0]
    assert (points, calls, sessions) == (keys, call_keys, session_keys)
    return {
        "calls": calls,
        "sessions": sessions,
        "points": points,
        "value_sum": value_sum,
        "ts_sum": ts_sum,
    }


def truth(world: World, now: float) -> dict[str, Any]:
    totals = world.totals(now, server_users=True)
    return {
        "calls": totals.calls,
        "sessions": totals.sessions,
        "points": totals.points,
        "value_sum": totals.value_sum,
        "ts_sum": totals.ts_sum,
    }


def fewest_requests(world: World, span: int = 6 * 3600) -> dict[str, int]:
    """Return the minimum requests for a world of finished calls, calculated from the world alone."""
    sessions = metrics = 0
    for call in world.calls:
        for start in range(call.created_ts, max(call.created_ts, call.destroyed_ts) + 1, span):
            end = min(start + span - 1, call.destroyed_ts)
            present = sum(s.join_ts <= end and s.leave_ts >= start for s in call.sessions)
            sessions += max(1, -(-present // 100))
            metrics += -(-present // 20)
    return {"call/lists": -(-len(world.calls) // 100), "call/sessions": sessions, "call/metrics": metrics}


def broken_limits(simulator: Simulator) -> dict[str, tuple[int, int]]:
    """Return the endpoints whose rate limit was exceeded, with the most requests in a window, and the refusals."""
    broken = {
        name: (simulator.seen.worst_window(name), simulator.seen.worst_sliding(name))
        for name, limits in simulator.plan.limits.items()
        if simulator.seen.requests[name] and simulator.seen.worst_window(name) > limits.requests
    }
    return broken | {f"{name}: {message}": (n, n) for (name, message), n in simulator.seen.refused.items()}
