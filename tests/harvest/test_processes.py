"""Harvests in processes of their own, over real sockets: killed, concurrent, and measured."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agora_analytics.simulator import Simulator, World, serve_in_thread
from agora_analytics.store import open_store
from tests.harvest.harness import LATENCY, contents, fewest_requests, truth
from tests.harvest.harvest_process import plan

NOW = int(time.time())
SINCE, UNTIL = NOW - 2 * 86_400, NOW - 86_400
PER_SECOND = 10
PROGRAM = Path(__file__).with_name("harvest_process.py")


def world_of(calls: int, **knobs) -> World:
    return World.generate(
        seed=17, since=SINCE, until=UNTIL, calls=calls, simple=True, **({"interval": 30} | knobs)
    )


def start(url: str, store: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), url, str(store), str(SINCE), str(UNTIL), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def result(process: subprocess.Popen[str], timeout: float = 120) -> dict:
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return json.loads(out)


def refused_or_over(simulator: Simulator) -> dict[str, int]:
    """Return violations of the limits in fixed windows of the server's clock, and refusals.

    A busy machine may deliver a request late, in the next window. The window before has one request less then, so the two
    together are within their limits; the server may refuse the late request. Sliding windows are not checked: a process may
    be delayed by more than any margin.
    """
    over, late = {}, 0
    for name in simulator.plan.limits:
        windows = Counter(int(ts) for ts in simulator.seen.arrivals[name])
        for window, count in windows.items():
            if count > PER_SECOND and count + windows[window - 1] > 2 * PER_SECOND:
                over[name] = count
            late += max(count - PER_SECOND, 0)
    refused = {text: n for (_, text), n in simulator.seen.refused.items()}
    return over | (refused if sum(refused.values()) > late else {})


@pytest.mark.slow
def test_harvest_killed_twenty_times_ends_with_the_same_rows(tmp_path):
    world, kills, rng = world_of(200), 20, random.Random(1)
    simulator = Simulator(world, "enterprise", latency=LATENCY)
    with serve_in_thread(simulator) as url:
        for _ in range(kills):
            process = start(url, tmp_path / "store", "--ledger", str(tmp_path / "ledger"))
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.05, 1.4))  # the lifetime of the process
            process.kill()
            process.communicate()
        ended = result(start(url, tmp_path / "store", "--ledger", str(tmp_path / "ledger")))

    assert ended["complete"]
    assert contents(open_store(tmp_path / "store")) == truth(world, NOW)
    extra = simulator.seen.requests.total() - sum(fewest_requests(world).values())
    assert extra <= 5 * kills
    assert not refused_or_over(simulator)


@pytest.mark.slow
def test_two_harvests_with_one_ledger_share_rate_and_daily_quota(tmp_path):
    simulator = Simulator(world_of(60), plan(10, 90), latency=LATENCY)
    options = ("--ledger", str(tmp_path / "ledger"), "--per-day", "90")
    with serve_in_thread(simulator) as url:
        both = [start(url, tmp_path / name, *options) for name in ("one", "two")]
        ended = [result(process) for process in both]

    assert not refused_or_over(simulator)
    for endpoint in ("call/sessions", "call/metrics"):
        assert simulator.seen.requests[endpoint] == 90
    assert not all(report["complete"] for report in ended)
    assert simulator.seen.worst_window("call/sessions") >= 8  # together they use the rate limit


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_points(tmp_path):
    def measure(calls: int) -> dict:
        world = world_of(calls, session_range=(20, 20), minutes=15, sigma=0.01, full_stay=True, interval=8)
        with serve_in_thread(Simulator(world, plan(40, 10_000))) as url:
            return result(start(url, tmp_path / str(calls), "--per-second", "40"))

    small, large = measure(25), measure(250)  # both have the same number of requests in flight

    assert small["points"] > 900_000
    assert large["points"] > 10_000_000
    # 25 million points take as much as 10 million: the compaction of a day uses memory up to the limit of DuckDB, which one
    # million points do not reach. On a busy machine the harvest itself needs the most.
    assert large["peak_kb"] <= 1.8 * small["peak_kb"]
