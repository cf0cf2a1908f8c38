"""Fuzzes a store: `python -m tests.fuzz.store --seconds 300 --seed 1`.

Files of a harvested store are cut, flipped, emptied or removed. The next harvest must end with a report or a typed error;
after a report without an error, the store holds every row, or the report names what it does not hold.
"""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.store import open_store
from tests.harvest.harness import UNTIL, make_harness, simple_world

TOTALS = (
    "select count(*) from calls",
    "select count(*) from sessions",
    "select count(*), sum(value) from metrics",
)
WORLD = simple_world(8, interval=300)


def harvested(folder: Path) -> Path:
    """Harvest half a day, and a whole day with a part of it unfinished, so that every kind of file exists."""
    store = folder / "store"
    harness = make_harness(WORLD, store, now=UNTIL - 40_000)
    harness.harvest(until=UNTIL - 40_000)
    return store


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


def check(original: Path, folder: Path, seed: str) -> tuple[str, Any]:
    """Damage a copy of a store, harvest again, and return the outcome and what led to it.

    `whole`: every row is stored. `healed`: the report, or a typed error, names what is not, and the next run stores it.
    `named`: the next run, which follows the advice of an error, does not store it either. `SILENT`: nothing names what is missing.
    """
    dice = Random(seed)
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(original, store)
    history: list[Any] = [damage(store, dice)]
    truth = WORLD.totals(server_users=True)
    expected = [(truth.calls,), (truth.sessions,), (truth.points, truth.value_sum)]
    named = verify = False
    for run in range(2):
        try:
            report = make_harness(WORLD, store, now=UNTIL + 3600).harvest(verify=verify)
            stored = [open_store(store).sql(query).rows()[0] for query in TOTALS]
        except AgoraAnalyticsError as error:
            named = True
            verify = "--verify" in str(error)  # what the error advises
            if "replace its content" in str(error):
                (store / "_store.json").write_text('{"format": 2}')
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
        original = harvested(Path(made))
        while time.monotonic() < ends:
            seed = f"{arguments.seed}/{number}"
            number += 1
            try:
                outcome, detail = check(original, Path(copied), seed)
            except Exception as error:  # noqa: BLE001 - it is what the fuzzer looks for
                outcome, detail = f"UNTYPED {type(error).__name__}", str(error)[:200]
            outcomes[outcome] += 1
            if outcome not in {"whole", "healed"} and outcomes[outcome] <= 20:
                print(f"seed {seed!r}: {outcome}: {detail}"[:1000], flush=True)
    print(f"{number} damaged stores: {dict(outcomes)}")


if __name__ == "__main__":
    main()
