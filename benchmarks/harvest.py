"""Measures a harvest over real HTTP at the Enterprise plan's rate limits, against the theoretical minimum.

    python -m benchmarks.harvest [--calls 2000] [--faults 0.05] [--json]

The simulator runs in this process, the harvest in another one. The minimum is calculated: the fewest requests that the
API allows for the simulated calls, and those of the slowest endpoint divided by its rate limit.
"""

import argparse
import json
import tempfile
from pathlib import Path

from agora_analytics.simulator import Faults, Simulator, serve_in_thread
from agora_analytics.store import open_store
from tests.harvest.harness import LATENCY, contents, fewest_requests, truth
from tests.harvest.test_processes import NOW, result, start, world_of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    world = world_of(options.calls)
    faults = Faults(share=options.faults, seed=2) if options.faults else None
    simulator = Simulator(world, "enterprise", latency=LATENCY, faults=faults)
    folder = Path(tempfile.mkdtemp())
    with serve_in_thread(simulator) as url:
        ended = result(start(url, folder / "store"), timeout=1200)
    fewest = fewest_requests(world)
    bound = max(fewest.values()) / simulator.plan.limits["call/metrics"].requests
    figures = {
        "calls": ended["calls"],
        "points": ended["points"],
        "rows equal the truth": contents(open_store(folder / "store")) == truth(world, NOW),
        "refused by the server": simulator.seen.refused.total(),
        "most in one second": max(simulator.seen.worst_window(name) for name in fewest),
        "most in any second": max(simulator.seen.worst_sliding(name) for name in fewest),
        "faults": simulator.seen.faults.total(),
        "requests / fewest": {name: simulator.seen.requests[name] / fewest[name] for name in fewest},
        "seconds": ended["seconds"],
        "seconds / pace's bound": ended["seconds"] / bound,
        "peak MB": ended["peak_kb"] / 1024,
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
