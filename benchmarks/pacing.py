"""How near to the rate limit requests are sent, and whether it is ever exceeded, as the server counts.

    python -m benchmarks.pacing [--virtual-only | --sockets-only] [--seconds 60] [--seeds 3] [--json]

On virtual time, each request has a way there and a way back from a seeded source, and the server model counts it on its
own clock (`tests/pacing`). Over sockets, the server is a process of its own, and so is each client.

`fixed` is the most in a UTC second of the server, `any` the most in any second, `used` the share of the limit that was
used after the first 3 s. `!` marks more than the limit in the windows that the server counts.
"""

import argparse
import json
from collections.abc import Callable, Iterator

from attrs import asdict, evolve, frozen

from benchmarks._limiters import LIMITERS
from benchmarks.measure import print_table
from tests.pacing.harness import pace, pace_with
from tests.pacing.scenarios import CLOCKS, COLD, DISTURBED, JITTER, STEPS, Scenario
from tests.pacing.server import ServerModel

SINCE = 3.0
EXCUSED = 1.0


@frozen
class Row:
    """What a server counted: the worst of some seeds. `after` is `fixed` without the second after a step of the clock."""

    scenario: str
    limiter: str
    limit: int
    sliding: bool
    fixed: int
    after: int
    any: int
    refused: int
    used: float

    @property
    def is_exceeded(self) -> bool:
        return (self.any if self.sliding else self.after) > self.limit


def row(scenario: Scenario, limiter: str, servers: list[ServerModel]) -> Row:
    return Row(
        scenario=scenario.name,
        limiter=limiter,
        limit=scenario.requests,
        sliding=scenario.sliding,
        fixed=max(server.most_in_fixed() for server in servers),
        after=max(server.most_in_fixed(excused=EXCUSED) for server in servers),
        any=max(server.most_in_any() for server in servers),
        refused=max(server.refused for server in servers),
        used=min(server.utilisation(SINCE) for server in servers),
    )


def jitter(seconds: float, seeds: int) -> Iterator[Row]:
    """Each latency and rate; this library with both kinds of windows, then its peers."""
    for fixed in JITTER:
        for kind, scenario in {"fixed": fixed, "sliding": evolve(fixed, sliding=True)}.items():
            for clients in (1, 2, 3):
                name = f"this library, {kind}" + (f", {clients} clients" if clients > 1 else "")
                yield row(
                    scenario,
                    name,
                    [pace(scenario, seconds=seconds, clients=clients, seed=seed) for seed in range(seeds)],
                )
        for name, limiter in LIMITERS.items():
            yield row(
                fixed,
                name,
                [pace_with(limiter, fixed, seconds=seconds, seed=seed) for seed in range(seeds)],
            )


def disturbed(seconds: float, seeds: int) -> Iterator[Row]:
    """Clocks that differ, clocks that are set, new connections, and what else happens; fixed windows."""
    for scenario in [*CLOCKS, *STEPS, *COLD, *DISTURBED]:
        for clients, name in {1: "this library", 2: "this library, 2 clients"}.items():
            yield row(
                scenario,
                name,
                [pace(scenario, seconds=seconds, clients=clients, seed=seed) for seed in range(seeds)],
            )


def show(title: str, rows: list[Row]) -> None:
    cells = [
        [
            each.scenario,
            each.limiter,
            str(each.fixed) + (f" ({each.after})" if each.after != each.fixed else ""),
            str(each.any),
            str(each.refused),
            f"{each.used:.3f}" + (" !" if each.is_exceeded else "  "),
        ]
        for each in rows
    ]
    print_table(title, ["limit, condition", "limiter", "fixed", "any", "refused", "used"], cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--virtual-only", action="store_true", help="no sockets")
    parser.add_argument("--seconds", type=float, default=60, help="of each run on virtual time")
    parser.add_argument("--seeds", type=int, default=3, help="the worst of so many runs is shown")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    tables: dict[str, Callable[[float, int], Iterator[Row]]] = {
        f"{options.seconds:g} s of traffic on virtual time, worst of {options.seeds}": jitter,
        f"other conditions, fixed windows, worst of {options.seeds} (without 1 s after a step)": disturbed,
    }
    found = {title: list(table(options.seconds, options.seeds)) for title, table in tables.items()}
    if options.json:
        print(json.dumps({title: [asdict(each) for each in rows] for title, rows in found.items()}, indent=1))
        return
    for title, rows in found.items():
        show(title, rows)


if __name__ == "__main__":
    main()
