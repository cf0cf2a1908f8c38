"""The ledger: the requests charged to each day's quota, and the next rate-limit slot.

Quotas belong to the account and are counted in UTC days on the server's clock, over all machines. A `MemoryLedger` knows
the clients of one process; a `SqliteLedger` is shared by all processes of a machine that open the same file.
"""

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from attrs import astuple, define, evolve, field, frozen

from agora_analytics.engine.ledger_file import LOCK_TIMEOUT, LedgerFile, boot_id
from agora_analytics.engine.sliding_window import Reservation, SlidingWindow
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day

T = TypeVar("T")


class Budget(NamedTuple):
    """The key of a quota: an account, and a group of endpoints that share the quota."""

    account: str
    group: str


@define(kw_only=True)
class Grant:
    """A permission to send one request.

    Attributes:
        slot: when the request may be sent (monotonic seconds, see `clock.Clock`).
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
    """Nothing was charged, because the next `slot` (monotonic seconds) is too far ahead; try again by then."""

    slot: float


class Ledger(Protocol):
    """Counts requests.

    `now` and slots are seconds of a monotonic clock, which the processes of one machine share: see `clock.Clock`.
    `server_now` is the server's time in UTC epoch seconds, which decides the day.
    """

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
        """Grant no slot before `until` (monotonic), because the server refused a request over the rate."""
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
_HELD = 1e-6  # seconds by which a hold moves the queue at least, so that an earlier slot is never the last one again
# Seconds; a reading of `now` is never so much older than one that was stored before.
_OUTDATED = LOCK_TIMEOUT + 5


@frozen
class _Queue:
    """The next free time of a budget, and when that was stored: on the monotonic clock and on the server's.

    `boot` identifies the start of the machine that the monotonic clock counts from.
    """

    free: float
    seen: float
    server_seen: float
    boot: str = ""

    def on_clock(self, now: float, server_now: float, boot: str) -> "_Queue":
        """Return the queue on the clock that shows `now`.

        The stored times may be from another clock: the machine was restarted, or the file was copied to another one.
        Then what is left of the wait counts from now, and the server's time decides how much that is.
        """
        free = self.free
        if self.boot != boot or self.seen - now > _OUTDATED:
            passed = max(server_now - self.server_seen, 0.0)
            free = now + max(free - self.seen - passed, 0.0)
        return _Queue(free, now, server_now, boot)

    def reserve(self, gap: float, burst: int) -> "tuple[_Queue, Grant | TooEarly]":
        """Return the queue after the next slot, and the grant.

        A burst takes its slots so many gaps early, and later slots make up for that.
        """
        slot = max(self.seen - _LATE, self.free - (burst - 1) * gap)
        if slot - self.seen > AHEAD:
            return self, TooEarly(slot)
        after = _Queue(max(self.free, slot) + gap, self.seen, self.server_seen, self.boot)
        day = utc_day(self.server_seen)
        return after, Grant(slot=slot, day=day, previous_free=self.free, next_free=after.free)


class MemoryLedger:
    """A ledger for the clients of one process; it forgets when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the loops of blocking clients run in threads of their own
        self._spent: dict[tuple[Budget, str], int] = {}
        self._closed: set[tuple[Budget, str]] = set()
        self._queue: dict[Budget, _Queue] = {}
        self._window: dict[Budget, SlidingWindow] = {}
        _memory_ledgers.add(self)

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
            stored = self._queue.get(budget) or _Queue(now, now, server_now)
            queue = stored.on_clock(now, server_now, stored.boot)
            self._queue[budget], grant = queue.reserve(gap, burst)
            if isinstance(grant, Grant):
                self._spent[budget, day] = spent + 1
        return grant

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`."""
        with self._lock:
            self._spent[budget, grant.day] -= 1
            queue = self._queue[budget]
            if queue.free == grant.next_free:
                self._queue[budget] = evolve(queue, free=grant.previous_free)

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        with self._lock:
            queue = self._queue.get(budget) or _Queue(until, 0.0, 0.0)
            self._queue[budget] = evolve(queue, free=max(until, queue.free + _HELD))

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

    def forked(self) -> None:
        """Make the copy of a forked process usable: threads of the parent do not exist here, and send nothing."""
        self._lock = threading.Lock()
        for window in self._window.values():
            window.forked()


_memory_ledgers: "weakref.WeakSet[MemoryLedger]" = weakref.WeakSet()


def _after_fork() -> None:
    for ledger in list(_memory_ledgers):
        ledger.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

_ENTER_DAY = "INSERT INTO day (account, grp, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteLedger:
    """A ledger in a SQLite file, shared by every process on the machine that names it.

    It counts the day's requests and grants the slots in which they are sent, so that all processes together stay within
    one rate. The file contains no credential: an account is stored as a digest. The ledger may be used on both sides of a
    fork. The first method that is called opens the file, and creates it if it is missing. All methods wait for the file
    in a thread. Close the ledger after the last client. Otherwise the connection is closed when the ledger is collected
    as garbage; nothing is lost, because every method commits before it returns.

    Args:
        path: the file. Its folder is created if it is missing.
        is_default: the user named no file. A new file is then private, and one that cannot be written is replaced by
            memory, with a warning.

    Raises:
        ConfigurationError: the path cannot be the file of a ledger. Every method raises it too: the file is a database
            of another program, cannot be opened, or was deleted while it was in use.
    """

    def __init__(self, path: str | os.PathLike[str], *, is_default: bool = False) -> None:
        self.path = Path(path)
        self._file = LedgerFile(self.path, is_default=is_default)
        weakref.finalize(self, self._file.discard)
        if not is_default:
            with self._file_errors():
                self._file.check_path()

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
            boot = boot_id()
            stored = _stored_queue(db, budget) or _Queue(now, now, server_now, boot)
            queue, grant = stored.on_clock(now, server_now, boot).reserve(gap, burst)
            _store_queue(db, budget, queue)
            if isinstance(grant, Grant):
                db.execute(
                    "INSERT INTO day (account, grp, day, spent) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET spent = spent + 1",
                    (*key, day),
                )
            return grant

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

        def extend(db: sqlite3.Connection) -> None:
            boot = boot_id()
            queue = _stored_queue(db, budget)
            if queue is None or queue.boot != boot:
                queue = _Queue(until, 0.0, 0.0, boot)
            _store_queue(db, budget, evolve(queue, free=max(until, queue.free + _HELD)))

        await self._transact(extend)

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
        """Close the file. In a thread, because another thread may be waiting for the file."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the file; the next method opens it again."""
        self._file.close()

    async def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # In a thread, because another process may hold the lock of the file.
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._file_errors():
            return self._file.transact(work)

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the ledger file {self.path} cannot be used: {error}; "
                "set AGORA_LEDGER to another file, or to 'memory' to count this process only"
            ) from error


def _stored_queue(db: sqlite3.Connection, budget: Budget) -> _Queue | None:
    row = db.execute(
        "SELECT free, seen, server_seen, boot FROM pace WHERE (account, grp) = (?, ?)", budget
    ).fetchone()
    return _Queue(*row) if row else None


def _store_queue(db: sqlite3.Connection, budget: Budget, queue: _Queue) -> None:
    db.execute("REPLACE INTO pace VALUES (?, ?, ?, ?, ?, ?)", (*budget, *astuple(queue)))


def _spent(db: sqlite3.Connection, budget: Budget, day: str) -> tuple[int, bool]:
    row = db.execute(
        "SELECT spent, closed FROM day WHERE (account, grp, day) = (?, ?, ?)",
        (budget.account, budget.group, day),
    ).fetchone()
    return (row[0], bool(row[1])) if row else (0, False)
