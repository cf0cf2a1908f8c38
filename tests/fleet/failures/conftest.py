"""The fixture of these tests: simulated accounts, a queue, and machines on which workers run."""

import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import define, field

from agora_analytics.agora.plans import PLANS
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.fleet.failures.queue_tables import QueueTables
from tests.fleet.failures.stalls import Stalls
from tests.fleet.failures.workers import COMMAND, Machine, environment
from tests.fleet.harness import Fleet, agora_entry, make_fleet, rows, truth, write_config
from tests.harvest.harness import fewest_requests
from tests.services.fixtures import needs

LATENCY = (0.02, 0.08)
SINCE = 'since = "12h"'  # one time range of the call list


@define(eq=False)
class Site:
    """A fleet that runs.

    Attributes:
        names: its accounts.
        url: the address of their simulators.
        fleet: their simulators.
        queue: the tables of its queue.
        folder: the configuration file, the store and the logs.
        span: the longest time range of a request in seconds.
        environment: of a worker.
        stalls: how long the system has delayed the process of the simulators.
        machines: those that `machine` has returned.
    """

    names: list[str]
    url: str
    fleet: Fleet
    queue: QueueTables
    folder: Path
    span: int
    environment: dict[str, str]
    stalls: Stalls
    machines: list[Machine] = field(factory=list)

    def machine(self, *options: str, **variables: str) -> Machine:
        """Return a machine without a process. `variables` are added to its environment."""
        log_file = self.folder / f"machine-{len(self.machines)}.log"
        self.machines.append(Machine(self.environment | variables, log_file, options))
        return self.machines[-1]

    @property
    def requests(self) -> int:
        """How many requests the simulator has received."""
        return self.fleet.agora.seen.requests.total()

    @property
    def fewest(self) -> Counter[str]:
        """How many requests to each endpoint the calls of all accounts need at least."""
        worlds = self.fleet.worlds.values()
        return sum((Counter(fewest_requests(world, self.span)) for world in worlds), Counter())

    @property
    def extra(self) -> Counter[str]:
        """The requests to each endpoint beyond the fewest."""
        return self.fleet.agora.seen.requests - self.fewest

    @property
    def worst_second(self) -> int:
        """The most requests of an account to an endpoint in a second of the UTC clock."""
        return max(self.fleet.agora.rate_windows.worst.values(), default=0)

    def wait_for_requests(self, share: float) -> None:
        """Wait until the simulator has received this share of the requests that are needed."""
        number = int(share * self.fewest.total())
        self.queue.wait_until(lambda: self.requests >= number, f"{number} requests")

    def passes_of(self, machine: Machine) -> list[str]:
        """Return the accounts that the process of a machine harvests now."""
        return [name for name, pid in self.queue.running().items() if pid == machine.pid]

    def wait_for_all(self) -> None:
        """Wait until a pass over each account is complete."""
        self.queue.wait_until(lambda: self.queue.are_complete(self.names), "all accounts are complete")

    def quiet(self, since: float, until: float) -> float:
        """Return the longest time without a request between two times, in seconds."""
        arrivals = sorted(at for each in self.fleet.agora.seen.arrivals.values() for at in each)
        times = [since, *(at for at in arrivals if since < at < until), until]
        return max(later - earlier for earlier, later in pairwise(times))

    def check(self, figures: str, *, most_extra: float) -> None:
        """Print the figures of a test, and check that the store has the true rows.

        Unless other programs keep the machine busy, also check that no request was refused, and that at most so many
        were sent beyond the fewest. On a busy machine, a request may leave so late that it arrives in the next second,
        and more of them are in progress when a worker ends.
        """
        now = time.time()
        expected = {f"app-{name}": truth(world, now) for name, world in self.fleet.worlds.items()}
        stored = rows(open_store(self.folder / "calls.store"))
        points = sum(each.get("points", 0) for each in stored.values())
        print(
            f"\n{figures}\n  rows {points:,} {'=' if stored == expected else '!='} truth, refused {self.fleet.refused}, "
            f"most in a UTC second {self.worst_second}, requests {self.requests:,}, "
            f"extra {self.extra.total()} {dict(self.extra)}, longest stall {self.stalls.longest:.2f} s, load {self.stalls.load:.1f}"
        )
        assert stored == expected
        if not self.stalls.busy:
            assert self.fleet.refused == {}
            assert self.extra.total() <= most_extra


@pytest.fixture
def site(postgres, tmp_path):
    """Start simulators and a queue: `site(6, calls=200)` returns a `Site` with six accounts."""
    needs("procrastinate", "queue", "agora-analytics[fleet]")
    with ExitStack() as stack:

        def start(accounts, *, calls, plan="enterprise"):
            names = [f"client{number}" for number in range(accounts)]
            fleet = make_fleet(names, int(time.time()) - 7200, calls=calls, latency=LATENCY)
            fleet.agora.plan = PLANS[plan]
            url = stack.enter_context(serve_in_thread(fleet.simulator))
            lines = [f'plan = "{plan}"', SINCE]
            config = write_config(tmp_path, url, *(agora_entry(name, *lines) for name in names))
            variables = environment(postgres.dsn, config)
            subprocess.run([*COMMAND, "fleet", "init"], env=variables, check=True, capture_output=True)
            queue = stack.enter_context(QueueTables(postgres.dsn))
            stalls = stack.enter_context(Stalls())
            span = int(PLANS[plan].limits["call/metrics"].span)
            started = Site(names, url, fleet, queue, tmp_path, span, variables, stalls)
            stack.callback(lambda: [each.close() for each in started.machines])
            return started

        yield start
