"""Small worlds with few samples, and their harvests."""

from pathlib import Path
from typing import Any

from agora_analytics.simulator import CallTruth, World
from agora_analytics.simulator.ground_truth.series import SampleTiming
from tests.harvest.harness import SINCE, UNTIL, HarvestHarness, make_call, make_harness, truth

HOUR = 3600
DAYS = ("2026-11-18", "2026-11-19")
_FEW_SAMPLES = SampleTiming(interval=60, gap_share=0, null_share=0, max_series=3)


def world_of(*calls: CallTruth) -> World:
    return World(calls, timing=_FEW_SAMPLES)


TWO_DAYS = world_of(
    make_call("first", SINCE + HOUR, SINCE + 2 * HOUR, users=3),
    make_call("second", SINCE + 2 * HOUR, SINCE + 3 * HOUR, users=2),
    make_call("late", SINCE + 4 * HOUR, SINCE + 5 * HOUR),
    make_call("midnight", UNTIL - HOUR, UNTIL + HOUR, users=2),
    make_call("tomorrow", UNTIL + 2 * HOUR, UNTIL + 3 * HOUR, users=2),
)
ONGOING = world_of(make_call("ongoing", SINCE + HOUR, SINCE + 9 * HOUR, users=4, stay=3 * HOUR))


def harness_at(store: Path, hour: float, world: World = TWO_DAYS) -> HarvestHarness:
    """Return a harness whose time is some hours after the beginning of the first day."""
    return make_harness(world, store, now=SINCE + hour * HOUR)


def harvest(store: Path, since: float = 0, until: float = 27, *, now: float = 30, **world: Any) -> None:
    """Harvest from some hours until others after the beginning; by default all, when it is over."""
    report = harness_at(store, now, **world).harvest(since=SINCE + since * HOUR, until=SINCE + until * HOUR)
    assert report.complete


def expected_counts(world: World) -> dict[str, int]:
    """Return the number of rows of each table when everything is over."""
    totals = truth(world, UNTIL + 24 * HOUR)
    return {"calls": totals["calls"], "sessions": totals["sessions"], "metrics": totals["points"]}
