"""When the day's quota is spent, a harvest stops cleanly, and goes on the next day."""

from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.engine.ledger import MemoryLedger, SqliteLedger
from agora_analytics.harvest import estimate
from agora_analytics.simulator import Beat, World
from tests.harvest.stage import SINCE, UNTIL, Stage, broken_limits, contents, room, simple_world, truth


def small_day(per_day: int, *names: str):
    """The Enterprise plan with a small day, of all endpoints or of those named, so that a test can spend it."""
    small = {
        name: evolve(ENTERPRISE.limits[name], per_day=per_day) for name in names or tuple(ENTERPRISE.limits)
    }
    return evolve(ENTERPRISE, limits={**ENTERPRISE.limits, **small})


def test_a_spent_day_stops_the_harvest_and_the_next_day_completes_it(tmp_path):
    world = simple_world(100)
    stage = Stage.of(world, tmp_path / "store", plan=small_day(60))
    ledger = SqliteLedger(tmp_path / "ledger")

    first = stage.harvest(ledger=ledger)
    counts = stage.tables.counts()
    again = stage.harvest(ledger=ledger)
    stage.clock.step(first.retry_at - stage.clock.now() + 1)
    second = stage.harvest(ledger=ledger)

    assert not first.complete
    assert first.retry_at == UNTIL + 86_400
    assert (first.calls, first.left) == (counts["calls"], 100 - counts["calls"])
    assert counts["calls"] >= 55
    assert (again.calls, again.requests) == (0, {})
    assert second.complete
    assert contents(stage.tables) == truth(world, UNTIL)
    assert not broken_limits(stage.simulator)


def test_calls_that_are_known_are_visited_when_the_quota_of_the_listing_is_spent(tmp_path):
    finished = [room(f"c{i:02d}", UNTIL - 3_000, UNTIL - 1_500) for i in range(40)]
    world = World([*finished, room("long", UNTIL - 5_000, UNTIL + 5_000)], beat=Beat(interval=60))
    ledger = MemoryLedger()
    few_sessions = Stage.of(
        world, tmp_path / "store", at=UNTIL + 60, plan=small_day(10, "call/sessions", "call/metrics")
    )
    few_lists = Stage.of(world, tmp_path / "store", at=UNTIL + 1_000, plan=small_day(1, "call/lists"))

    first = few_sessions.harvest(ledger=ledger)
    second = few_lists.harvest(ledger=ledger)

    assert (first.requests["call/lists"], first.calls + first.left) == (1, 41)
    assert (second.calls, second.left, second.listing_left) == (first.left, 0, True)
    assert second.retry_at == UNTIL + 86_400
    assert "call/lists" not in second.requests


def test_a_server_that_closes_the_day_earlier_than_the_ledger_is_believed(tmp_path):
    world = simple_world(50)
    stage = Stage.of(world, tmp_path / "store", plan=small_day(30))

    report = stage.harvest(plan="enterprise")  # the client thinks that it has 10,000

    assert report.retry_at == UNTIL + 86_400
    assert report.left == 50 - report.calls > 0
    # one refusal for each request that was under way, and none after them
    assert stage.simulator.seen.refused.total() <= 20


def test_an_estimate_tells_the_cost_of_what_is_left(tmp_path):
    world = simple_world(150)
    stage = Stage.of(world, tmp_path / "store")

    async def cost(client):
        return await estimate(client, since=SINCE, until=UNTIL, store=stage.store)

    before = stage.run(cost)
    stage.harvest()
    after = stage.run(cost)

    assert before.calls == 150
    assert before.requests == {"call/lists": 2, "call/sessions": 150, "call/metrics": 150}
    assert before.enough
    assert 15 <= before.seconds < 16
    assert (after.calls, after.known, after.seconds) == (0, 150, 0.0)
