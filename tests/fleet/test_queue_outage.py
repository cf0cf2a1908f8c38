"""A worker whose PostgreSQL is stopped while it has a job."""

import asyncio

import pytest

from agora_analytics.errors import QueueUnavailable
from agora_analytics.fleet import queue as queue_module
from tests.fleet.waiting import stop, until


async def test_worker_that_cannot_reach_the_server_ends_its_passes_and_reports_nothing(
    queue, sql, postgres, monkeypatch
):
    """When the server can be reached again, another worker may have the job."""
    monkeypatch.setattr(queue_module, "_PATIENCE", 0.2)
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def run(_):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await queue.jobs.plan(["acme"])
    working = asyncio.create_task(queue.work(run, ["acme"], max_concurrent=1))
    await begun.wait()
    await asyncio.to_thread(postgres.server.stop)
    with pytest.raises(QueueUnavailable, match=r"cannot be reached|is unavailable"):
        await working
    assert cancelled.is_set()
    await asyncio.to_thread(postgres.server.start)
    assert await sql("SELECT lock, status::text FROM procrastinate_jobs") == [("acme", "doing")]


async def test_worker_continues_if_the_server_is_restarted(queue, sql, postgres, caplog):
    caplog.set_level("INFO", logger="agora_analytics.fleet")
    begun = asyncio.Event()

    async def run(_):
        begun.set()
        await asyncio.Event().wait()

    await queue.jobs.plan(["acme"])
    working = asyncio.create_task(queue.work(run, ["acme"], max_concurrent=1))
    await begun.wait()
    await asyncio.to_thread(postgres.server.stop)
    await until(lambda: asyncio.sleep(0, "the queue cannot be reached" in caplog.text), working)
    await asyncio.to_thread(postgres.server.start)
    await until(lambda: asyncio.sleep(0, "the queue can be reached again" in caplog.text), working)
    await stop(working)
    assert caplog.text.count("the queue cannot be reached") == 1
    assert await sql("SELECT status::text, attempts FROM procrastinate_jobs") == [("todo", 1)]
