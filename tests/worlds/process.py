"""A process of a world: its tasks and threads, which a kill ends at any await and at any file operation."""

import contextvars
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field, frozen

if TYPE_CHECKING:
    import asyncio


class Killed(BaseException):
    """Raised in the tasks and threads of a killed process. No effect of them leaves the process after it."""


@frozen
class Kill:
    """When a process is killed: before its step number `count`, or before it renames a file for the time number `count`."""

    count: int
    renames: bool = False


@define(eq=False)
class Process:
    """A simulated process.

    Attributes:
        name: for the trace.
        kill_at: when the process is killed; None: never.
        steps: the steps of its tasks and threads so far.
        renames: the files that it has renamed so far.
        on_rename: called before each rename.
        at_kill: what the system does for a killed process, such as closing its files.
    """

    current: ClassVar[contextvars.ContextVar["Process | None"]] = contextvars.ContextVar("process")

    name: str
    kill_at: Kill | None = None
    steps: int = 0
    renames: int = 0
    on_rename: Callable[[], None] = lambda: None
    killed: bool = False
    at_kill: list[Callable[[], None]] = field(factory=list)
    _tasks: "list[weakref.ref[asyncio.Task[Any]]]" = field(factory=list, init=False, repr=False)

    def add_task(self, task: "asyncio.Task[Any]") -> None:
        """Add a task, which a kill ends."""
        self._tasks.append(weakref.ref(task))

    @property
    def tasks(self) -> "list[asyncio.Task[Any]]":
        """The tasks that have not ended, in the order of their creation."""
        return [task for ref in self._tasks if (task := ref()) is not None and not task.done()]

    def count_step(self) -> bool:
        """Count a step that is about to run; return whether the process is killed instead."""
        self.steps += 1
        return self._kill_if_due(self.steps, renames=False)

    def count_rename(self) -> None:
        """Count the rename of a file that is about to happen. Raises `Killed` if the process is killed instead."""
        self.renames += 1
        self.on_rename()
        if self._kill_if_due(self.renames, renames=True):
            raise Killed

    def _kill_if_due(self, count: int, *, renames: bool) -> bool:
        if self.kill_at != Kill(count, renames):
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """End all tasks and threads. What they do from now on has no effect outside the process."""
        self.killed = True
        for task in self.tasks:
            task.cancel()
        for action in self.at_kill:
            action()


def current_process() -> Process | None:
    """Return the process of the running task or thread."""
    return Process.current.get(None)
