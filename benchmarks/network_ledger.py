"""How much of the limit several machines use together with a ledger on a server, and how evenly.

    python -m benchmarks.network_ledger [--seconds 10] [--json]

Each process has clocks that are two seconds from those of the next one, and reaches the ledger over a proxy that adds the
round trip. A server in a process of its own counts. `fixed` is the most in a second of the server, `used` the share of the
limit after the first 3 s, `shares` the least and the most that a process sent, relative to an even share, `1 slot` the
share of the limit if a round trip reserves one slot. `!` marks more than the limit.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence

from attrs import asdict, frozen

from benchmarks._sockets import program, start
from benchmarks.measure import print_table
from tests.pacing.counts import Arrival, Counts, ServerClock
from tests.services.fixtures import installed_redis
from tests.services.postgres import Postgres, installations
from tests.services.proxy import Proxy
from tests.services.redis_server import Redis

WAYS = (0.002, 0.012)
CASES = [(100, 0.0), (100, 0.02), (10, 0.0), (10, 0.1)]
"""Requests a second, and the round trip to the ledger in seconds."""
PROCESSES = (1, 3)
WORKERS = 16
LONGEST = 60.0


@frozen
class Row:
    """What the server counted in one run."""

    ledger: str
    limit: int
    round_trip: float
    processes: int
    used: float
    one_slot: float
    fixed: int
    refused: int
    least_share: float
    most_share: float
    load: float


def run(
    address: str, requests: int, processes: int, seconds: float, slots: Sequence[int] = ()
) -> tuple[Counts, list[int]]:
    """Send for some seconds from some processes. Return what the server counted, and what each process sent."""
    ahead = 0.37
    with program("_counting_server", requests, *WAYS, ahead) as server:
        port = int(server.stdout.readline())
        common = f"http://127.0.0.1:{port}", requests, WORKERS, address
        clients = [start("_network_ledger_client", *common, 2.0 * i, *slots) for i in range(processes)]
        try:
            for client in clients:
                assert client.stdout.readline() == "ready\n"
            for client in clients:
                client.stdin.write("go\n")
                client.stdin.flush()
            time.sleep(seconds)
            sent = [int(client.communicate("stop\n", timeout=LONGEST)[0]) for client in clients]
        finally:
            for client in clients:
                client.kill()
        found, _ = server.communicate(timeout=LONGEST)
    arrivals = json.loads(found)
    begun = arrivals[0][0]
    counted = [Arrival(true - begun, at, refused) for true, at, refused in arrivals]
    return Counts(time=ServerClock(start=begun, ahead=ahead), requests=requests, arrivals=counted), sent


def rows(seconds: float) -> list[Row]:
    """Run all cases, one at a time."""
    found = []
    postgres, redis = Postgres(installations()[0]), Redis(installed_redis())
    for name, server in {"PostgreSQL": postgres, "Redis": redis}.items():
        server.open()
        try:
            for number, (requests, round_trip) in enumerate(CASES):
                proxy = Proxy(server.port, round_trip / 2)
                for processes in PROCESSES:
                    database = f"d{number}{processes}"
                    if server is postgres:
                        server.execute(f"CREATE DATABASE {database}")
                        address = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
                    else:
                        server.flush()
                        address = server.url_at(proxy.port)
                    counts, sent = run(address, requests, processes, seconds)
                    single, _ = run(address, requests, processes, seconds, [1])
                    even = sum(sent) / processes
                    found.append(
                        Row(
                            ledger=name,
                            limit=requests,
                            round_trip=round_trip,
                            processes=processes,
                            used=counts.utilisation(3.0),
                            one_slot=single.utilisation(3.0),
                            fixed=max(counts.most_in_fixed(), single.most_in_fixed()),
                            refused=counts.refused + single.refused,
                            least_share=min(sent) / even,
                            most_share=max(sent) / even,
                            load=os.getloadavg()[0],
                        )
                    )
                proxy.close()
        finally:
            server.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = rows(options.seconds)
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
        return
    print_table(
        "Several machines, one contract: a ledger on a server",
        (
            "ledger",
            "limit",
            "round trip",
            "processes",
            "used",
            "1 slot",
            "fixed",
            "refused",
            "shares",
            "load",
        ),
        [
            (
                row.ledger,
                f"{row.limit}/s",
                f"{row.round_trip * 1000:.0f} ms",
                str(row.processes),
                f"{row.used:.3f}",
                f"{row.one_slot:.3f}",
                f"{row.fixed}{'!' if row.fixed > row.limit else ''}",
                str(row.refused),
                f"{row.least_share:.2f} to {row.most_share:.2f}",
                f"{row.load:.1f}",
            )
            for row in found
        ],
    )


if __name__ == "__main__":
    main()
