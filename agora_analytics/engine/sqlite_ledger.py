"""A ledger in a SQLite file, shared by the processes of one machine."""

import asyncio
import math
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import astuple, frozen

from agora_analytics.engine.ledger import LATE, Budget, Grant, Queue, TooEarly
from agora_analytics.engine.ledger_file import LedgerFile, boot_id
from agora_analytics.engine.pace import Pace
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day

T = TypeVar("T")


_ENTER_DAY = "INSERT INTO day (account, grp, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_CHARGE = "INSERT INTO day (account, grp, day, spent) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET spent = spent + 1"


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

    ahead = 0.25

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
        self, budget: Budget, *, now: float, server_now: float, pace: Pace, per_day: int, waiting: int = 1
    ) -> Grant | TooEarly | None:
        """See `Ledger.reserve`."""
        day = utc_day(server_now)

        def charge(db: sqlite3.Connection) -> Grant | TooEarly | None:
            spent, closed = _spent(db, budget, day)
            if closed or spent >= per_day:
                return None
            places = _StoredPlaces.of(db, budget, now=now, server_now=server_now)
            granted = places.queue.reserve(
                pace, now=now, day=day, predecessor=places.arrived(pace.requests), ahead=self.ahead
            )
            if isinstance(granted, Grant):
                granted.arrived = granted.recorded = granted.slot + LATE + pace.jitter
                places.append(granted, pace, now=now, server_now=server_now)
                db.execute(_CHARGE, (*budget, day))
            return granted

        return await self._transact(charge)

    async def postpone(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.postpone`."""
        row = (grant.arrived, *budget, grant.seq)
        await self._transact(
            lambda db: db.execute("UPDATE place SET arrived = ? WHERE (account, grp, seq) = (?, ?, ?)", row)
        )

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`."""

        def undo(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE day SET spent = spent - 1 WHERE (account, grp, day) = (?, ?, ?)", (*budget, grant.day)
            )
            place = (*budget, grant.seq)
            last = db.execute(
                "UPDATE queue SET free = ?, seq = seq - 1 WHERE (account, grp, seq) = (?, ?, ?)",
                (grant.previous_free, *place),
            )
            if last.rowcount:
                db.execute("DELETE FROM place WHERE (account, grp, seq) = (?, ?, ?)", place)
            else:  # the next request waits for the predecessor of this one
                db.execute(
                    "UPDATE place SET arrived = ? WHERE (account, grp, seq) = (?, ?, ?)",
                    (grant.predecessor, *place),
                )

        await self._transact(undo)

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        await self._transact(
            lambda db: db.execute(
                "INSERT INTO queue (account, grp, held, boot) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET held = MAX(held, excluded.held)",
                (*budget, until, boot_id()),
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


@frozen
class _StoredPlaces:
    """The queue and the places of one budget in the file, within a transaction."""

    db: sqlite3.Connection
    budget: Budget
    queue: Queue

    @classmethod
    def of(cls, db: sqlite3.Connection, budget: Budget, *, now: float, server_now: float) -> "_StoredPlaces":
        """Read the queue, its times on the clock that shows `now`."""
        row = db.execute(
            "SELECT seq, free, held, seen, server_seen, boot FROM queue WHERE (account, grp) = (?, ?)", budget
        ).fetchone()
        queue, shift = (Queue(*row) if row else Queue()).on_clock(now, server_now, boot_id())
        places = cls(db, budget, queue)
        if shift:
            db.execute(
                "UPDATE place SET arrived = arrived + ? WHERE (account, grp) = (?, ?)", (shift, *budget)
            )
            places.store(queue)
        return places

    def arrived(self, requests: int) -> float:
        """Return by when the request arrived that is `requests` places before the next one; -inf: there is none."""
        row = self.db.execute(
            "SELECT arrived FROM place WHERE (account, grp, seq) = (?, ?, ?)",
            (*self.budget, self.queue.seq + 1 - requests),
        ).fetchone()
        return row[0] if row else -math.inf

    def append(self, grant: Grant, pace: Pace, *, now: float, server_now: float) -> None:
        """Add a place, and forget those that no client needs: not even one whose plan has a higher rate."""
        queue = self.queue.after(grant, now=now, server_now=server_now, boot=boot_id())
        self.db.execute("INSERT INTO place VALUES (?, ?, ?, ?)", (*self.budget, grant.seq, grant.arrived))
        self.db.execute(
            "DELETE FROM place WHERE (account, grp) = (?, ?) AND seq <= ? AND arrived < ?",
            (*self.budget, grant.seq - pace.requests, now - 2 * pace.period),
        )
        self.store(queue)

    def store(self, queue: Queue) -> None:
        """Store the queue."""
        self.db.execute("REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*self.budget, *astuple(queue)))


def _spent(db: sqlite3.Connection, budget: Budget, day: str) -> tuple[int, bool]:
    row = db.execute(
        "SELECT spent, closed FROM day WHERE (account, grp, day) = (?, ?, ?)",
        (budget.account, budget.group, day),
    ).fetchone()
    return (row[0], bool(row[1])) if row else (0, False)
