"""When the daily quota does not suffice: what is fetched, what is lost, and what is left to others.

Over several days, a harvest saves at least 99 % of the value that could have been saved. The optimum is calculated from
the world alone, with knowledge of the calls of later days, which the harvest does not have.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from attrs import evolve, frozen

from agora_analytics.agora.plans import ENTERPRISE, Plan
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import InvalidRequest
from agora_analytics.harvest import estimate
from agora_analytics.harvest.job_order import DailyQuota, Job, plan_spending
from agora_analytics.simulator import SampleTiming, World
from tests.conftest import slow
from tests.harvest.harness import MIDNIGHT, contents, make_call, make_harness, truth

HOUR, DAY = 3_600, 86_400
REACH_DAYS = 3
NOON = MIDNIGHT + 12 * HOUR


@frozen
class Piece:
    """A call in the optimum: its cost, its value, and the first and the last day that can pay for it."""

    cost: int
    value: float
    first: int
    last: int


def most_value(pieces: Sequence[Piece], per_day: int, days: int) -> float:
    """Return the most value that a quota of so many requests a day can save, if parts of calls counted too.

    The calls whose windows are within a range of days cannot take more than the quota of these days. These bounds form
    a polymatroid, for which the greedy algorithm is exact. Without the parts of calls the optimum is not higher.
    """
    free = {
        (first, last): per_day * (last - first + 1)
        for first, last in product(range(days), repeat=2)
        if first <= last
    }
    total = 0.0
    for piece in sorted(pieces, key=lambda piece: -piece.value / piece.cost):
        around = [span for span in free if span[0] <= piece.first and span[1] >= piece.last]
        taken = min(piece.cost, *(free[span] for span in around))
        for span in around:
            free[span] -= taken
        total += piece.value * taken / piece.cost
    return total


def most_value_exactly(pieces: Sequence[Piece], per_day: int) -> float:
    """Return the most value of whole calls that are all known on the first day (Lawler and Moore)."""
    best = {0: 0.0}  # by the requests spent
    for piece in sorted(pieces, key=lambda piece: piece.last):
        for spent, value in sorted(best.items(), reverse=True):
            after = spent + piece.cost
            if after <= per_day * (piece.last + 1):
                best[after] = max(best.get(after, 0.0), value + piece.value)
    return max(best.values())


def small_plan(**per_day: int) -> Plan:
    """Return the Enterprise plan with small quotas of a day, and a reach of three days."""
    limits = {
        name: evolve(
            row, reach=REACH_DAYS * DAY, per_day=per_day.get(name.removeprefix("call/"), row.per_day)
        )
        for name, row in ENTERPRISE.limits.items()
    }
    return evolve(ENTERPRISE, limits=limits)


# ---- the plan of the spending


@pytest.mark.parametrize("seed", range(20))
def test_spending_plan_keeps_99_percent_of_the_optimum(seed):
    rng = random.Random(seed)
    pieces = [
        Piece(cost=rng.randint(1, 8), value=rng.choice([1.0, 1.0, 3.0, 10.0]), first=0, last=rng.randrange(5))
        for _ in range(400)
    ]
    jobs = [
        Job(
            requests={"metrics": piece.cost, "sessions": 1},
            value=piece.value,
            expires_at=MIDNIGHT + (piece.last - 1) * DAY + 12 * HOUR,
        )
        for piece in pieces
    ]
    quotas = {"metrics": DailyQuota(today=150, later=150), "sessions": DailyQuota(today=500, later=500)}
    spending = plan_spending(jobs, quotas, midnight=MIDNIGHT)
    assert sorted([*spending.kept, *spending.lost]) == list(range(len(jobs)))
    for day in range(5):
        assert sum(pieces[place].cost for place in spending.kept if pieces[place].last <= day) <= 150 * (
            day + 1
        )
    saved = sum(pieces[place].value for place in spending.kept)
    assert saved >= 0.99 * most_value_exactly(pieces, 150)


def test_bound_of_the_optimum_is_the_optimum_for_calls_of_equal_cost():
    for seed in range(20):
        rng = random.Random(seed)
        pieces = [Piece(1, float(rng.randint(1, 9)), 0, rng.randrange(3)) for _ in range(60)]
        assert most_value(pieces, 10, 3) == most_value_exactly(pieces, 10)


# ---- harvests over several days


def backlog_and_new_calls(seed: int, *, a_day: int, days: int, users: Sequence[int]):
    """Return calls at noon of the three days before midnight and of `days - 3` later ones, and their values."""
    rng = random.Random(seed)
    calls, values = [], {}
    for day, number in product(range(-REACH_DAYS, days - REACH_DAYS), range(a_day)):
        begins = NOON + day * DAY + number
        calls.append(make_call(f"{day}-{number:03}", begins, begins + 900, users=rng.choice(users)))
        values[calls[-1].call_id] = rng.choice([1.0, 2.0, 5.0, 20.0])
    rng.shuffle(calls)
    return calls, values


def pieces_of(calls, values: Mapping[str, float], cost) -> list[Piece]:
    """Return the calls for the optimum. A call is listed the day after it, and expires at noon three days after it."""
    pieces = []
    for call in calls:
        day = (call.created_ts - MIDNIGHT) // DAY
        pieces.append(Piece(cost(call), values[call.call_id], max(0, day + 1), day + REACH_DAYS))
    return pieces


@pytest.mark.parametrize(
    ("seed", "a_day", "users"),
    [(1, 25, [2]), slow(2, 40, [2]), slow(3, 40, [2, 30, 50]), slow(4, 50, [2, 30, 50])],
)
def test_harvests_of_several_days_save_99_percent_of_the_value(tmp_path, seed, a_day, users):
    days, per_day = 6, a_day * 3 // 5 * max(1, len(users) * 2 // 3)
    calls, values = backlog_and_new_calls(seed, a_day=a_day, days=days, users=users)
    world = World(calls, timing=SampleTiming(interval=900))
    harness = make_harness(
        world, tmp_path / "store", now=MIDNIGHT + HOUR, plan=small_plan(sessions=per_day, metrics=per_day)
    )
    ledger, lost = MemoryLedger(), 0
    for day in range(days + 1):
        now = MIDNIGHT + HOUR + day * DAY
        harness.clock.step(now - harness.clock.now())
        report = harness.harvest(
            since=now - 4 * DAY, until=now, ledger=ledger, value=lambda call: values[call.call_id]
        )
        assert report.lost >= lost
        lost = report.lost

    stored = [row[0] for row in harness.tables.sql("select call_id from calls").fetchall()]
    saved = World([call for call in calls if call.call_id in stored], timing=SampleTiming(interval=900))
    assert contents(harness.tables) == truth(saved, harness.clock.now())
    assert len(stored) + lost == len(calls)
    assert lost > 0
    pieces = pieces_of(calls, values, lambda call: -(-len(call.sessions) // 20))
    best = most_value(pieces, per_day, days + 1)
    assert sum(values[call_id] for call_id in stored) >= 0.99 * best


def test_quota_that_sessions_and_metrics_share_pays_for_half_as_many_calls(tmp_path):
    harness = backlog(30, tmp_path)
    shared = {"shared_budget": True}
    assert cost_of(harness, settings=shared).lost == 15
    assert cost_of(harness).lost == 0


# ---- what the estimate and the report say


def backlog(per_day: int, folder):
    """Return a harness whose quota saves some of 60 calls, which expire at noon of three days."""
    calls, _ = backlog_and_new_calls(7, a_day=20, days=REACH_DAYS, users=[2])
    world = World(calls, timing=SampleTiming(interval=900))
    plan = small_plan(sessions=per_day, metrics=per_day)
    return make_harness(world, folder / "store", now=MIDNIGHT + HOUR, plan=plan)


def cost_of(harness, *, settings=None, **options):
    async def job(client):
        since = MIDNIGHT - REACH_DAYS * DAY
        return await estimate(client, since=since, until=MIDNIGHT, store=harness.store, **options)

    return harness.run(job, ledger=MemoryLedger(), **(settings or {}))


def test_estimate_says_how_many_calls_will_be_lost(tmp_path):
    """Each day's quota pays for 15 calls; 20 expire on each of the three days."""
    harness = backlog(15, tmp_path)
    cost = cost_of(harness)
    assert (cost.enough, cost.lost, cost.lost_value) == (False, 15, pytest.approx(15 / 60))
    more = cost_of(harness, reserve=5)
    assert (more.lost, more.quotas["call/metrics"].left) == (30, 10)
    enough = cost_of(backlog(60, tmp_path))
    assert (enough.enough, enough.lost) == (True, 0)


def test_estimate_of_listed_windows_counts_the_calls_of_the_other_pages(tmp_path):
    """250 calls begin in one window, and the quotas of three days pay for 60 of them."""
    calls = [make_call(f"c{i}", NOON - DAY + i, NOON - DAY + 900 + i) for i in range(250)]
    world = World(calls, timing=SampleTiming(interval=900))
    plan = small_plan(sessions=20, metrics=20)
    harness = make_harness(world, tmp_path / "store", now=MIDNIGHT + HOUR, plan=plan)
    assert cost_of(harness).lost == pytest.approx(250 - 60, abs=3)


def test_report_says_what_will_be_lost_and_what_was(tmp_path):
    harness, ledger = backlog(15, tmp_path), MemoryLedger()
    since = MIDNIGHT - REACH_DAYS * DAY
    first = harness.harvest(since=since, until=MIDNIGHT, ledger=ledger)
    assert (first.calls, first.left, first.expiring, first.lost) == (15, 45, 15, 0)
    harness.clock.step(DAY)
    second = harness.harvest(since=since + DAY, until=MIDNIGHT, ledger=ledger)
    assert (second.calls, second.left, second.expiring, second.lost) == (15, 25, 10, 5)


def test_calls_of_equal_value_are_fetched_before_they_expire(tmp_path):
    harness = backlog(20, tmp_path)
    assert harness.harvest(since=MIDNIGHT - REACH_DAYS * DAY, until=MIDNIGHT).expiring == 0
    days = harness.tables.sql("select distinct split_part(call_id, '-', 2) from calls").fetchall()
    assert days == [("3",)]


@pytest.mark.parametrize(("value", "largest"), [("calls", False), ("users", True)])
def test_named_rules_decide_what_is_fetched(tmp_path, value, largest):
    """A call of 30 users takes two metrics requests and is worth 30 times as much as one of one user, or the same."""
    begins = NOON - 3 * DAY
    small = [make_call(f"small-{i}", begins + i, begins + 900 + i) for i in range(10)]
    large = [make_call(f"large-{i}", begins + i, begins + 900 + i, users=30) for i in range(5)]
    world = World([*small, *large], timing=SampleTiming(interval=900))
    harness = make_harness(
        world, tmp_path / "store", now=MIDNIGHT + HOUR, plan=small_plan(sessions=100, metrics=10)
    )
    harness.harvest(since=begins - HOUR, until=MIDNIGHT, value=value)
    stored = {row[0] for row in harness.tables.sql("select call_id from calls").fetchall()}
    assert stored == {call.call_id for call in (large if largest else small)}


# ---- requests for others


@pytest.mark.parametrize(
    "make_ledger", [lambda _: MemoryLedger(), lambda path: SqliteLedger(path / "ledger")]
)
def test_reserve_leaves_requests_to_others_and_counts_theirs(tmp_path, make_ledger):
    harness, ledger = backlog(20, tmp_path), make_ledger(tmp_path)
    call = harness.world.calls[0]

    async def on_call(client):
        """Send three requests that differ, because identical ones are sent once."""
        for second in range(3):
            await client.sessions(call.call_id, call.created_ts, call.destroyed_ts - second).collect()

    harness.run(on_call, ledger=ledger)
    report = harness.harvest(since=MIDNIGHT - REACH_DAYS * DAY, until=MIDNIGHT, ledger=ledger, reserve=8)
    assert (report.requests["call/sessions"], report.requests["call/metrics"]) == (20 - 8 - 3, 9)
    assert report.retry_at == MIDNIGHT + DAY
    harness.run(on_call, ledger=ledger)
    assert harness.refusals == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reserve": -1}, "reserve=-1 is not a number of requests"),
        ({"reserve": 20}, "reserve=20 leaves nothing of the 20 requests a day"),
        ({"value": "size"}, "value='size' is not a rule; use calls, users, minutes"),
    ],
)
def test_bad_options_are_refused_before_a_request_is_sent(tmp_path, options, message):
    harness = backlog(20, tmp_path)
    with pytest.raises(InvalidRequest, match=message):
        harness.harvest(**options)
    with pytest.raises(InvalidRequest, match=message):
        cost_of(harness, **options)
    assert harness.requests == {}


@pytest.mark.parametrize("worth", [-1, float("nan"), float("inf"), "much", None])
def test_value_that_is_not_a_number_is_refused(tmp_path, worth):
    harness = backlog(20, tmp_path)
    with pytest.raises(InvalidRequest, match="value= returned"):
        harness.harvest(since=MIDNIGHT - DAY, until=MIDNIGHT, value=lambda _: worth)
