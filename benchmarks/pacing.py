"""How near to the rate limit requests are sent, and whether it is ever exceeded, as the server counts.

    python -m benchmarks.pacing [--virtual-only | --sockets-only] [--seconds 30] [--seeds 3] [--runs 5] [--json]

On virtual time, each request has a way there and a way back from a seeded source, and the server model counts it on its
own clock (`tests/pacing`). Over sockets, the server is a process of its own, and so is each client; the table has the
medians of some runs, and the load average of the machine.

`fixed` is the most in a UTC second of the server, `any` the most in any second, `used` the share of the limit that was
used after the first 3 s. `!` marks more than the limit in the windows that the server counts.
"""

import argparse
import json
import os
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier

from attrs import asdict, evolve, frozen

from benchmarks._limiters import LIMITERS
from benchmarks._sockets import counts_over_sockets
from benchmarks.measure import print_table
from tests.pacing.counts import Counts
from tests.pacing.harness import pace, pace_with
from tests.pacing.scenarios import CLOCKS, COLD, DISTURBED, JITTER, STEPS, WAYS, Scenario

SINCE = 3.0
EXCUSED = 1.0
PROCESSES = (1, 2, 3)


@frozen
class Row:
    """What the server counted in some runs: the most, and the least or the median used.

    `after` is `fixed` without the second after a step of the server's clock.
    """

    scenario: str
    limiter: str
    limit: int
    sliding: bool
    fixed: int
    after: int
    any: int
    refused: int
    used: float
    load: float

    @property
    def is_exceeded(self) -> bool:
        return (self.any if self.sliding else self.after) > self.limit


def row(scenario: Scenario, limiter: str, runs: Sequence[Counts], *, median: bool = False) -> Row:
    used = [counts.utilisation(SINCE) for counts in runs]
    return Row(
        scenario=scenario.name,
        limiter=limiter,
        limit=scenario.requests,
        sliding=scenario.sliding,
        fixed=max(counts.most_in_fixed() for counts in runs),
        after=max(counts.most_in_fixed(excused=EXCUSED) for counts in runs),
        any=max(counts.most_in_any() for counts in runs),
        refused=max(counts.refused for counts in runs),
        used=statistics.median(used) if median else min(used),
        load=os.getloadavg()[0],
    )


def clients_of(name: str, clients: int) -> str:
    return name if clients == 1 else f"{name}, {clients} clients"


def jitter(seconds: float, seeds: int) -> Iterator[Row]:
    """Each latency and rate; this library with both kinds of windows, then its peers."""
    for fixed in JITTER:
        for kind, scenario in {"fixed": fixed, "sliding": evolve(fixed, sliding=True)}.items():
            for clients in PROCESSES:
                runs = [pace(scenario, seconds=seconds, clients=clients, seed=seed) for seed in range(seeds)]
                yield row(scenario, clients_of(f"this library, {kind}", clients), runs)
        for name, limiter in LIMITERS.items():
            peers = [pace_with(limiter, fixed, seconds=seconds, seed=seed) for seed in range(seeds)]
            yield row(fixed, name, peers)


def disturbed(seconds: float, seeds: int) -> Iterator[Row]:
    """Clocks that differ, clocks that are set, new connections, and what else happens; fixed windows."""
    for scenario in [*CLOCKS, *STEPS, *COLD, *DISTURBED]:
        for clients in (1, 2):
            runs = [pace(scenario, seconds=seconds, clients=clients, seed=seed) for seed in range(seeds)]
            yield row(scenario, clients_of("this library", clients), runs)


def over_sockets(seconds: float, runs: int) -> Iterator[Row]:
    """One, two and three processes at both rates, all at the same time, each with a server of its own; fixed windows."""
    for ways in ("0 to 20 ms", "10 to 40 ms", "0 to 100 ms"):
        scenarios = [each for each in JITTER if each.ways == WAYS[ways]]
        cases = list(product(scenarios, PROCESSES))
        found = [
            at_the_same_time(cases, seconds=seconds, ahead=0.37 * number + 0.1) for number in range(runs)
        ]
        for (scenario, processes), counts in zip(cases, zip(*found, strict=True), strict=True):
            name = "this library, 1 process" if processes == 1 else f"this library, {processes} processes"
            yield row(scenario, name, counts, median=True)


def at_the_same_time(cases: Sequence[tuple[Scenario, int]], *, seconds: float, ahead: float) -> list[Counts]:
    begin = Barrier(len(cases))

    def run(case: tuple[Scenario, int]) -> Counts:
        scenario, processes = case
        return counts_over_sockets(
            scenario, seconds=seconds, processes=processes, ahead=ahead, windows="fixed", begin=begin
        )

    with ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(run, cases))


def show(title: str, rows: list[Row]) -> None:
    cells = [
        [
            each.scenario,
            each.limiter,
            str(each.fixed) + (f" ({each.after})" if each.after != each.fixed else ""),
            str(each.any),
            str(each.refused),
            f"{each.used:.3f}" + (" !" if each.is_exceeded else "  "),
            f"{each.load:.1f}",
        ]
        for each in rows
    ]
    print_table(title, ["limit, condition", "limiter", "fixed", "any", "refused", "used", "load"], cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--virtual-only", action="store_true", help="no sockets")
    parser.add_argument("--sockets-only", action="store_true", help="no virtual time")
    parser.add_argument("--seconds", type=float, default=30, help="of each run on virtual time")
    parser.add_argument("--seeds", type=int, default=3, help="how often, on virtual time; the worst counts")
    parser.add_argument("--socket-seconds", type=float, default=12, help="of each run over sockets")
    parser.add_argument("--runs", type=int, default=5, help="how often, over sockets; the median counts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    tables: dict[str, Iterator[Row]] = {}
    if not options.sockets_only:
        title = f"{options.seconds:g} s of traffic on virtual time, the worst of {options.seeds}"
        tables[title] = jitter(options.seconds, options.seeds)
        title = f"other conditions, fixed windows, the worst of {options.seeds} (without 1 s after a step)"
        tables[title] = disturbed(options.seconds, options.seeds)
    if not options.virtual_only:
        title = f"real sockets, {options.socket_seconds:g} s, fixed windows, the median of {options.runs}"
        tables[title] = over_sockets(options.socket_seconds, options.runs)
    found = {}
    for title, table in tables.items():
        found[title] = list(table)
        if not options.json:
            show(title, found[title])
    if options.json:
        print(json.dumps({title: [asdict(each) for each in rows] for title, rows in found.items()}, indent=1))


if __name__ == "__main__":
    main()
