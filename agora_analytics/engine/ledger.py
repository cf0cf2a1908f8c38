"""The ledger: the requests charged to each day's quota, and the next rate-limit slot.

Quotas belong to the account and are counted in UTC days on the server's clock, over all machines. A `MemoryLedger` knows
the clients of one process; a `SqliteLedger` is shared by all processes of a machine that open the same file.
"""

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from attrs import field, frozen

from agora_analytics.engine.ledger_file import LOCK_TIMEOUT, LedgerFile
from agora_analytics.engine.sliding_window import Reservation, SlidingWindow
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day

T = TypeVar("T")


class Budget(NamedTuple):
    """The key of a quota: an account, and a group of endpoints that share the quota."""

    account: str
    group: str


@frozen(kw_only=True)
class Grant:
    """A permission to send one request.

    Attributes:
        slot: when the request may be sent (epoch seconds, our clock).
        day: the UTC day that it is charged to.
        previous_free: the next free time before this slot was reserved.
        next_free: the next free time after it. A released slot becomes available again only if no later slot was
            reserved and no hold was placed since.
        reservation: the limiter's place in its sliding window.
    """

    slot: float
    day: str
    previous_free: float = 0.0
    next_free: float = 0.0
    reservation: Reservation | None = field(default=None, eq=False, repr=False)


@frozen
class TooEarly:
    """Nothing was charged, because the next `slot` (epoch seconds, our clock) is too far ahead; try again by then."""

    slot: float


class Ledger(Protocol):
    """Counts requests. `now` is the time on our clock, `server_now` on the server's; both in epoch seconds."""

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | TooEarly | None:
        """Charge one request and return its slot; None: the day's quota is spent.

        Slots are `gap` apart, except that `burst` requests may be sent at once after a pause. A slot is granted at most
        `AHEAD` in advance, so that a caller that is cancelled or dies leaves no hole in the queue.
        """
        ...

    async def release(self, budget: Budget, grant: Grant) -> None:
        """Release the charge and the slot of a request that was never sent."""
        ...

    async def hold(self, budget: Budget, until: float) -> None:
        """Grant no slot before `until`, because the server refused a request over the rate."""
        ...

    async def close_day(self, budget: Budget, day: str) -> None:
        """Record that the server reports the day's quota as spent."""
        ...

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """Return how many requests were charged to the day, and whether the server closed it."""
        ...

    async def aclose(self) -> None:
        """Close files."""
        ...


AHEAD = 1.0
"""Seconds; a slot that is further ahead is not granted yet."""
_LATE = 0.002  # seconds that a timer may be late without delaying the next slots
_NEVER_SEEN = (0.0, 0.0)
_HELD = 1e-6  # seconds by which a hold moves the queue at least, so that an earlier slot is never the last one again
_SET_BACK = LOCK_TIMEOUT + 5  # seconds; a clock that is so far behind an earlier reading was set back


def _next_slot(now: float, free: float, seen: float, gap: float, burst: int) -> tuple[float, float, float]:
    """Return the next slot, and the next free time before and after it; `free` was the latter when the clock was `seen`.

    A burst takes its slots so many gaps early, and later slots make up for that. If the clock was set back, the queue is
    set back with it, so that a hold keeps its length.
    """
    if seen - now > _SET_BACK:
        free -= seen - now
    slot = max(now - _LATE, free - (burst - 1) * gap)
    return slot, free, max(free, slot) + gap


class MemoryLedger:
    """A ledger for the clients of one process; it forgets when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the loops of blocking clients run in threads of their own
        self._spent: dict[tuple[Budget, str], int] = {}
        self._closed: set[tuple[Budget, str]] = set()
        self._queue: dict[Budget, tuple[float, float]] = {}
        self._window: dict[Budget, SlidingWindow] = {}

    def sliding_window(self, budget: Budget, requests: int) -> SlidingWindow:
        """Return the last requests of a budget, the same for every client of this ledger, whatever its rate."""
        with self._lock:
            window = self._window.setdefault(budget, SlidingWindow(requests))
            return window if window.requests == requests else window.sharing(requests)

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | TooEarly | None:
        """See `Ledger.reserve`."""
        day = utc_day(server_now)
        with self._lock:
            spent = self._spent.get((budget, day), 0)
            if spent >= per_day or (budget, day) in self._closed:
                return None
            slot, before, after = _next_slot(now, *self._queue.get(budget, (now, now)), gap, burst)
            if slot - now > AHEAD:
                self._queue[budget] = before, now
                return TooEarly(slot)
            self._queue[budget] = after, now
            self._spent[budget, day] = spent + 1
        return Grant(slot=slot, day=day, previous_free=before, next_free=after)

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`."""
        with self._lock:
            self._spent[budget, grant.day] -= 1
            free, seen = self._queue[budget]
            if free == grant.next_free:
                self._queue[budget] = grant.previous_free, seen

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        with self._lock:
            free, seen = self._queue.get(budget, _NEVER_SEEN)
            self._queue[budget] = max(until, free + _HELD), seen

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `Ledger.close_day`."""
        with self._lock:
            self._closed.add((budget, day))

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `Ledger.spent`."""
        with self._lock:
            return self._spent.get((budget, day), 0), (budget, day) in self._closed

    async def aclose(self) -> None:
        """Nothing to close."""


_ENTER_DAY = "INSERT INTO day (account, grp, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteLedger:
    """A ledger in a SQLite file, shared by every process on the machine that names it.

    It counts the day's requests and grants the slots in which they are sent, so that all processes together stay within
    one rate. The file contains no credential: an account is stored as a digest. The ledger may be used on both sides of a
    fork. The file is opened on demand. Close the ledger after the last client. Otherwise the connection is closed when
    the ledger is collected as garbage; nothing is lost, because every method commits before it returns.

    Raises:
        ConfigurationError: the file cannot be opened as a ledger, or is a database of another program.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = LedgerFile(self.path)
        weakref.finalize(self, self._file.discard)
        self._run(lambda db: db.execute("SELECT 1"))

    def __repr__(self) -> str:
        return f"SqliteLedger({str(self.path)!r})"

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, gap: float, per_day: int, burst: int = 1
    ) -> Grant | TooEarly | None:
        """See `Ledger.reserve`."""
        key, day = (budget.account, budget.group), utc_day(server_now)

        def charge(db: sqlite3.Connection) -> Grant | TooEarly | None:
            spent, closed = _spent(db, budget, day)
            if closed or spent >= per_day:
                return None
            row = db.execute("SELECT free, seen FROM pace WHERE (account, grp) = (?, ?)", key).fetchone()
            free, seen = row or (now, now)
            slot, before, after = _next_slot(now, free, seen, gap, burst)
            early = slot - now > AHEAD
            db.execute("REPLACE INTO pace VALUES (?, ?, ?, ?)", (*key, before if early else after, now))
            if early:
                return TooEarly(slot)
            db.execute(
                "INSERT INTO day (account, grp, day, spent) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET spent = spent + 1",
                (*key, day),
            )
            return Grant(slot=slot, day=day, previous_free=before, next_free=after)

        return await self._transact(charge)

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`."""
        key = (budget.account, budget.group)

        def undo(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE day SET spent = spent - 1 WHERE (account, grp, day) = (?, ?, ?)", (*key, grant.day)
            )
            db.execute(
                "UPDATE pace SET free = ? WHERE (account, grp, free) = (?, ?, ?)",
                (grant.previous_free, *key, grant.next_free),
            )

        await self._transact(undo)

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        await self._transact(
            lambda db: db.execute(
                "INSERT INTO pace VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET free = max(free + ?, excluded.free)",
                (budget.account, budget.group, until, _HELD),
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
        return await self._transact(lambda db: _spent(db, budget, day))

    async def aclose(self) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; the next method opens it again."""
        self._file.close()

    async def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # In a thread, because another process may hold the lock of the file.
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._file.transact(work)
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the ledger file {self.path} cannot be used: {error}; set AGORA_LEDGER to another file"
            ) from error


def _spent(db: sqlite3.Connection, budget: Budget, day: str) -> tuple[int, bool]:
    row = db.execute(
        "SELECT spent, closed FROM day WHERE (account, grp, day) = (?, ?, ?)",
        (budget.account, budget.group, day),
    ).fetchone()
    return (row[0], bool(row[1])) if row else (0, False)
