"""Tests of the scheduler, the processes and the disk of the worlds."""

import asyncio
import contextvars
import threading
from random import Random

import pytest

from agora_analytics.testing import VirtualClock
from tests.worlds.machine import MachineClock, simulated_machine
from tests.worlds.process import Kill, Killed, Process
from tests.worlds.scheduler import DoesNotEnd, Lock, WorldLoop, pause


def run(main, *, seed=0, trace_lines=0, **options):
    loop = WorldLoop(Random(seed), trace_lines=trace_lines, **options)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


async def start(process, coroutine):
    """Start a coroutine in a process, and return its task."""
    context = contextvars.copy_context()
    context.run(Process.current.set, process)
    return context.run(asyncio.get_running_loop().create_task, coroutine)


def test_ready_tasks_run_in_every_order():
    async def main():
        order = []

        async def job(name):
            order.append(name)

        await asyncio.gather(*map(job, "abc"))
        return "".join(order)

    assert {run(main, seed=seed) for seed in range(60)} == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_callbacks_keep_their_order():
    async def main():
        order = []
        loop = asyncio.get_running_loop()
        for name in "abc":
            loop.call_soon(order.append, name)
        await asyncio.sleep(1)
        return "".join(order)

    assert {run(main, seed=seed) for seed in range(20)} == {"abc"}


def test_slow_task_runs_after_others():
    async def main():
        order = []

        async def job(name):
            for _ in range(5):
                await asyncio.sleep(0)
            order.append(name)

        await asyncio.gather(*map(job, range(8)))
        return order

    def spread(share):
        return sum(run(main, seed=seed, slow_share=share) != sorted(range(8)) for seed in range(20))

    assert spread(0.3) == 20


def test_time_passes_only_if_nothing_is_ready():
    async def main():
        async def busy():
            for _ in range(100):
                await asyncio.sleep(0)
            return asyncio.get_running_loop().time()

        task = asyncio.create_task(busy())
        await asyncio.sleep(5)
        return await task

    assert run(main) < 0.1


def test_deadlock_is_an_error():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DoesNotEnd, match="every task waits"):
        run(main)


def test_threads_run_between_two_operations_of_a_thread():
    async def main():
        order = []

        def work(name):
            for step in range(3):
                order.append(f"{name}{step}")
                pause()

        await asyncio.gather(asyncio.to_thread(work, "a"), asyncio.to_thread(work, "b"))
        return order

    orders = {tuple(run(main, seed=seed)) for seed in range(30)}
    assert len(orders) > 5
    assert all([step for step in order if step[0] == "a"] == ["a0", "a1", "a2"] for order in orders)


def test_error_of_a_thread_reaches_the_task():
    def work():
        pause()
        raise OSError("full")

    async def main():
        with pytest.raises(OSError, match="full"):
            await asyncio.to_thread(work)

    run(main)


@pytest.mark.parametrize("reentrant", [False, True])
def test_lock_excludes_other_threads(reentrant):
    async def main():
        lock, inside = Lock(reentrant=reentrant), []

        def work():
            with lock:
                inside.append(threading.get_ident())
                pause()
                if reentrant:
                    with lock:
                        pause()
                assert len(inside) == 1
                inside.pop()

        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))

    for seed in range(20):
        run(main, seed=seed)


def test_killed_process_ends_at_any_step():
    """No statement after the kill has an effect, except that `finally` blocks release what the system would."""

    async def main():
        reached = []
        process = Process("p", kill_at=Kill(4))

        async def work():
            try:
                for number in range(10):
                    reached.append(number)
                    await asyncio.sleep(0)
            finally:
                reached.append("released")

        task = await start(process, work())
        await asyncio.wait([task])
        assert task.cancelled()
        return reached

    assert run(main) == [0, 1, 2, "released"]


def test_killed_process_starts_no_thread_and_no_task():
    async def main():
        process = Process("p", kill_at=Kill(2))
        errors = []

        async def work():
            try:
                await asyncio.sleep(1)
            finally:
                for start_more in (
                    lambda: asyncio.to_thread(print),
                    lambda: asyncio.create_task(asyncio.sleep(0)),
                ):
                    try:
                        await start_more()
                    except Killed as error:
                        errors.append(error)

        await asyncio.wait([await start(process, work())])
        return len(errors)

    assert run(main) == 2


@pytest.mark.parametrize("kill_at", [1, 2, 3, 4, 5, 6])
def test_kill_during_a_file_operation_leaves_it_undone(tmp_path, kill_at):
    """A killed process has done a prefix of its operations, and never a later one."""
    clock = MachineClock(VirtualClock(0), 0)

    def work():
        for number in range(4):
            (tmp_path / str(number)).mkdir()

    async def main():
        process = Process("p", kill_at=Kill(kill_at))
        task = await start(process, asyncio.to_thread(work))
        await asyncio.wait([task])

    with simulated_machine(tmp_path, clock, Random(0)):
        run(main)
    done = sorted(path.name for path in tmp_path.iterdir())
    assert done == [str(number) for number in range(len(done))]
    assert len(done) == max(0, kill_at - 3)


def test_kill_before_a_rename(tmp_path):
    clock = MachineClock(VirtualClock(0), 0)

    def work():
        for number in range(4):
            (tmp_path / f"{number}.new").touch()
            (tmp_path / f"{number}.new").replace(tmp_path / str(number))

    async def main():
        process = Process("p", Kill(3, renames=True))
        await asyncio.wait([await start(process, asyncio.to_thread(work))])

    with simulated_machine(tmp_path, clock, Random(0)):
        run(main)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2.new"]
