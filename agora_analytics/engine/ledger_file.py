"""The SQLite file of a ledger: opened on demand, created if it is missing, closed while the process forks."""

import os
import sqlite3
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from agora_analytics.errors import ConfigurationError
from agora_analytics.logs import logger_of

T = TypeVar("T")

_log = logger_of("ledger")

LOCK_TIMEOUT = 10.0
"""Seconds to wait for the lock of the file."""
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS day (
    account TEXT, grp TEXT, day TEXT, spent INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, grp, day)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS queue (
    account TEXT, grp TEXT, seq INTEGER NOT NULL DEFAULT 0, free REAL NOT NULL DEFAULT -9e999,
    held REAL NOT NULL DEFAULT -9e999, seen REAL NOT NULL DEFAULT -9e999, server_seen REAL NOT NULL DEFAULT -9e999, boot TEXT NOT NULL,
    PRIMARY KEY (account, grp)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS place (
    account TEXT, grp TEXT, seq INTEGER, arrived REAL NOT NULL, PRIMARY KEY (account, grp, seq)) WITHOUT ROWID""",
)
_OURS = 0x41_47_4C_32
"""The application id of SQLite files with this schema: AGL2."""
_VERSION = 1
"""The version of the schema, in `PRAGMA user_version`. A file of an earlier version gets the tables that it lacks."""
_BUSY = 0.01  # seconds until a busy file is tried again


@lru_cache
def boot_id() -> str:
    """Return what identifies this start of the machine; "" if the system has no such id."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


class LedgerFile:
    """One connection to a ledger's file, for all threads of this process.

    The file is opened by the first transaction, and again by the first one after `close`.

    Args:
        path: the file.
        is_default: the user named no file. A new file is then readable by its owner only. If the file cannot be
            written, the database is in memory until the process ends.
    """

    def __init__(self, path: Path, *, is_default: bool = False) -> None:
        self._path = path
        self._is_default = is_default
        self._in_memory = False
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None  # of the file, from its first use until `close`
        with _no_fork:
            _files.add(self)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction.

        Raises:
            sqlite3.Error: the file is not a ledger, or cannot be read or written.
            OSError: its folder cannot be created.
            ConfigurationError: the file was deleted or replaced since the first use.
        """
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            with _transaction(self._opened):
                self._check_identity()
                return work(self._opened)

    def check_path(self) -> None:
        """Raise `OSError` if the path cannot be a file. Does not open it, because that may wait for a lock."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(self._path.stat().st_mode):
                raise IsADirectoryError("it is a folder")

    def close(self) -> None:
        """Close the file; the next transaction opens it again, or creates it."""
        self.hold_closed()
        self._identity = None
        self.release()

    def discard(self) -> None:
        """Close the file of a ledger that is collected as garbage, without blocking."""
        # The lock is taken only while the process forks, which closes the file, or at exit by a thread still at work.
        if self._lock.acquire(blocking=False):
            try:
                self._in_memory = False  # its last use, so that it is closed as well
                self._close()
            finally:
                self._lock.release()
        _files.discard(self)

    def hold_closed(self) -> None:
        """Close the file, and let no thread open it before `release`."""
        self._lock.acquire()
        self._close()

    def release(self) -> None:
        """Allow the file to be opened again."""
        self._lock.release()

    def _close(self) -> None:
        if self._opened is not None and not self._in_memory:
            self._opened.close()
            self._opened = None

    def _check_identity(self) -> None:
        """Refuse to count in a file that other processes can no longer open."""
        if self._in_memory:
            return
        try:
            if self._read_identity() == self._identity:
                return
        except FileNotFoundError:
            pass
        raise ConfigurationError(
            f"the ledger file {self._path} was deleted or replaced while it was in use; restart all programs that use it"
        )

    def _read_identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    def _open(self) -> sqlite3.Connection:
        if self._identity is not None:  # closed for a fork: a missing file must not be created again
            self._check_identity()
        if not self._is_default or self._identity is not None:
            return self._open_file()
        try:
            return self._open_file()
        except (OSError, sqlite3.OperationalError) as error:
            if _is_busy(error):
                raise
            self._in_memory = True
            warnings.warn(
                f"cannot write the ledger file {self._path} ({error}): this process counts its requests in memory, and "
                "does not share its rate limits with other processes. Set AGORA_LEDGER to a file that can be written, "
                "or to 'memory'",
                RuntimeWarning,
                stacklevel=2,
            )
        db = _connect(":memory:")
        _prepare(db)
        return db

    def _open_file(self) -> sqlite3.Connection:
        if self._is_default:
            self._create_private()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = _connect(self._path)
        try:
            _prepare(db)
            if self._is_default:
                # Deletes nothing. SQLite reports a read-only file at a write only, not at `BEGIN IMMEDIATE`.
                db.execute("DELETE FROM day WHERE account IS NULL")
            self._identity = self._read_identity()
        except BaseException:
            db.close()
            raise
        _log.debug("counting requests in %s", self._path)
        return db

    def _create_private(self) -> None:
        if not self._path.is_absolute():
            raise FileNotFoundError("the home folder is unknown")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only a new file: closing a second descriptor of an open file would release SQLite's locks.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)


def _is_busy(error: Exception) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    )


def _prepare(db: sqlite3.Connection) -> None:
    """Make a new file a ledger; one that is a ledger stays as it is, and so does one that is anything else."""
    # Where two processes switch one new file to WAL, SQLite refuses one of them at once, whatever its timeout.
    give_up = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            if not _is_current(db):
                db.execute("PRAGMA journal_mode = WAL")
                _create_tables(db)
            break
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(_BUSY)
    db.execute("PRAGMA synchronous = NORMAL")


def _is_current(db: sqlite3.Connection) -> bool:
    """Return whether a file is a ledger with all tables; False if it is empty, or of an earlier version."""
    filled = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    # read second, because another process may create the tables in between
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    if mark != _OURS and (mark or filled):
        raise sqlite3.DatabaseError("it is a database of another program, or a ledger of another version")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return bool(mark) and version >= _VERSION


def _create_tables(db: sqlite3.Connection) -> None:
    with _transaction(db):
        if not _is_current(db):  # no other process was faster
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_OURS}")
            db.execute(f"PRAGMA user_version = {_VERSION}")


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


# SQLite holds the locks of a file for the process, not for a connection. If a connection survives a fork, closing it in
# one process releases the locks of the other, whose writes are then lost. So no file is open while the process forks.
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
