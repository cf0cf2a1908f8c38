"""The state of each account, from its record, its job and the heartbeat of its worker."""

import pytest

from agora_analytics.fleet.queue_schema import queue_connections
from agora_analytics.fleet.status import fleet_status

RECORD = "INSERT INTO account (name, vendor, token, worker, begun_at, ended_at, outcome, reason) VALUES (%s, 'agora', 1, 'host:1', 1, 2, %s, %s)"


@pytest.fixture
def status(queue_dsn):
    async def read():
        connections = queue_connections(queue_dsn)
        try:
            return await fleet_status(connections)
        finally:
            await connections.aclose()

    return read


async def test_empty_fleet_has_no_workers_and_no_accounts(status):
    found = await status()
    assert (found.workers, found.accounts) == (0, {})


async def test_each_state_is_distinguished(queue, sql, status):
    await queue.jobs.plan(["due", "waiting", "running", "silent", "pruned"])
    await sql("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE lock = 'waiting'")
    await sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now()), (now() - interval '20 s')")
    for account, worker in (("running", 1), ("silent", 2), ("pruned", None)):
        await sql(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE lock = %s", worker, account
        )
    await sql(RECORD, "parked", "parked", "HTTP 401")
    await sql(RECORD, "unplanned", "failed", "HTTP 500")
    await sql(RECORD, "running", "complete", "")
    found = await status()
    assert found.workers == 1
    assert {name: each.state for name, each in found.accounts.items()} == {
        "due": "due",
        "parked": "parked",
        "pruned": "no heartbeat",
        "running": "running",
        "silent": "no heartbeat",
        "unplanned": "not planned",
        "waiting": "waiting",
    }
    assert found.accounts["waiting"].next_run == pytest.approx(found.now + 3600, abs=60)
    assert found.accounts["silent"].silence == pytest.approx(20, abs=15)
    running = found.accounts["running"]
    assert (running.worker, running.outcome, running.ended_at) == ("host:1", "complete", 2.0)


async def test_account_with_a_running_and_a_waiting_job_is_running(queue, sql, status):
    await queue.jobs.plan(["acme"])
    await sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")
    await sql("UPDATE procrastinate_jobs SET status = 'doing', worker_id = 1")
    await sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)"
        " SELECT queue_name, task_name, lock, queueing_lock, args, now() + interval '1 day' FROM procrastinate_jobs"
    )
    assert (await status()).accounts["acme"].state == "running"


@pytest.mark.parametrize(("opens_in", "endpoint"), [(3600, "call/metrics"), (-1, None)])
async def test_quota_of_a_day_that_is_over_is_unknown(sql, status, opens_in, endpoint):
    await sql(RECORD, "acme", "complete", "")
    await sql(
        "UPDATE account SET quota = jsonb_build_object('endpoint', 'call/metrics', 'left', 5, 'per_day', 10,"
        " 'opens_at', extract(epoch FROM now()) + %s)",
        opens_in,
    )
    assert (await status()).accounts["acme"].quota_endpoint == endpoint
