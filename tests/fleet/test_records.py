"""The records of the passes, and their fencing tokens."""

import time

import pytest

from agora_analytics import AccountReport
from agora_analytics.engine.engine import Quota
from agora_analytics.fleet.queue_schema import queue_connections
from agora_analytics.fleet.records import Claim
from agora_analytics.fleet.schedule import Schedule
from agora_analytics.fleet.status import fleet_status

REPORT = AccountReport(account="acme", vendor="agora")


@pytest.fixture
async def claim(queue, sql):
    """The claim of a job that is being done."""
    await queue.jobs.plan(["acme"])
    await sql("UPDATE procrastinate_jobs SET status = 'doing'")
    ((job, attempts),) = await sql("SELECT id, attempts FROM procrastinate_jobs")
    return Claim("acme", job, attempts)


async def begin(queue, claim):
    return await queue.records.begin(claim, vendor="agora", worker="host:1")


async def end(queue, started, report=REPORT, outcome="complete", failures=0, due=None):
    return await queue.records.end(started, report, Schedule(outcome, "", failures, due))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE procrastinate_jobs SET status = 'todo'",
        "UPDATE procrastinate_jobs SET attempts = attempts + 1",
        "DELETE FROM procrastinate_jobs",
    ],
)
async def test_claim_that_was_lost_begins_no_pass(queue, claim, sql, change):
    """Otherwise a worker that stood still before its first request would get the newest token."""
    await sql(change)
    assert await begin(queue, claim) is None
    assert await sql("SELECT * FROM account") == []


async def test_tokens_grow_and_only_the_newest_pass_is_recorded(queue, claim, sql):
    before = time.time()
    old = await begin(queue, claim)
    new = await begin(queue, claim)
    assert old.token < new.token
    assert before * 1000 - 1000 < old.token < time.time() * 1000 + 1000
    assert new.at == pytest.approx(time.time(), abs=60)
    assert await end(queue, old, outcome="failed", failures=1) is False
    assert await end(queue, new) is True
    assert await sql("SELECT outcome, failures FROM account") == [("complete", 0)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1",
        "DELETE FROM procrastinate_jobs",
    ],
    ids=["taken over", "removed"],
)
async def test_pass_whose_claim_was_lost_records_nothing_and_plans_nothing(queue, claim, sql, change):
    """Otherwise the end would delete the job of the worker that has taken it over."""
    started = await begin(queue, claim)
    await sql(change)
    jobs = await sql("SELECT id, status::text FROM procrastinate_jobs")
    assert await end(queue, started, due=4e9) is False
    assert await sql("SELECT outcome FROM account") == [(None,)]
    assert await sql("SELECT id, status::text FROM procrastinate_jobs") == jobs


async def test_end_of_a_pass_enqueues_the_next_one_at_its_time(queue, claim, sql):
    started = await begin(queue, claim)
    assert await end(queue, started, due=4_000_000_000.5)
    ((status, args, at),) = await sql(
        "SELECT status::text, args, extract(epoch FROM scheduled_at)::float8 FROM procrastinate_jobs WHERE id <> %s",
        claim.job,
    )
    assert (status, args, at) == ("todo", {"account": "acme"}, 4_000_000_000.5)


async def test_token_grows_although_the_servers_clock_was_set_back(queue, claim, sql):
    await begin(queue, claim)
    await sql("UPDATE account SET token = 9000000000000000")
    assert (await begin(queue, claim)).token == 9_000_000_000_000_001


async def test_failures_in_a_row_are_counted_over_passes(queue, claim):
    first = await begin(queue, claim)
    assert first.failures == 0
    await end(queue, first, outcome="failed", failures=1)
    assert (await begin(queue, claim)).failures == 1


async def test_quota_with_the_smallest_rest_is_recorded(queue, claim, queue_dsn):
    quotas = tuple(
        Quota(endpoint=name, per_day=1000, requests=10, period=1.0, spent=spent, closed=False, opens_at=4e9)
        for name, spent in (("call/lists", 10), ("call/metrics", 990), ("call/sessions", 100))
    )
    await end(queue, await begin(queue, claim), AccountReport(account="acme", vendor="agora", quota=quotas))
    connections = queue_connections(queue_dsn)
    status = (await fleet_status(connections)).accounts["acme"]
    await connections.aclose()
    assert (status.quota_endpoint, status.quota_left, status.quota_per_day) == ("call/metrics", 10, 1000)
