"""Fuzzes a store: `python -m tests.fuzz.store --seconds 300 --seed 1`.

Files of a harvested store are cut, flipped, emptied or removed. The next harvest must end with a report or a typed error;
after a report without an error, the store holds every row, or the report names what it does not hold.
"""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen

from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.harvest import HarvestReport
from agora_analytics.simulator import World
from agora_analytics.store import open_store
from tests.harvest import test_damaged_store as interrupted
from tests.harvest.harness import SINCE, UNTIL, make_harness, simple_world

TOTALS = (
    "select count(*) from calls",
    "select count(*) from sessions",
    "select count(*), sum(value), sum(epoch(ts)::bigint)::bigint from metrics",
)


@frozen(kw_only=True, eq=False)
class Scenario:
    """A harvested store: `fill` makes it, and the next harvest, at `now`, finds work for `since` to `until`."""

    world: World
    fill: Callable[[Path], None]
    since: float
    until: float
    now: float

    def harvest(self, store: Path, *, verify: bool) -> HarvestReport:
        harness = make_harness(self.world, store, now=self.now)
        return harness.harvest(since=self.since, until=self.until, verify=verify)


def _fill_half_a_day(store: Path) -> None:
    make_harness(HALF_A_DAY.world, store, now=UNTIL - 40_000).harvest(until=UNTIL - 40_000)


HALF_A_DAY = Scenario(
    world=simple_world(8, interval=300), fill=_fill_half_a_day, since=SINCE, until=UNTIL, now=UNTIL + 3600
)
INTERRUPTED = Scenario(
    world=interrupted.WORLD,
    fill=interrupted.harvested,
    since=SINCE,
    until=UNTIL + 26 * 3600,
    now=UNTIL + 26 * 3600,
)
"""A compacted day, a snapshot of an ongoing call, pending units, an unfinished listing."""
SCENARIOS = (HALF_A_DAY, INTERRUPTED)


def damage(store: Path, dice: Random) -> list[str]:
    """Damage one to three files, and return what was done."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    done = []
    for path in dice.sample(files, min(len(files), dice.choice((1, 1, 2, 3)))):
        content = path.read_bytes()
        how = dice.choice(("flip", "cut", "empty", "remove", "zeros"))
        if how == "remove":
            path.unlink()
        elif how == "flip" and content:
            position = dice.randrange(len(content))
            path.write_bytes(content[:position] + bytes([dice.randrange(256)]) + content[position + 1 :])
        else:
            kept = dice.randrange(len(content) + 1) if how == "cut" else 0
            path.write_bytes(content[:kept] + (bytes(len(content) - kept) if how == "zeros" else b""))
        done.append(f"{how} {path.relative_to(store)}")
    return done


def check(scenario: Scenario, original: Path, folder: Path, seed: str) -> tuple[str, Any]:
    """Damage a copy of a store, harvest again, and return the outcome and what led to it.

    `whole`: every row is stored. `healed`: the report, or a typed error, names what is not, and the next run stores it.
    `named`: the next run, which follows the advice of an error, does not store it either. `SILENT`: nothing names what is missing.
    """
    dice = Random(seed)
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(original, store)
    history: list[Any] = [damage(store, dice)]
    truth = scenario.world.totals(scenario.now, server_users=True)
    expected = [(truth.calls,), (truth.sessions,), (truth.points, truth.value_sum, truth.ts_sum)]
    named = verify = False
    for run in range(2):
        try:
            report = scenario.harvest(store, verify=verify)
            stored = [open_store(store).sql(query).fetchall()[0] for query in TOTALS]
        except AgoraAnalyticsError as error:
            named = True
            verify = "--verify" in str(error)  # what the error advises
            if "replace its content" in str(error):
                (store / "_store.json").write_text('{"format": 3}')
            history.append(f"{type(error).__name__}: {error}")
            continue
        named = named or bool(report.damaged or report.unreadable or report.skipped)
        if stored == expected:
            return "healed" if run else "whole", history
        history.append((stored, expected, report))
        if not named:
            return "SILENT", history
    return "named", history


def main() -> None:
    """Fuzz until the time is up; print each outcome but `whole` once for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes = Counter[str]()
    ends, number = time.monotonic() + arguments.seconds, 0
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as copied:
        originals = [Path(made, str(number)) for number in range(len(SCENARIOS))]
        for scenario, original in zip(SCENARIOS, originals, strict=True):
            scenario.fill(original)
        while time.monotonic() < ends:
            seed = f"{arguments.seed}/{number}"
            which = number % len(SCENARIOS)
            number += 1
            try:
                outcome, detail = check(SCENARIOS[which], originals[which], Path(copied), seed)
            except Exception as error:  # noqa: BLE001 - it is what the fuzzer looks for
                outcome, detail = f"UNTYPED {type(error).__name__}", str(error)[:200]
            outcomes[outcome] += 1
            if outcome not in {"whole", "healed"} and outcomes[outcome] <= 20:
                print(f"seed {seed!r}: {outcome}: {detail}"[:1000], flush=True)
    print(f"{number} damaged stores: {dict(outcomes)}")


if __name__ == "__main__":
    main()
