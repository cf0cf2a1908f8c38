"""Waiting for what a worker does, with an end if it does something else."""

import asyncio

import pytest

LONGEST = 60.0  # seconds, so that a defect does not hang the tests


async def until(condition, task=None):
    """Wait until an asynchronous condition is true. If a task is given, it must be running until then."""
    async with asyncio.timeout(LONGEST):
        while not await condition():
            if task is not None and task.done():
                await task
                pytest.fail("the task has ended")
            await asyncio.sleep(0.01)


async def stop(task):
    """Cancel a task and wait for its end."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
