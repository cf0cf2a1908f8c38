"""Workers that are killed with SIGKILL while they harvest: others take their passes over, and nothing is lost."""

import random
import time

import pytest

from tests.fleet.failures.workers import Supervisor

pytestmark = pytest.mark.fleet

KILLS = 5
STALLED = 30.0
"""Seconds without a heartbeat after which a pass is taken over, as `Timing` has it."""


def kill(site, machine):
    """Kill the worker of a machine; return the time and its passes."""
    pid, accounts = machine.pid, site.passes_of(machine)
    at = machine.kill()
    return at, dict.fromkeys(accounts, pid)


def taken_over(site, at, passes):
    """Wait until all passes of a killed worker have begun again; return the seconds that it took for each."""

    def all_begun():
        return all(site.queue.taken_over(name, pid) for name, pid in passes.items())

    site.queue.wait_until(all_begun, "taken over")
    return [site.queue.taken_over(name, pid).begun_at - at for name, pid in passes.items()]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_five_killed_workers_lose_no_rows_and_few_requests(site, concurrency):
    """Six accounts of 10 requests a second on three machines, whose supervisor starts a killed worker again."""
    site = site(6, calls=200)
    rng = random.Random(15)
    machines = [site.machine("--concurrency", str(concurrency)) for _ in range(3)]
    kills, seconds = [], []
    with Supervisor(machines):
        for number in range(KILLS):
            # later kills are closer to the end, but each meets passes that run
            site.wait_for_requests((number + rng.uniform(0.2, 0.8)) / (KILLS + 1))
            site.queue.wait_until(lambda: any(map(site.passes_of, machines)), "a pass runs")
            kills.append(kill(site, rng.choice([each for each in machines if site.passes_of(each)])))
        for at, passes in kills:
            seconds += taken_over(site, at, passes)
        site.wait_for_all()
    figures = ", ".join(f"{each:.1f}" for each in sorted(seconds))
    site.check(
        f"{KILLS} kills, up to {concurrency} passes each: {len(seconds)} taken over after {figures} s",
        most_extra=5 * len(seconds),
    )
    assert [code for each in machines for code, _ in each.exits] == [-9] * KILLS


def test_two_workers_killed_together(site):
    site = site(4, calls=100)
    machines = [site.machine("--concurrency", "2") for _ in range(3)]
    for machine in machines[:2]:
        machine.start()
    site.wait_for_requests(0.25)
    kills = [kill(site, machine) for machine in machines[:2]]
    machines[2].start()
    seconds = [each for at, passes in kills for each in taken_over(site, at, passes)]
    site.wait_for_all()
    site.check(f"both killed: taken over after {max(seconds):.1f} s", most_extra=5 * len(seconds))


def test_all_workers_killed_and_started_again_later(site):
    """No worker is left to take the passes over: the first one that starts after 30 s does it at once."""
    site = site(2, calls=100)
    machine = site.machine()
    machine.start()
    site.wait_for_requests(0.25)
    at, passes = kill(site, machine)
    assert len(passes) == 2
    site.queue.wait_until(lambda: time.time() > at + STALLED, "the heartbeat is too old")
    assert set(site.queue.running().values()) == set(passes.values())
    machine.start()
    seconds = taken_over(site, at, passes)
    site.wait_for_all()
    site.check(f"all killed: taken over after {max(seconds):.1f} s", most_extra=5 * len(seconds))
