"""The SQLite file of a ledger: opened when it is needed, laid out if it is new, and closed while the process forks."""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOCK_TIMEOUT = 10.0
"""Seconds that the file's lock is waited for."""
_SCHEMA = (
    """CREATE TABLE day (
    account TEXT, grp TEXT, day TEXT, spent INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, grp, day)) WITHOUT ROWID""",
    """CREATE TABLE pace (
    account TEXT, grp TEXT, free REAL NOT NULL, seen REAL NOT NULL, PRIMARY KEY (account, grp)) WITHOUT ROWID""",
)
_OURS = 0x41_47_4C_31  # "AGL1": what SQLite files carry to tell whose they are, and of which layout
_BUSY = 0.01  # seconds until a new file is asked for again


class LedgerFile:
    """One connection to a ledger's file, for all threads of this process.

    Nothing is opened before the first transaction, nor behind `close` before the next one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        with _no_fork:
            _files.add(self)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction of its own.

        Raises:
            sqlite3.Error: if the file is no ledger, or cannot be read or written.
            OSError: if its folder cannot be made.
        """
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            with _transaction(self._opened):
                return work(self._opened)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        self.hold_closed()
        self.release()

    def discard(self) -> None:
        """Close the file of a ledger that nobody refers to any more. Never blocks: garbage collection calls it."""
        # The lock is taken only while the process forks, which closes the file, or at exit by a thread still at work.
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()
        _files.discard(self)

    def hold_closed(self) -> None:
        """Close the file, and let no thread open it before `release`."""
        self._lock.acquire()
        self._close()

    def release(self) -> None:
        """Let it be opened again."""
        self._lock.release()

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db)
        except BaseException:
            db.close()
            raise
        return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make a new file a ledger; one that is a ledger stays as it is, and so does one that is anything else."""
    # Where two processes switch one new file to WAL, SQLite refuses one of them at once, whatever its timeout.
    give_up = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            if not _is_ledger(db):
                db.execute("PRAGMA journal_mode = WAL")
                _lay_out(db)
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_BUSY)
    db.execute("PRAGMA synchronous = NORMAL")


def _is_ledger(db: sqlite3.Connection) -> bool:
    """Return whether a file is a ledger; False: it is empty."""
    filled = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    # asked behind it, for another may lay it out meanwhile
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    if mark == _OURS:
        return True
    if mark or filled:
        raise sqlite3.DatabaseError("it is a database of another program, or a ledger of another version")
    return False


def _lay_out(db: sqlite3.Connection) -> None:
    with _transaction(db):
        if not _is_ledger(db):  # nobody was faster
            for table in _SCHEMA:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {_OURS}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


# SQLite keeps a file's locks for the process, not for the connection: if a connection lives on in a fork, closing it
# on one side takes the locks from the other, and what is written then is lost. So none is open while a process forks.
_files: set[LedgerFile] = set()
_no_fork = threading.Lock()
_held: list[LedgerFile] = []


def _before_fork() -> None:
    _no_fork.acquire()
    for file in _files.copy():  # `discard` may be called at any point, by garbage collection
        file.hold_closed()
        _held.append(file)


def _after_fork() -> None:
    while _held:
        _held.pop().release()
    _no_fork.release()


if sys.platform != "win32":
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
