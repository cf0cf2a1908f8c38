"""Runs one world: a simulated project, a machine, and everything that happens on it at the same time."""

import asyncio
import contextvars
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from attrs import define, field, frozen

from agora_analytics.agora import listings
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.engine.ledger import Ledger, MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.harvest import HarvestReport
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Simulator, World
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.testing import VirtualClock
from tests.worlds import actors, invariants
from tests.worlds.machine import MachineClock, simulated_machine
from tests.worlds.network import Network
from tests.worlds.process import Kill, Killed, Process
from tests.worlds.scheduler import DoesNotEnd, WorldLoop
from tests.worlds.secrets_seen import watch_logs
from tests.worlds.settings import WorldSettings

((_CUSTOMER, _SECRET),) = DEMO_CREDENTIALS.items()


@frozen
class Violation:
    """A broken invariant: its name, and what was found."""

    invariant: str
    found: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.found}"


@define
class Result:
    """The outcome of a world: its violations, how many steps it took, and the last `trace_lines` of them."""

    settings: WorldSettings
    violations: list[Violation]
    steps: int
    trace_lines: int
    trace: list[str] = field(repr=False)


_LAST_KNOWN: dict[str, Callable[[float], int]] = {
    "now": int,
    "joined": lambda now: int(now) - 300,
    "zero": lambda _: 0,
}


class SmallPages(AsyncAgora):
    """The client, with pages of a few records: `page_size` is that of the world."""

    page_size = 100

    def calls(self, *args: Any, **options: Any) -> Any:
        """See `AsyncAgora.calls`."""
        return super().calls(*args, **{"page_size": self.page_size} | options)

    def sessions(self, *args: Any, **options: Any) -> Any:
        """See `AsyncAgora.sessions`."""
        return super().sessions(*args, **{"page_size": self.page_size} | options)


@define
class RenameCount:
    """Counts the files that all processes rename, so that something else can start in the middle of a commit."""

    count: int = 0
    _waiting: list[tuple[int, asyncio.Event]] = field(factory=list)

    def add(self) -> None:
        """Count a rename that is about to happen."""
        self.count += 1
        for renames, event in self._waiting:
            if renames <= self.count:
                event.set()

    async def reached(self, renames: int) -> None:
        """Wait until so many files were renamed, or until there are no more renames."""
        event = asyncio.Event()
        self._waiting.append((renames, event))
        if renames > self.count:
            await event.wait()

    def end(self) -> None:
        """Wake everything that waits: the harvests are done."""
        for _, event in self._waiting:
            event.set()


@define
class Running:
    """A world while it runs. The invariants look at it at its end.

    Attributes:
        folder: has the store, the ledger and nothing else.
        renames: how many files all processes have renamed.
        seen_secrets: where a secret was seen.
        endings: of each process, its name and the report, the error or `Killed` with which it ended.
        networks: of each process, by its name.
        broken: violations that were found while it ran.
        account: the account in the ledger.
        python_threads: how many threads this process had before.
    """

    settings: WorldSettings
    folder: Path
    loop: WorldLoop
    true_time: VirtualClock
    clock: MachineClock
    world: World
    simulator: Simulator
    renames: RenameCount = field(factory=RenameCount)
    seen_secrets: list[str] = field(factory=list)
    endings: list[tuple[str, Any]] = field(factory=list)
    networks: dict[str, Network] = field(factory=dict)
    kills: list[tuple[Process, float]] = field(factory=list)
    broken: list[Violation] = field(factory=list)
    account: str = ""
    python_threads: int = field(factory=threading.active_count)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    @property
    def settled_at(self) -> float:
        """When every call has ended and can be fetched, even if the clock is wrong (UTC epoch seconds)."""
        return self.settings.until + 10_000

    @property
    def reports(self) -> list[HarvestReport]:
        """The reports of the harvests that ended."""
        return [ending for _, ending in self.endings if isinstance(ending, HarvestReport)]

    def break_invariant(self, invariant: str, found: str) -> None:
        """Record a violation."""
        self.loop.note("world", f"{invariant}: {found}")
        self.broken.append(Violation(invariant, found))

    async def run_process(
        self, name: str, kill_at: Kill | None, work: Callable[[SmallPages], Awaitable[Any]]
    ) -> Any:
        """Run `work(client)` in a process of its own; return its result, its error, or the `Killed` that ended it."""
        process = Process(name, kill_at, on_rename=self.renames.add)
        context = contextvars.copy_context()
        context.run(Process.current.set, process)
        task = context.run(self.loop.create_task, self._with_client(process, work))
        await asyncio.wait([task])
        ending = _ending_of(task)
        if process.killed:
            ending = Killed()
            self.kills.append((process, self.loop.time()))
        elif left := [task.get_coro().__qualname__ for task in process.tasks]:
            self.break_invariant("tasks", f"{name} ended and left {', '.join(left)}")
        self.endings.append((name, ending))
        self.loop.note(name, f"ended: {type(ending).__name__}")
        return ending

    async def _with_client(self, process: Process, work: Callable[[SmallPages], Awaitable[Any]]) -> Any:
        network = self.networks[process.name] = Network(self.simulator.app, self.loop, process)
        ledger = self.open_ledger(process)
        client = SmallPages(
            _CUSTOMER,
            _SECRET,
            app_id=DEMO_APP_ID,
            plan=self.settings.plan,
            base_url="http://127.0.0.1:1",
            transport=network,
            clock=self.clock,
            ledger=ledger,
        )
        self.account = client._engine._account
        client.page_size = self.settings.page_size
        try:
            async with client:
                return await work(client)
        finally:
            await ledger.aclose()

    def open_ledger(self, process: Process | None = None) -> Ledger:
        """Return the ledger of a process, which is closed if that is killed."""
        if not self.settings.shared_ledger:
            return MemoryLedger()
        ledger = SqliteLedger(self.folder / "ledger.sqlite3")
        if process is not None:
            process.at_kill.append(ledger._file.discard)
        return ledger

    async def run(self) -> None:
        """Run everything at the same time, until all harvests are done and every task has ended."""
        settings, dice = self.settings, Random(f"actors of {self.settings.seed}")
        jobs = [
            self._harvest(),
            *(actors.compact(self, f"compact {n}", *when) for n, when in enumerate(settings.compactions)),
            *(actors.read(self, n, renames) for n, renames in enumerate(settings.readers)),
            *(actors.look_up(self, n, Random(dice.random())) for n in range(settings.lookups)),
            *(actors.set_clock(self, *step) for step in settings.clock_steps),
        ]
        if settings.web_requests:
            jobs.append(actors.serve(self, Random(dice.random())))
        await asyncio.gather(*jobs)
        me = {asyncio.current_task()}
        while others := asyncio.all_tasks() - me:  # of killed processes, and of the server
            await asyncio.wait(others)

    async def _harvest(self) -> None:
        harvests = range(self.settings.harvests)
        await asyncio.gather(*(actors.harvest_until_done(self, number) for number in harvests))
        self.renames.end()


def _ending_of(task: "asyncio.Task[Any]") -> Any:
    if task.cancelled():
        return Killed()
    return task.exception() or task.result()


def run_world(
    seed: int, folder: Path, *, trace_lines: int = 0, settings: WorldSettings | None = None
) -> Result:
    """Run one world in a new folder, which is removed at the end.

    Args:
        seed: decides everything.
        folder: does not exist; on a RAM disk a world takes half of the time.
        trace_lines: how many of the last steps the result has.
        settings: others than the seed's, for a reduction.
    """
    settings = settings or WorldSettings.draw(seed)
    chance = Random(f"chance of {seed}")
    true_time = VirtualClock(settings.start)
    clock = MachineClock(true_time, settings.ahead)
    world = World(settings.calls, timing=SampleTiming(settings.interval, 0.02, 0.01, 40))
    simulator = Simulator(
        world,
        settings.plan,
        now=true_time.now,
        latency=settings.latency,
        faults=settings.faults,
        dirt=settings.dirt,
        last_known=_LAST_KNOWN[settings.last_known],
    )
    simulator._latencies = Random(f"latencies of {seed}")
    folder.mkdir()
    loop = WorldLoop(Random(f"steps of {seed}"), slow_share=settings.slow_share, trace_lines=trace_lines)
    true_time.follow(loop)
    running = Running(settings, folder, loop, true_time, clock, world, simulator)
    try:
        with (
            simulated_machine(running.store, clock, chance),
            mock.patch.object(listings, "MAX_SIDS", settings.sids_in_a_request),
            watch_logs(running.seen_secrets),
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            try:
                runner.run(running.run())
            except DoesNotEnd as error:
                running.break_invariant("ends", str(error))
                trace = list(loop.trace)
                loop.steps = 0  # for the cancellation of all tasks
            else:
                trace = list(loop.trace)  # without the steps of the checks
                runner.run(invariants.check(running))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Result(settings, running.broken, loop.steps, trace_lines, trace)
