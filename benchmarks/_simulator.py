"""The simulated Agora in a process of its own, for `benchmarks.harvest`.

    python -m benchmarks._simulator CALLS SINCE UNTIL SHARE_OF_FAULTS

It prints its URL. When its input ends, it prints what it has seen.
"""

import json
import os
import sys
from contextlib import suppress

from agora_analytics.simulator import Faults, Simulator, World, serve_in_thread
from tests.harvest.harness import LATENCY


def world(calls: int, since: int, until: int) -> World:
    """Return the calls of the benchmark."""
    return World.generate(seed=17, since=since, until=until, calls=calls, simple=True, interval=30)


def main(calls: int, since: int, until: int, share: float) -> None:
    with suppress(PermissionError):  # the vendor's servers do not share a machine with the client
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    faults = Faults(share=share, seed=2) if share else None
    simulator = Simulator(world(calls, since, until), "enterprise", latency=LATENCY, faults=faults)
    with serve_in_thread(simulator) as url:
        print(url, flush=True)
        sys.stdin.read()
    seen = simulator.seen
    print(
        json.dumps(
            {
                "arrivals": seen.arrivals,
                "refused": sum(n for (_, message), n in seen.refused.items() if "limit" in message),
                "faults": seen.faults.total(),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), float(sys.argv[4]))
