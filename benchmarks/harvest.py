"""Measures harvests over real HTTP at the Enterprise plan's rate limits, against the theoretical minimum.

    python -m benchmarks.harvest [--calls 300] [--faults 0.05] [--load 6] [--runs 5] [--json]

The simulator and the harvest are processes of their own. The minimum is calculated: the fewest requests that the API
allows for the simulated calls, and those of the slowest endpoint divided by its rate limit. `--load N` keeps N more
processes busy during the harvests.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agora_analytics.agora.plans import CALL_METRICS, ENTERPRISE
from agora_analytics.store import open_store
from benchmarks._simulator import world
from benchmarks._sockets import program
from benchmarks.measure import print_table
from tests.harvest.harness import contents, fewest_requests, truth
from tests.harvest.test_processes import NOW, SINCE, UNTIL, result, start
from tests.pacing.counts import Arrival, Counts, ServerClock

LONGEST = 1200.0


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep some processes busy during the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def counts_of(arrivals: list[float], requests: int) -> Counts:
    begun = arrivals[0]
    return Counts(
        time=ServerClock(start=begun),
        requests=requests,
        arrivals=[Arrival(at - begun, at, refused=False) for at in arrivals],
    )


def used_of_span(counts: Counts) -> float:
    """Return the share of the limit that was used from the first to the last request."""
    first, *_, last = counts.arrivals
    return (len(counts.arrivals) - 1) / counts.requests / (last.true - first.true)


def harvested(calls: int, share_of_faults: float) -> dict[str, Any]:
    """Harvest once, and return the figures."""
    folder = Path(tempfile.mkdtemp())
    try:
        with program("_simulator", calls, SINCE, UNTIL, share_of_faults) as simulator:
            ended = result(start(simulator.stdout.readline().strip(), folder / "store"), timeout=LONGEST)
            load = os.getloadavg()[0]
            seen = json.loads(simulator.communicate(timeout=60)[0])
        simulated = world(calls, SINCE, UNTIL)
        equal = contents(open_store(folder / "store")) == truth(simulated, NOW)
    finally:
        shutil.rmtree(folder)
    limits = ENTERPRISE.limits[CALL_METRICS]
    fewest = fewest_requests(simulated)
    busiest = max(fewest, key=lambda name: fewest[name])
    counts = {name: counts_of(seen["arrivals"][name], limits.requests) for name in fewest}
    bound = fewest[busiest] / limits.requests
    return {
        "rows equal the truth": equal,
        "refused by the server": seen["refused"],
        "most in one UTC second": max(each.most_in_fixed() for each in counts.values()),
        "most in any second": max(each.most_in_any() for each in counts.values()),
        "faults": seen["faults"],
        "requests / fewest": max(len(seen["arrivals"][name]) / fewest[name] for name in fewest),
        "used by the busiest endpoint": used_of_span(counts[busiest]),
        "used by the other endpoints": max(
            used_of_span(each) for name, each in counts.items() if name not in (busiest, "call/lists")
        ),
        "seconds": ended["seconds"],
        "seconds / pace's bound": ended["seconds"] / bound,
        "peak MB": ended["peak_kb"] / 1024,
        "load": load,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--faults", type=float, default=0.0, help="share of the responses")
    parser.add_argument("--load", type=int, default=0, help="busy processes during the harvests")
    parser.add_argument("--runs", type=int, default=1, help="harvests, one after the other")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with busy(options.load):
        runs = [harvested(options.calls, options.faults) for _ in range(options.runs)]
    if options.json:
        print(json.dumps(runs))
        return
    rows = [
        [name, *(shown(run[name]) for run in runs), shown(statistics.median(run[name] for run in runs))]
        for name in runs[0]
    ]
    header = ["", *(f"run {number}" for number in range(1, len(runs) + 1)), "median"]
    print_table(f"{options.calls} calls, {options.load} busy processes", header, rows)


def shown(figure: float) -> str:
    return f"{figure:.3f}" if isinstance(figure, float) and not figure.is_integer() else f"{figure:g}"


if __name__ == "__main__":
    main()
