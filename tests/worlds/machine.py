"""The machine that the processes of a world share: a disk whose operations are suspended and torn, clocks, and chance."""

import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
from attrs import define
from portalocker import AlreadyLocked, LockFlags, lock

from agora_analytics.store import (
    app_access,
    atomic_exchange,
    compaction,
    duckdb_connection,
    locks,
    object_writer,
    parquet_file,
    units,
)
from agora_analytics.store.rollups import files as rollup_files
from agora_analytics.testing import VirtualClock
from tests.worlds.process import Killed, current_process
from tests.worlds.scheduler import Lock, pause

_OPERATIONS = {
    "open": "opens", "os.rename": "renames", "os.remove": "removes", "os.mkdir": "creates", "os.rmdir": "removes",
    "os.listdir": "lists", "os.scandir": "lists",
}  # fmt: skip


class MachineClock:
    """The clock of the machine, which may be wrong. Its monotonic time is right.

    Args:
        true: the right time.
        ahead: how many seconds the clock is ahead.
    """

    def __init__(self, true: VirtualClock, ahead: float) -> None:
        self._true = true
        self.ahead = ahead

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        return self._true.now() + self.ahead

    def monotonic(self) -> float:
        """Return the seconds since the machine was started."""
        return self._true.monotonic()


@contextmanager
def simulated_machine(folder: Path, clock: MachineClock, chance: random.Random) -> Iterator[None]:
    """Suspend threads at their file operations below `folder`, and take random names and times from the world."""
    random.seed(chance.random())  # of the request loop, whose back-off is random

    def token_hex(size: int = 8) -> str:
        return f"{chance.getrandbits(size * 8):0{size * 2}x}"

    patches = {
        locks: {"threading": _threading, "_lock": _lock},
        app_access: {"threading": _threading},
        units: {"threading": _threading},
        object_writer: {"secrets": SimpleNamespace(token_hex=token_hex)},
        rollup_files: {"secrets": SimpleNamespace(token_hex=token_hex)},
        compaction: {
            "secrets": SimpleNamespace(token_hex=token_hex),
            "time": SimpleNamespace(time=clock.now),
        },
        atomic_exchange: {"exchange": _exchange},
        parquet_file: {"write": _torn_write(chance)},
        duckdb_connection: {"connect": _connections()},
    }
    with ExitStack() as stack:
        for module, names in patches.items():
            for name, value in names.items():
                stack.enter_context(mock.patch.object(module, name, value))
        _files.start(folder)
        stack.callback(_files.stop)
        yield


_threading = SimpleNamespace(Lock=Lock, RLock=lambda: Lock(reentrant=True))
_real_exchange = atomic_exchange.exchange
_real_connect = duckdb_connection.connect
_real_write = parquet_file.write


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    """Lock a file as `locks._lock` does, without blocking the event loop."""
    flags = LockFlags.SHARED if shared else LockFlags.EXCLUSIVE
    while True:
        try:
            lock(descriptor, flags | LockFlags.NON_BLOCKING)
        except AlreadyLocked:
            if not wait:
                return False
            pause("waits for a file lock", blocked=True)
        else:
            return True


def _exchange(one: Path, other: Path) -> None:
    pause(f"exchanges {other.name}")  # a system call without an audit event
    _real_exchange(one, other)


def _connections() -> Callable[[], duckdb.DuckDBPyConnection]:
    """Return a function that returns a new DuckDB database, as `duckdb_connection.connect` does, in a hundredth of the time."""
    shared: list[duckdb.DuckDBPyConnection] = []
    numbers = itertools.count()

    def connect() -> duckdb.DuckDBPyConnection:
        if not shared:
            shared.append(_real_connect())
        connection, name = shared[0].cursor(), f"database{next(numbers)}"
        connection.execute(f"SET TimeZone = 'UTC'; ATTACH ':memory:' AS {name}; USE {name}")
        return connection

    return connect


def _torn_write(chance: random.Random) -> Any:
    """Return a function that writes a file as `parquet_file.write` does; a kill leaves a part of it."""

    def write(path: Path, *args: Any, **options: Any) -> int:
        pause(f"opens {path.name}")
        rows = _real_write(path, *args, **options)
        try:
            pause(f"writes {path.name}")
        except Killed:
            os.truncate(path, int(chance.random() * path.stat().st_size))  # not an operation that is watched
            raise
        return rows

    return write


@define
class _FileWatch:
    """Suspends threads before each file operation in a folder. An audit hook cannot be removed, so it is added once."""

    folder: str = ""
    is_installed: bool = False

    def start(self, folder: Path) -> None:
        self.folder = str(folder)
        if not self.is_installed:
            sys.addaudithook(self._before_operation)
            self.is_installed = True

    def stop(self) -> None:
        self.folder = ""

    def _before_operation(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.folder or event not in _OPERATIONS:
            return
        path, process = str(args[0]), current_process()
        if not path.startswith(self.folder) or process is None:
            return
        if process.killed:
            raise Killed
        # temporary names contain the id of this process, which the seed does not decide
        name = path[len(self.folder) :].replace(f"{os.getpid()}-", "PID-")
        pause(f"{_OPERATIONS[event]} {name}")
        if event == "os.rename":
            process.count_rename()


_files = _FileWatch()
