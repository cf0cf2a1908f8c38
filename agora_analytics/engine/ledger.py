"""The ledger: what was spent of each day's quota, and when the next request may leave.

Quotas belong to the account and are counted in UTC days on the server's clock, over all machines. `MemoryLedger`
knows of one client only; `SqliteLedger` is shared by all processes on a machine that name the same file.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from attrs import field, frozen

from agora_analytics.engine.departures import Departure, Departures
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day

T = TypeVar("T")


class Budget(NamedTuple):
    """What one line of the ledger is about: an account and a group of endpoints that share a quota."""

    account: str
    group: str


@frozen(kw_only=True)
class Grant:
    """Leave to send one request at `slot` (epoch seconds, our clock), charged to `day`.

    `departure` is the limiter's note of when it left.
    """

    slot: float
    day: str
    departure: Departure | None = field(default=None, eq=False, repr=False)


class Ledger(Protocol):
    """Keeps count. `now` is our clock, `server_now` the server's; both in epoch seconds."""

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | None:
        """Charge one request and return when it may leave; None: the day is spent.

        Requests leave `gap` after one another, but for `burst` that may leave at once after a rest.
        """
        ...

    async def give_back(self, budget: Budget, grant: Grant) -> None:
        """Take back the charge of a request that was never sent."""
        ...

    async def hold(self, budget: Budget, until: float) -> None:
        """Let nothing leave before `until`: the server said that it counted too many."""
        ...

    async def close_day(self, budget: Budget, day: str) -> None:
        """Note that the server says that the day is spent."""
        ...

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """Return how many requests were charged to the day, and whether the server closed it."""
        ...

    async def aclose(self) -> None:
        """Let go of files."""
        ...


LONGEST_QUEUE = 120.0
"""Seconds: a slot further ahead is not a queue but a clock that was set back. It must not hold anybody up."""
_LATE = 0.002  # a timer that fires this late does not push back the slots behind it


def _slot(now: float, free: float, gap: float, burst: int) -> tuple[float, float]:
    """Return the next slot and what is free behind it, where `free` is the first that is not taken.

    A burst takes its slots that many gaps early; those behind it pay for that.
    """
    early = (burst - 1) * gap
    if free - early - now >= LONGEST_QUEUE:
        free = now
    slot = max(now - _LATE, free - early)
    return slot, max(free, slot) + gap


class MemoryLedger:
    """A ledger for the clients of one process; it forgets when the process ends."""

    def __init__(self) -> None:
        self._spent: dict[tuple[Budget, str], int] = {}
        self._closed: set[tuple[Budget, str]] = set()
        self._next: dict[Budget, float] = {}
        self._departures: dict[Budget, Departures] = {}

    def departures(self, budget: Budget, requests: int) -> Departures:
        """Return the last departures of a budget, the same for every client of this ledger."""
        return self._departures.setdefault(budget, Departures(requests))

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | None:
        """See `Ledger.reserve`."""
        day = utc_day(server_now)
        spent = self._spent.get((budget, day), 0)
        if spent >= per_day or (budget, day) in self._closed:
            return None
        self._spent[budget, day] = spent + 1
        slot, self._next[budget] = _slot(now, self._next.get(budget, now), gap, burst)
        return Grant(slot=slot, day=day)

    async def give_back(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.give_back`."""
        self._spent[budget, grant.day] -= 1

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        self._next[budget] = max(until, self._next.get(budget, until))

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `Ledger.close_day`."""
        self._closed.add((budget, day))

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `Ledger.spent`."""
        return self._spent.get((budget, day), 0), (budget, day) in self._closed

    async def aclose(self) -> None:
        """Nothing to let go of."""


_SCHEMA = """
CREATE TABLE IF NOT EXISTS day (
    account TEXT, grp TEXT, day TEXT, spent INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, grp, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pace (
    account TEXT, grp TEXT, next REAL NOT NULL, PRIMARY KEY (account, grp)) WITHOUT ROWID;
"""
_PATIENCE = 10  # seconds that the file's lock is waited for
_BUSY = 0.01  # seconds until a new file is asked for again
_ENTER_DAY = "INSERT INTO day (account, grp, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def _prepare(db: sqlite3.Connection) -> None:
    """Make a new file a ledger; one that is a ledger stays as it is."""
    # Where two processes switch one new file to WAL, SQLite refuses one of them at once, whatever its timeout.
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_BUSY)
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(_SCHEMA).close()


class SqliteLedger:
    """A ledger in a SQLite file, shared by every process on the machine that names it.

    Besides the day's count it hands out the slots at which requests leave, so that two processes together
    keep to one rate. The file holds no credential: an account is known by a digest.

    Raises:
        ConfigurationError: if the file cannot be opened as a ledger.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._lock_of = os.getpid()
        self._opened: tuple[int, sqlite3.Connection] | None = None
        self._inherited: tuple[int, sqlite3.Connection] | None = None
        self._run(lambda db: db.execute("SELECT 1"))

    def __repr__(self) -> str:
        return f"SqliteLedger({str(self.path)!r})"

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | None:
        """See `Ledger.reserve`."""

        def charge(db: sqlite3.Connection) -> Grant | None:
            day = utc_day(server_now)
            key = (budget.account, budget.group)
            db.execute(_ENTER_DAY, (*key, day))
            changed = db.execute(
                "UPDATE day SET spent = spent + 1 WHERE (account, grp, day) = (?, ?, ?) AND spent < ? AND NOT closed",
                (*key, day, per_day),
            ).rowcount
            if not changed:
                return None
            row = db.execute("SELECT next FROM pace WHERE (account, grp) = (?, ?)", key).fetchone()
            slot, free = _slot(now, row[0] if row else now, gap, burst)
            db.execute("REPLACE INTO pace VALUES (?, ?, ?)", (*key, free))
            return Grant(slot=slot, day=day)

        return await self._transact(charge)

    async def give_back(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.give_back`."""
        await self._transact(
            lambda db: db.execute(
                "UPDATE day SET spent = spent - 1 WHERE (account, grp, day) = (?, ?, ?)",
                (budget.account, budget.group, grant.day),
            )
        )

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        await self._transact(
            lambda db: db.execute(
                "INSERT INTO pace VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
                (budget.account, budget.group, until),
            )
        )

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `Ledger.close_day`."""

        def close(db: sqlite3.Connection) -> None:
            key = (budget.account, budget.group, day)
            db.execute(_ENTER_DAY, key)
            db.execute("UPDATE day SET closed = 1 WHERE (account, grp, day) = (?, ?, ?)", key)

        await self._transact(close)

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `Ledger.spent`."""

        def look(db: sqlite3.Connection) -> tuple[int, bool]:
            row = db.execute(
                "SELECT spent, closed FROM day WHERE (account, grp, day) = (?, ?, ?)",
                (budget.account, budget.group, day),
            ).fetchone()
            return (row[0], bool(row[1])) if row else (0, False)

        return await self._transact(look)

    async def aclose(self) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            if self._opened and self._opened[0] == os.getpid():
                self._opened[1].close()
            self._opened = None

    async def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # In a thread: another process may hold the file's lock, and the event loop must not wait for it.
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._lock_of != os.getpid():  # forked while a thread of the parent held the lock, perhaps
            self._lock, self._lock_of = threading.Lock(), os.getpid()
        try:
            with self._lock:
                db = self._connection()
                db.execute("BEGIN IMMEDIATE")
                try:
                    result = work(db)
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
                return result
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the ledger file {self.path} cannot be used: {error}; name another with AGORA_LEDGER"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        """Return this process's connection: one that came through a fork must not be used."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._inherited = self._opened  # kept, for closing it here would touch the parent's file
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                _prepare(db)
            except BaseException:
                db.close()
                raise
            self._opened = (os.getpid(), db)
        return self._opened[1]
