"""Paces clients over real sockets: the server and each client are processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

from tests.pacing.counts import Arrival, Counts, ServerClock
from tests.pacing.scenarios import Scenario

WORKERS = 64
LONGEST = 60.0


def counts_over_sockets(
    scenario: Scenario, *, seconds: float, processes: int, ahead: float, windows: str, begin: Barrier
) -> Counts:
    """Send for some seconds from some processes, which share a ledger in a file if they are several.

    `begin` is the barrier of the runs that take place at the same time: starting processes would delay those of another.
    """
    share = int(seconds * scenario.requests / processes)
    with (
        TemporaryDirectory() as folder,
        program("_counting_server", scenario.requests, *scenario.ways, ahead) as server,
    ):
        port = int(server.stdout.readline())
        ledger = [Path(folder, "ledger")] if processes > 1 else []
        command = f"http://127.0.0.1:{port}", scenario.requests, share, WORKERS // processes, windows, *ledger
        clients = [start("_paced_client", *command) for _ in range(processes)]
        try:
            for client in clients:
                assert client.stdout.readline() == "ready\n"
            begin.wait(LONGEST)
            for client in clients:
                client.stdin.write("go\n")
                client.stdin.flush()
            for client in clients:
                client.communicate(timeout=2 * seconds + LONGEST)
        finally:
            for client in clients:
                client.kill()
        found, _ = server.communicate(timeout=LONGEST)
    arrivals = json.loads(found)
    begun = arrivals[0][0]
    return Counts(
        time=ServerClock(start=begun, ahead=ahead),
        requests=scenario.requests,
        arrivals=[Arrival(true - begun, at, refused) for true, at, refused in arrivals],
    )


def start(name: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program of the benchmarks with pipes to it."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def program(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program of the benchmarks during the block."""
    with start(name, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()
