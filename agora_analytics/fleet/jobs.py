"""The jobs of a fleet, in the table of Procrastinate: planned, taken over and removed in one statement each.

Procrastinate itself enqueues one job at a time. It recognizes a job that is enqueued already by the English text of the
server's message.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.engine.network.postgres_connections import PostgresConnections
from agora_analytics.fleet.worker_watch import WorkerJobs

if TYPE_CHECKING:
    from psycopg import AsyncConnection

TASK = "harvest"

_PLAN = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
SELECT w.name, %(task)s, w.name, w.name, jsonb_build_object('account', w.name)
FROM unnest(%(accounts)s::text[]) AS w (name)
WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.lock = w.name AND j.status IN ('todo', 'doing'))
    AND (%(parked_too)s OR NOT EXISTS (SELECT 1 FROM account a WHERE a.name = w.name AND a.outcome = 'parked'))
ON CONFLICT DO NOTHING
RETURNING lock"""
_START_NOW = """
UPDATE procrastinate_jobs SET scheduled_at = NULL
WHERE lock = ANY(%(accounts)s) AND status = 'todo' AND scheduled_at > now()
RETURNING lock"""
# A job whose worker died after it had enqueued the next pass is deleted: two jobs of an account cannot both wait.
_TAKE_OVER = """
WITH stalled AS (
    SELECT j.id, j.lock FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.status = 'doing' AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => %(seconds)s))
    FOR UPDATE OF j SKIP LOCKED),
superseded AS (
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT s.id FROM stalled s JOIN procrastinate_jobs next ON next.lock = s.lock AND next.status = 'todo')
    RETURNING id)
SELECT lock, procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL)
FROM stalled WHERE id NOT IN (SELECT id FROM superseded)"""
_HELD = "SELECT id, lock FROM procrastinate_jobs WHERE worker_id = ANY(%(workers)s) AND status = 'doing'"
_SILENCE = """
SELECT extract(epoch FROM clock_timestamp() - max(last_heartbeat))::float8
FROM procrastinate_workers WHERE id = ANY(%(workers)s)"""
_REMOVE = """
WITH removed AS (DELETE FROM procrastinate_jobs WHERE lock = %(account)s AND status = 'todo' RETURNING id),
running AS (SELECT 1 FROM procrastinate_jobs WHERE lock = %(account)s AND status = 'doing'),
forgotten AS (DELETE FROM account WHERE name = %(account)s AND NOT EXISTS (SELECT 1 FROM running) RETURNING name)
SELECT EXISTS (SELECT 1 FROM running), EXISTS (SELECT 1 FROM removed) OR EXISTS (SELECT 1 FROM forgotten)"""


class JobTable:
    """The table of the jobs. Every change is one statement.

    Raises:
        ConfigurationError: a privilege is missing.
        QueueUnavailable: every method, if the server cannot be reached.
    """

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def plan(self, accounts: Sequence[str], *, parked_too: bool = False) -> list[str]:
        """Enqueue a pass for each account that has none and is not parked, and return the names of these accounts."""
        arguments = {"accounts": list(accounts), "task": TASK, "parked_too": parked_too}
        return [lock for (lock,) in await self._rows(_PLAN, arguments)]

    async def start_now(self, accounts: Sequence[str]) -> list[str]:
        """Let the passes begin now that wait for a later time, and return the names of their accounts."""
        return [lock for (lock,) in await self._rows(_START_NOW, {"accounts": list(accounts)})]

    async def take_over(self, seconds: float) -> list[str]:
        """Put the jobs of workers without a heartbeat back into the queue, and return their accounts.

        Several workers may do so at the same time: a job is put back once.

        Args:
            seconds: the longest time without a heartbeat.
        """
        return [lock for lock, _ in await self._rows(_TAKE_OVER, {"seconds": seconds})]

    async def of_worker(self, workers: Collection[int]) -> WorkerJobs:
        """Return what the queue knows of a worker.

        Args:
            workers: the numbers that Procrastinate has given it.
        """

        async def read(connection: "AsyncConnection[Any]") -> WorkerJobs:
            arguments = {"workers": list(workers)}
            held = await (await connection.execute(_HELD.encode(), arguments)).fetchall()
            (silence,) = await (await connection.execute(_SILENCE.encode(), arguments)).fetchone() or (None,)
            return WorkerJobs(dict(held), silence)

        return await self._connections.run(read)

    async def remove(self, account: str) -> tuple[bool, bool]:
        """Cancel the waiting pass of an account and forget its record, unless a worker is harvesting it.

        Returns:
            Whether a worker is harvesting it, and whether there was anything to remove.
        """
        ((running, removed),) = await self._rows(_REMOVE, {"account": account})
        return running, removed

    async def _rows(self, statement: str, arguments: dict[str, Any]) -> list[Any]:
        async def rows(connection: "AsyncConnection[Any]") -> list[Any]:
            return await (await connection.execute(statement.encode(), arguments)).fetchall()

        return await self._connections.run(rows)
