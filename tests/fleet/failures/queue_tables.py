"""What the tables of a queue show while workers run: passes, jobs, and who has them."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from attrs import define, frozen

from agora_analytics.fleet.queue_schema import SCHEMA

if TYPE_CHECKING:
    import psycopg

PATIENCE = 420.0
"""Seconds for a condition that a test waits for. Every one of them is met far earlier on a machine that is not busy."""

INTERVAL = 0.2  # seconds between two looks


@frozen
class Pass:
    """A pass that has begun. `begun_at` is the time of PostgreSQL, which runs on the machine of the tests."""

    account: str
    token: int
    pid: int
    begun_at: float


@define
class Account:
    """The record of an account, and its jobs by status."""

    name: str
    token: int
    pid: int
    begun_at: float
    outcome: str | None
    ended_at: float | None
    jobs: dict[str, int]

    @property
    def is_running(self) -> bool:
        """Whether a worker has its job."""
        return self.jobs.get("doing", 0) > 0


class QueueTables:
    """Looks at the queue several times a second in a thread during a `with` block, and remembers the passes."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.passes: list[Pass] = []
        self.accounts: dict[str, Account] = {}
        self._ended = threading.Event()
        self._looked = threading.Condition()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition is true, which is checked after each look at the queue.

        Raises:
            TimeoutError: it was not met. The message has the state of the queue.
        """
        deadline = time.monotonic() + PATIENCE
        with self._looked:
            while not condition():
                self._looked.wait(1.0)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{what}: not after {PATIENCE:.0f} s; {self.accounts}; {self.passes}")

    def running(self) -> dict[str, int]:
        """Return the process of each account whose pass is running."""
        return {name: each.pid for name, each in self.accounts.items() if each.is_running}

    def are_complete(self, names: "tuple[str, ...] | list[str]") -> bool:
        """Return whether the last pass over each account is complete, and its next one waits."""
        found = [self.accounts.get(name) for name in names]
        return all(each and each.outcome == "complete" and each.jobs == {"todo": 1} for each in found)

    def taken_over(self, account: str, pid: int) -> Pass | None:
        """Return the first pass over an account after the last one of a process; None: there is none yet."""
        of_account = [each for each in self.passes if each.account == account]
        last = max(index for index, each in enumerate(of_account) if each.pid == pid)
        return of_account[last + 1] if last + 1 < len(of_account) else None

    def _watch(self) -> None:
        import psycopg

        options = {"connect_timeout": 5, "options": f"-c search_path={SCHEMA} -c statement_timeout=5s"}
        while not self._ended.wait(INTERVAL):
            try:
                with psycopg.connect(self._dsn, autocommit=True, **options) as connection:
                    while not self._ended.wait(INTERVAL):
                        self._note(_read(connection))
            except psycopg.Error:  # the server is stopped
                continue

    def _note(self, found: dict[str, Account]) -> None:
        with self._looked:
            for each in found.values():
                seen = Pass(each.name, each.token, each.pid, each.begun_at)
                if seen not in self.passes:
                    self.passes.append(seen)
            self.accounts = found
            self._looked.notify_all()


def _read(connection: "psycopg.Connection[tuple[object, ...]]") -> dict[str, Account]:
    rows = connection.execute(
        """SELECT name, token, split_part(worker, ':', -1)::int, begun_at, outcome, ended_at,
            coalesce((SELECT json_object_agg(status, jobs) FROM (
                SELECT status, count(*) AS jobs FROM procrastinate_jobs WHERE lock = name GROUP BY status) found), '{}')
        FROM account"""
    )
    return {row[0]: Account(*row) for row in rows}
