"""What a fleet records of the passes over its accounts, guarded by the claim and the fencing token of each pass."""

from typing import TYPE_CHECKING, Any

from attrs import frozen

from agora_analytics.engine.network.postgres_connections import PostgresConnections
from agora_analytics.fleet.jobs import TASK
from agora_analytics.fleet.report import AccountReport
from agora_analytics.fleet.schedule import Schedule

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_NOW = "extract(epoch FROM clock_timestamp())"
_CLAIMED = """
claimed AS (
    SELECT id FROM procrastinate_jobs
    WHERE id = %(job)s AND attempts = %(attempt)s AND status = 'doing' FOR UPDATE)"""

# The token is drawn only if the worker still has the job, and it grows with the time: it is newer than all earlier ones
# in the ledger, although the queue was created again or restored from a backup.
_BEGIN = f"""
WITH {_CLAIMED}
INSERT INTO account AS a (name, vendor, token, worker, begun_at)
    SELECT %(account)s, %(vendor)s, floor({_NOW} * 1000), %(worker)s, {_NOW} FROM claimed
    ON CONFLICT (name) DO UPDATE SET token = greatest(excluded.token, a.token + 1),
        vendor = excluded.vendor, worker = excluded.worker, begun_at = excluded.begun_at
RETURNING token, begun_at, failures"""
# The next pass is enqueued together with the record, so that nobody plans an account between the two.
_END = f"""
WITH {_CLAIMED},
recorded AS (
    UPDATE account SET ended_at = {_NOW}, outcome = %(outcome)s, calls = %(calls)s, calls_left = %(calls_left)s,
        quota = %(quota)s, reason = %(reason)s, failures = %(failures)s
    WHERE name = %(account)s AND token = %(token)s AND EXISTS (SELECT 1 FROM claimed)
    RETURNING name),
enqueued AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
    SELECT name, '{TASK}', name, name, jsonb_build_object('account', name), to_timestamp(%(due)s)
    FROM recorded WHERE %(due)s::float8 IS NOT NULL
    ON CONFLICT DO NOTHING)
SELECT name FROM recorded"""


@frozen
class Claim:
    """A job that a worker has: the right to harvest an account until the job is taken over."""

    account: str
    job: int
    attempt: int


@frozen
class StartedPass:
    """A pass that has begun.

    Attributes:
        claim: the job.
        token: the fencing token. It is greater than those of all earlier passes over the account.
        at: when it began, in UTC epoch seconds of the queue's clock.
        failures: how many passes before it have failed in a row.
    """

    claim: Claim
    token: int
    at: float
    failures: int


class AccountRecords:
    """The table `account`. A worker whose claim was taken over changes nothing."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def begin(self, claim: Claim, *, vendor: str, worker: str) -> StartedPass | None:
        """Record that a pass begins, and return its fencing token; None: another worker has taken the job over.

        Args:
            claim: the job.
            vendor: of the account.
            worker: names this process for people.
        """
        row = await self._row(_BEGIN, _of(claim) | {"vendor": vendor, "worker": worker})
        return None if row is None else StartedPass(claim, *row)

    async def end(self, started: StartedPass, report: AccountReport, schedule: Schedule) -> bool:
        """Record the result of a pass and enqueue the next one; return False if another worker has taken the job over.

        Args:
            started: the pass.
            report: its result.
            schedule: its outcome, and when the next pass is due.
        """
        from psycopg.types.json import Jsonb

        tightest = min(report.quota, key=lambda quota: quota.left / quota.per_day, default=None)
        arguments = {
            "token": started.token,
            "outcome": schedule.outcome,
            "calls": sum(each.calls for each in report.reports),
            "calls_left": sum(each.left for each in report.reports),
            "quota": None if tightest is None else Jsonb(tightest.to_dict()),
            "reason": schedule.reason,
            "failures": schedule.failures,
            "due": schedule.due,
        }
        return await self._row(_END, _of(started.claim) | arguments) is not None

    async def _row(self, statement: str, arguments: dict[str, Any]) -> Any:
        async def row(connection: "AsyncConnection[Any]") -> Any:
            return await (await connection.execute(statement.encode(), arguments)).fetchone()

        return await self._connections.run(row)


def _of(claim: Claim) -> dict[str, Any]:
    return {"account": claim.account, "job": claim.job, "attempt": claim.attempt}
