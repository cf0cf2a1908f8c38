"""Tasks that continue when their caller is cancelled, such as writes to a ledger."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio


class BackgroundTasks:
    """Keeps references to running tasks, because the event loop has weak ones only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task, which must not raise an error that nobody awaits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def start_and_wait(self, work: Coroutine[Any, Any, None], *, seconds: float) -> None:
        """Start a task and wait for it so long at most, even if the caller is cancelled."""
        task = self.start(work)
        with anyio.move_on_after(seconds, shield=True):
            await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait until all tasks have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
