"""The queue in a real PostgreSQL: planning, the end of a pass, taking over, removing."""

import asyncio
import time

import pytest

from agora_analytics.errors import ConfigurationError, QueueUnavailable
from agora_analytics.fleet.queue import JobQueue, Timing
from tests.fleet.waiting import LONGEST, stop, until

JOBS = "SELECT id, lock, status::text, attempts, extract(epoch FROM scheduled_at) FROM procrastinate_jobs ORDER BY id"
RECORD = (
    "INSERT INTO account (name, vendor, token, worker, begun_at, outcome) VALUES (%s, 'agora', 1, 'w', 1, %s)"
)


class Passes:
    """Passes that end when the test says so, and the claims that they had."""

    def __init__(self):
        self.claims = []
        self.may_end = asyncio.Event()
        self._begun = asyncio.Condition()

    async def run(self, claim):
        async with self._begun:
            self.claims.append(claim)
            self._begun.notify_all()
        await self.may_end.wait()

    async def begun(self, count):
        async with asyncio.timeout(LONGEST), self._begun:
            await self._begun.wait_for(lambda: len(self.claims) >= count)


def working(queue, run, *accounts, max_concurrent=4):
    """Return a task that works until a test cancels it."""
    return asyncio.create_task(queue.work(run, accounts or ["acme"], max_concurrent=max_concurrent))


async def test_account_has_one_pass_at_a_time_however_often_it_is_planned(queue, queue_dsn, sql):
    async with JobQueue(queue_dsn) as other:
        planned = await asyncio.gather(*(each.jobs.plan(["acme", "zeta"]) for each in (queue, other) * 4))
    assert sorted(name for names in planned for name in names) == ["acme", "zeta"]
    assert [(lock, status) for _, lock, status, *_ in await sql(JOBS)] == [("acme", "todo"), ("zeta", "todo")]


async def test_worker_plans_its_accounts_except_those_that_run_wait_or_are_parked(queue, sql):
    for name, outcome in (("parked", "parked"), ("failed", "failed")):
        await sql(RECORD, name, outcome)
    await queue.jobs.plan(["later", "other"])
    await sql("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day' WHERE lock = 'later'")
    passes = Passes()
    task = working(queue, passes.run, "acme", "failed", "later", "parked")
    await passes.begun(2)
    await stop(task)
    assert sorted(claim.account for claim in passes.claims) == ["acme", "failed"]
    assert [lock for _, lock, *_ in await sql(JOBS)] == ["later", "other", "acme", "failed"]


async def test_named_account_begins_now_although_it_is_parked_or_waits(queue, sql):
    await sql(RECORD, "parked", "parked")
    await queue.jobs.plan(["later", "due"])
    await sql("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day' WHERE lock = 'later'")
    named = ["parked", "later", "due"]
    assert await queue.jobs.plan(named, parked_too=True) == ["parked"]
    assert await queue.jobs.start_now(named) == ["later"]
    assert {at for *_, at in await sql(JOBS)} == {None}


async def test_account_of_another_worker_is_left_to_it(queue, sql):
    passes = Passes()
    await queue.jobs.plan(["elsewhere"])
    task = working(queue, passes.run, "acme")
    await passes.begun(1)
    await stop(task)
    assert [claim.account for claim in passes.claims] == ["acme"]
    assert ("elsewhere", "todo", 0) in [job[1:4] for job in await sql(JOBS)]


async def test_stopped_worker_returns_its_jobs_at_once(queue, queue_dsn, sql):
    passes = Passes()
    await queue.jobs.plan(["acme"])
    task = working(queue, passes.run)
    await passes.begun(1)
    await stop(task)
    ((job, _, status, attempts, at),) = await sql(JOBS)
    assert (status, attempts) == ("todo", 1)
    assert float(at) <= time.time()
    again = Passes()
    async with JobQueue(queue_dsn) as other:
        task = working(other, again.run)
        await again.begun(1)
        await stop(task)
    assert [(claim.job, claim.attempt) for claim in again.claims] == [(job, 1)]


async def test_silent_worker_is_replaced_and_its_claim_ends(queue, queue_dsn, sql):
    silent, healthy = Passes(), Passes()
    await queue.jobs.plan(["acme"])
    async with JobQueue(queue_dsn, timing=Timing(heartbeat=600.0, stalled=600.0, check=600.0)) as stuck:
        first = working(stuck, silent.run)
        await silent.begun(1)
        await sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        second = working(queue, healthy.run)
        await healthy.begun(1)
        (old,), (new,) = silent.claims, healthy.claims
        assert (new.job, new.attempt) == (old.job, old.attempt + 1)
        assert await stuck.records.begin(old, vendor="agora", worker="old") is None
        assert await queue.records.begin(new, vendor="agora", worker="new") is not None
        await stop(first)
        await stop(second)


async def test_worker_that_died_after_enqueuing_the_next_pass_leaves_one_job(queue, sql):
    """The next job waits already, so the old one cannot go back to the queue."""
    passes = Passes()
    await queue.jobs.plan(["acme"])
    await sql("UPDATE procrastinate_jobs SET status = 'doing', attempts = 0")
    await sql("INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)"
              " SELECT queue_name, task_name, lock, queueing_lock, args, now() + interval '1 day' FROM procrastinate_jobs")  # fmt: skip
    task = working(queue, passes.run)

    async def only_the_next_one():
        return [status for _, _, status, *_ in await sql(JOBS)] == ["todo"]

    await until(only_the_next_one, task)
    await stop(task)
    assert passes.claims == []


async def test_worker_ends_if_the_end_of_a_job_was_not_recorded(queue, sql):
    """Otherwise the account would have no pass as long as the worker lives."""
    passes = Passes()
    await queue.jobs.plan(["acme"])
    task = working(queue, passes.run)
    await passes.begun(1)
    await sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id)"
        " SELECT queue_name, task_name, 'lost', '{\"account\": \"lost\"}', 'doing', worker_id FROM procrastinate_jobs"
    )
    with pytest.raises(
        QueueUnavailable,
        match="the end of a pass could not be recorded: lost; a supervisor must start the worker again",
    ):
        await task


async def test_pass_that_cannot_be_recorded_is_tried_again(queue_dsn, sql, caplog):
    claims = []

    async def run(claim):
        claims.append(claim)
        if len(claims) == 1:
            raise QueueUnavailable("PostgreSQL is away")

    timing = Timing(heartbeat=0.05, stalled=0.2, check=0.05)
    async with JobQueue(queue_dsn, timing=timing) as queue:
        task = working(queue, run)
        await until(lambda: asyncio.sleep(0, len(claims) == 2), task)
        await stop(task)
    assert [claim.attempt for claim in claims] == [0, 1]
    assert "account acme: the pass cannot be recorded: PostgreSQL is away" in caplog.text
    assert "Traceback" not in caplog.text


async def test_waiting_account_is_removed_with_its_record(queue, sql):
    await sql(RECORD, "acme", "failed")
    await queue.jobs.plan(["acme"])
    assert await queue.jobs.remove("acme") == (False, True)
    assert await queue.jobs.remove("acme") == (False, False)
    assert await sql(JOBS) == await sql("SELECT * FROM account") == []


async def test_account_that_is_being_harvested_is_not_removed(queue, sql):
    await sql(RECORD, "acme", "failed")
    await queue.jobs.plan(["acme"])
    await sql("UPDATE procrastinate_jobs SET status = 'doing'")
    assert await queue.jobs.remove("acme") == (True, False)
    assert len(await sql("SELECT * FROM account")) == len(await sql(JOBS)) == 1


@pytest.mark.parametrize("wrong", ["dbname=no_such_database", "user=nobody_of_this_name"])
async def test_refused_connection_is_a_configuration_error(queue_dsn, wrong):
    name, value = wrong.split("=")
    dsn = {
        "dbname": queue_dsn.rpartition("/")[0] + "/" + value,
        "user": queue_dsn.replace("postgres@", f"{value}@"),
    }
    with pytest.raises(ConfigurationError, match=r"the queue in PostgreSQL at .* refuses the client"):
        async with JobQueue(dsn[name]):
            pass


async def test_unreachable_server_is_named(unused_tcp_port):
    with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1/agora is unavailable"):
        async with JobQueue(f"postgresql://someone:secret@127.0.0.1:{unused_tcp_port}/agora"):
            pass
