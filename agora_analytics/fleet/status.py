"""The state of the accounts of a fleet: its records, its jobs and the heartbeats of its workers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from agora_analytics.core.record import Record
from agora_analytics.engine.network.postgres_connections import PostgresConnections
from agora_analytics.fleet.queue_schema import fleet_id

if TYPE_CHECKING:
    from psycopg import AsyncConnection

AccountState = Literal["running", "no heartbeat", "due", "waiting", "parked", "not planned"]

LATE = 15.0
"""Seconds after which a heartbeat is late. A worker sends one every 5 seconds."""

_NOW = "extract(epoch FROM clock_timestamp())"
# An account may have two jobs: one that runs, and one that waits for its end.
_ACCOUNTS = f"""
SELECT DISTINCT ON (account) coalesce(a.name, j.lock) AS account, a.vendor, a.worker, a.begun_at, a.ended_at, a.outcome,
    a.calls, a.calls_left, a.quota, a.reason, a.failures, j.status::text AS job,
    extract(epoch FROM j.scheduled_at) AS due, {_NOW} - extract(epoch FROM w.last_heartbeat) AS silence
FROM account a
FULL JOIN (SELECT * FROM procrastinate_jobs WHERE status IN ('todo', 'doing')) j ON j.lock = a.name
LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
ORDER BY account, j.status = 'doing' DESC"""
_WORKERS = (
    f"SELECT count(*) FROM procrastinate_workers WHERE {_NOW} - extract(epoch FROM last_heartbeat) <= %s"
)


@frozen(kw_only=True)
class AccountStatus(Record):
    """The state of an account of a fleet. Times are UTC epoch seconds of the queue's clock.

    Attributes:
        account: its name.
        state: `running`; `no heartbeat`: it runs, but its worker is silent and will be replaced; `due`: it waits for a
            worker; `waiting`: until `next_run`; `parked`: until a person plans it; `not planned`: no worker has planned
            it yet.
        vendor: its vendor; None: no pass has begun yet.
        worker: the process that has, or had, the latest pass: host and process id.
        begun_at: when the latest pass began.
        ended_at: when the last pass that ended did so. Outcome, calls, quota and reason are of this pass.
        outcome: `complete`, `incomplete`, `quota used up`, `failed` or `parked`.
        calls: the calls that it has stored.
        calls_left: the listed calls that it could not fetch.
        quota_endpoint: the endpoint of which the smallest part of the daily quota is left; None: unknown, or the day is over.
        quota_left: requests that are left for it.
        quota_per_day: requests a day.
        reason: why it is not complete.
        failures: how many passes in a row have failed.
        next_run: when the next pass is due; None: now, or never if it is parked.
        silence: seconds since the last heartbeat of the worker, if it is running.
    """

    account: str
    state: AccountState
    vendor: str | None = None
    worker: str | None = None
    begun_at: float | None = None
    ended_at: float | None = None
    outcome: str | None = None
    calls: int = 0
    calls_left: int = 0
    quota_endpoint: str | None = None
    quota_left: int | None = None
    quota_per_day: int | None = None
    reason: str = ""
    failures: int = 0
    next_run: float | None = None
    silence: float | None = None


@frozen
class FleetStatus:
    """The state of a fleet at a time of the queue's clock (UTC epoch seconds).

    Attributes:
        now: the time.
        workers: how many workers have sent a heartbeat in the last 15 seconds.
        accounts: the accounts that have a record or a job, by name.
    """

    now: float
    workers: int
    accounts: Mapping[str, AccountStatus]


async def fleet_status(connections: PostgresConnections) -> FleetStatus:
    """Return the state of a fleet.

    Raises:
        ConfigurationError: the database has no queue, or refuses the connection.
        QueueUnavailable: the server does not answer.
    """
    await fleet_id(connections)
    return await connections.run(_read)


async def _read(connection: "AsyncConnection[Any]") -> FleetStatus:
    from psycopg.rows import dict_row

    (now,) = await (await connection.execute(f"SELECT {_NOW}::float8".encode())).fetchone() or (0.0,)
    (workers,) = await (await connection.execute(_WORKERS.encode(), [LATE])).fetchone() or (0,)
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_ACCOUNTS.encode())
    rows = await cursor.fetchall()
    return FleetStatus(now, workers, {row["account"]: account_status(row, now) for row in rows})


def account_status(row: Mapping[str, Any], now: float) -> AccountStatus:
    """Return the state of an account from a row of the record and the job."""
    quota = row["quota"]
    if quota is None or quota["opens_at"] <= now:
        quota = {}
    due = row["due"]
    return AccountStatus(
        account=row["account"],
        state=_state(row, now),
        vendor=row["vendor"],
        worker=row["worker"],
        begun_at=row["begun_at"],
        ended_at=row["ended_at"],
        outcome=row["outcome"],
        calls=row["calls"] or 0,
        calls_left=row["calls_left"] or 0,
        quota_endpoint=quota.get("endpoint"),
        quota_left=quota.get("left"),
        quota_per_day=quota.get("per_day"),
        reason=row["reason"] or "",
        failures=row["failures"] or 0,
        next_run=None if due is None else float(due),
        silence=None if row["silence"] is None else float(row["silence"]),
    )


def _state(row: Mapping[str, Any], now: float) -> AccountState:
    match row["job"]:
        case "doing":
            silence = row["silence"]
            return "no heartbeat" if silence is None or silence > LATE else "running"
        case "todo":
            return "due" if row["due"] is None or row["due"] <= now else "waiting"
        case _:
            return "parked" if row["outcome"] == "parked" else "not planned"
