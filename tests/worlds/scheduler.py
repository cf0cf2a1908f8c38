"""An event loop that decides from a seed which ready task or thread runs next, and suspends threads at file operations.

Nothing runs in parallel. A function for a thread runs in a greenlet, which can be suspended at any depth, so that other
tasks and threads run between two file operations of it.
"""

import asyncio
import random
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import greenlet

from agora_analytics.testing import VirtualLoop
from tests.worlds.process import Killed, Process, current_process

MOST_STEPS = 300_000
"""A world with more steps does not end."""
_NO_PROCESS = "world"
_SHOWN = ("agora_analytics", "worlds")
_BLOCKED = 0.001  # seconds of virtual time until a thread tries again to get a lock
_SLOW_RUNS = 0.05  # the chance of a slow task or thread to run although others are ready


class DoesNotEnd(Exception):
    """Every task waits for another one, or the world takes too many steps."""


class WorldLoop(VirtualLoop):
    """Runs one step at a time: of a task from one await to the next, or of a thread from one `pause` to the next.

    Callbacks of the loop and of futures run in order, as asyncio documents.

    Args:
        choose: decides which step is next.
        slow_share: the share of tasks and threads that run rarely while others are ready.
        trace_lines: how many of the last steps `trace` keeps.

    Attributes:
        trace: the last steps.
        steps: how many steps were run.
        threads: how many threads have not ended.
    """

    def __init__(self, choose: random.Random, *, slow_share: float = 0.0, trace_lines: int = 0) -> None:
        super().__init__()
        self.trace: deque[str] = deque(maxlen=trace_lines)
        self.steps = 0
        self.threads = 0
        self._choose = choose
        self._slow_share = slow_share
        self._ready_steps: list[_TaskStep | Thread] = []
        self._slow: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.set_exception_handler(_report_unless_killed)
        self.set_task_factory(self._new_task)

    def note(self, process: str, text: str) -> None:
        """Add a line to the trace: what happens in a process."""
        if self.trace.maxlen:
            self.trace.append(f"{self.time():14.6f}  {process:11}  {text}")

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        process = current_process()
        if process is not None and process.killed:
            coro.close()
            raise Killed
        task = asyncio.Task(coro, loop=loop, **options)
        if process is not None:
            process.add_task(task)
        if self._choose.random() < self._slow_share:
            self._slow.add(task)
        return task

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        """Make the step of a task ready; call anything else in the next iteration, in order."""
        task = getattr(callback, "__self__", None)
        if not isinstance(task, asyncio.Task):
            return super().call_soon(callback, *args, context=context)
        step = _TaskStep(callback, args, self, context)
        step.task, step.slow = task, task in self._slow
        self._ready_steps.append(step)
        return step

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Run a function in a thread of the world."""
        del executor
        process = current_process()
        if process is not None and process.killed:
            raise Killed
        thread = Thread(self, lambda: func(*args), process, slow=self._choose.random() < self._slow_share)
        self._ready_steps.append(thread)
        return thread.future

    def make_ready(self, thread: "Thread") -> None:
        """Let a suspended thread run again."""
        self._ready_steps.append(thread)

    def _run_once(self) -> None:
        while self._ready_steps and not self._run_a_step():
            pass
        if self._ready_steps:
            super().call_soon(_do_nothing)  # so that the loop does not wait for a timer
        elif not (self._ready or self._scheduled or self._stopping):  # type: ignore[attr-defined]
            raise DoesNotEnd("every task waits for another one")
        super()._run_once()  # type: ignore[misc]

    def _run_a_step(self) -> bool:
        """Choose a step and run it, or leave it to the loop; return False if it was cancelled."""
        step = self._pick()
        if step.cancelled():
            return False
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise DoesNotEnd(f"the world takes more than {MOST_STEPS:,} steps")
        if self.trace.maxlen:
            self.note(step.process_name, step.describe())
        process = step.process
        if process is not None and process.count_step():
            self.note(process.name, "is killed")
        if isinstance(step, Thread):
            step.run()
        else:
            self._ready.append(step)  # type: ignore[attr-defined]
        return True

    def _pick(self) -> "_TaskStep | Thread":
        steps = self._ready_steps
        index = int(self._choose.random() * len(steps))
        if len(steps) > 1 and steps[index].slow and self._choose.random() > _SLOW_RUNS:
            index = int(self._choose.random() * len(steps))
        return steps.pop(index)


def _do_nothing() -> None:
    pass


def _report_unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


class _TaskStep(asyncio.Handle):
    """The next step of a task."""

    task: "asyncio.Task[Any]"
    slow: bool

    @property
    def process(self) -> Process | None:
        """The process that the task belongs to."""
        return self._context.get(Process.current)  # type: ignore[attr-defined]

    @property
    def process_name(self) -> str:
        """The name of that process."""
        return self.process.name if self.process else _NO_PROCESS

    def describe(self) -> str:
        """Return where the task continues: its innermost function of the package or the tests."""
        place, awaited = "continues", self.task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
            if frame is not None and any(part in frame.f_code.co_filename for part in _SHOWN):
                place = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        return place


class Thread:
    """A function that runs in a greenlet. `pause` suspends it. `future` has its result."""

    def __init__(
        self, loop: WorldLoop, work: Callable[[], Any], process: Process | None, *, slow: bool
    ) -> None:
        self.future = loop.create_future()
        self.process = process
        self.slow = slow
        self.blocked = False
        self._loop = loop
        self._at = "begins"
        self._greenlet = _Greenlet(self._work, work)
        self._greenlet.thread = self
        loop.threads += 1

    @property
    def process_name(self) -> str:
        """The name of the process of the thread."""
        return self.process.name if self.process else _NO_PROCESS

    def cancelled(self) -> bool:
        """A thread is never cancelled; it continues if nobody waits for it."""
        return False

    def describe(self) -> str:
        """Return the operation before which the thread is suspended."""
        return f"thread {self._at}"

    def _work(self, work: Callable[[], Any]) -> None:
        result, error = None, None
        try:
            result = work()
        except Killed:
            self.future.cancel()
            return
        except Exception as raised:  # noqa: BLE001 - passed to the task that waits for it
            error = raised
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def run(self) -> None:
        """Run until the next `pause`, or the end."""
        self._greenlet.parent = greenlet.getcurrent()
        if self.process is not None and self.process.killed:
            with suppress(Killed, greenlet.GreenletExit):
                self._greenlet.throw(Killed)
        else:
            self._greenlet.switch()
        if self._greenlet.dead:
            self._loop.threads -= 1
            if not self.future.done():
                self.future.cancel()
        elif self.blocked:
            self.blocked = False
            self._loop.call_later(_BLOCKED, self._loop.make_ready, self)
        else:
            self._loop.make_ready(self)


class _Greenlet(greenlet.greenlet):
    thread: Thread

    def __init__(self, run: Callable[..., None], work: Callable[[], Any]) -> None:
        super().__init__(lambda: run(work))


def pause(operation: str = "continues", *, blocked: bool = False) -> None:
    """Let other steps run before an operation of the current thread. Outside a thread of a world, do nothing.

    Args:
        operation: what the thread does next, for the trace.
        blocked: the thread waits for a lock, and time may pass.

    Raises:
        Killed: the process of the thread was killed meanwhile.
    """
    current = greenlet.getcurrent()
    if not isinstance(current, _Greenlet):
        return
    thread = current.thread
    if thread.process is not None and thread.process.killed:
        raise Killed
    thread._at, thread.blocked = operation, blocked
    current.parent.switch()


class Lock:
    """Replaces `threading.Lock` and, with `reentrant`, `threading.RLock`: a thread of a world waits without blocking."""

    def __init__(self, *, reentrant: bool = False) -> None:
        self._reentrant = reentrant
        self._owner: Any = None
        self._depth = 0

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> bool:
        """Wait for the lock."""
        me = greenlet.getcurrent()
        while self._owner is not None and not (self._reentrant and self._owner is me):
            assert isinstance(me, _Greenlet), "the event loop would wait for a thread"
            pause("waits for a lock", blocked=True)
        self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        """Release the lock."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
