"""Compares many accounts in one process with one account, at the same total pace and for the same number of calls.

    python -m benchmarks.accounts [--accounts 50] [--calls 200] [--pace 25] [--runs 3]

The simulator and each harvest are processes of their own. Memory is the peak of the resident size of the process that
harvests. The bar: 50 accounts need at most 1.3 times the memory of one.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE, PLANS, Plan
from benchmarks.measure import Spread, print_table
from tests.fleet.harness import SECRET, SECRETS, agora_entry, rows, truth, write_config

HOUR = 3600
MANY, ONE = "many", "one"


def paced(name: str, requests: int, period: float) -> Plan:
    """Return the Enterprise plan with another rate."""
    limits = {
        endpoint: evolve(limits, requests=requests, period=period, per_day=1_000_000)
        for endpoint, limits in ENTERPRISE.limits.items()
        if endpoint.startswith("call/")
    }
    return Plan(name=name, limits=limits)


def plan_of(accounts: int, pace: int) -> Plan:
    """Return the plan of each account, so that all of them together send `pace` requests a second."""
    return paced(ONE, pace, 1.0) if accounts == 1 else paced(MANY, 1, accounts / pace)


def names_of(accounts: int) -> list[str]:
    return [f"client{number:03d}" for number in range(accounts)]


def worlds_of(accounts: int, calls: int, until: int):
    from agora_analytics.simulator import World

    return {
        name: World.generate(
            seed=17,
            app_id=f"app-{name}",
            since=until - 12 * HOUR,
            until=until,
            calls=calls // accounts,
            simple=True,
        )
        for name in names_of(accounts)
    }


def serve(accounts: int, calls: int, until: int, pace: int) -> None:
    from agora_analytics.simulator import Simulator, serve_in_thread

    with suppress(PermissionError):  # the vendor's servers do not share a machine with the client
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    credentials = {f"customer-{name}": SECRET for name in names_of(accounts)}
    simulator = Simulator(
        worlds_of(accounts, calls, until).values(),
        plan_of(accounts, pace),
        credentials=credentials,
        latency=(0.02, 0.08),
    )
    with serve_in_thread(simulator) as url:
        print(url, flush=True)
        sys.stdin.read()
    seen = simulator.seen
    print(json.dumps({"requests": seen.requests.total(), "refused": seen.refused.total()}))


def peak() -> float:
    """Return the largest resident size so far in megabytes."""
    if sys.platform == "linux":  # getrusage also remembers the process that started this one
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def harvest(folder: str, url: str, accounts: int, pace: int, concurrent: int) -> None:
    from agora_analytics import harvest_accounts

    plan = plan_of(accounts, pace)
    PLANS[plan.name] = plan  # type: ignore[index]
    os.environ |= SECRETS | {"AGORA_LEDGER": "memory"}
    entries = [agora_entry(name, f'plan = "{plan.name}"') for name in names_of(accounts)]
    config = write_config(Path(folder), url, *entries)
    before, started = peak(), time.perf_counter()
    reports = asyncio.run(harvest_accounts(config=config, durable=False, max_concurrent=concurrent))
    seconds = time.perf_counter() - started
    assert all(report.complete for report in reports.values()), [report.error for report in reports.values()]
    print(json.dumps({"peak": peak(), "before": before, "seconds": seconds, "cpu": time.process_time()}))


def run(accounts: int, calls: int, pace: int, concurrent: int) -> dict[str, float]:
    """Harvest once; return the figures. Asserts that the rows are the truth."""
    from agora_analytics.store import open_store

    until = int(time.time()) - 2 * HOUR
    program = [sys.executable, "-m", "benchmarks.accounts"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*program, "--serve", *map(str, (accounts, calls, until, pace))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        arguments = (folder, url, accounts, pace, concurrent)
        done = subprocess.run(
            [*program, "--harvest", *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        server.stdin.close()
        seen = json.loads(server.stdout.read())
        now = time.time()
        worlds = worlds_of(accounts, calls, until)
        assert rows(open_store(Path(folder) / "calls.store")) == {
            f"app-{name}": truth(world, now) for name, world in worlds.items()
        }
    return json.loads(done.stdout) | seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--pace", type=int, default=25, help="requests a second of all accounts together")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    many = arguments.accounts
    variants = {
        "1 account": (1, 1),
        f"{many} accounts, all at once": (many, many),
        f"{many} accounts, 8 at once": (many, 8),
    }
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(arguments.runs):
        for name, (accounts, concurrent) in variants.items():
            figures[name].append(run(accounts, arguments.calls, arguments.pace, concurrent))
    one = figures["1 account"]
    table = []
    for name, runs in figures.items():
        ratios = [each["peak"] / base["peak"] for each, base in zip(runs, one, strict=True)]
        grown = [
            (each["peak"] - each["before"]) / (base["peak"] - base["before"])
            for each, base in zip(runs, one, strict=True)
        ]
        table.append(
            (
                name,
                f"{Spread.of([each['peak'] for each in runs]).median:.0f} MB",
                str(Spread.of(ratios)),
                str(Spread.of(grown)),
                f"{Spread.of([each['cpu'] for each in runs]).median:.1f} s",
                f"{Spread.of([each['seconds'] for each in runs]).median:.0f} s",
                f"{Spread.of([each['requests'] for each in runs]).median:.0f}",
                f"{sum(each['refused'] for each in runs):.0f}",
            )
        )
    title = f"{arguments.calls} calls at {arguments.pace} requests a second in total; ratios to one account"
    header = ("", "peak memory", "ratio", "growth, ratio", "CPU", "time", "requests", "refused")
    print_table(title, header, table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", *numbers]:
            serve(*map(int, numbers))
        case ["--harvest", folder, url, *numbers]:
            harvest(folder, url, *map(int, numbers))
        case _:
            main()
