"""File locks of an app in a store: shared for writers, exclusive for compaction, and one that serializes commits.

portalocker provides them on every system: `flock` on Linux and macOS, `LockFileEx` on Windows. The locks are advisory
on POSIX; on Windows nobody else can write to a locked lock file either. The system releases them with the process.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agora_analytics.store.failures import translate_os_errors


class CommitLock:
    """An exclusive file lock that one thread of one process holds at a time, for a short time. Reentrant."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.RLock()
        self._taken = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the lock, and hold it while the block runs."""
        with self._guard:
            if self._taken:
                yield
                return
            descriptor, _ = open_locked(self.path, shared=False, wait=True)
            try:
                self._taken = True
                yield
            finally:
                self._taken = False
                os.close(descriptor)


class FolderLock:
    """A file lock on an app: shared between writers, exclusive for compaction. Thread-safe.

    Each exclusive use appends one byte to the lock file, so that a writer can see that compacted files have changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._holders = 0
        self._descriptor = -1

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other writers. Waits for a running compaction; may be nested."""
        with self._guard:
            if not self._holders:
                self._descriptor, _ = open_locked(self.path, shared=True, wait=True)
            self._holders += 1
        try:
            yield
        finally:
            with self._guard:
                self._holders -= 1
                if not self._holders:
                    os.close(self._descriptor)

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Hold the lock alone, without waiting; yields whether that succeeded."""
        # A harvest may hold the shared lock for hours, so compaction skips the day instead of waiting.
        descriptor, locked = open_locked(self.path, shared=False, wait=False)
        try:
            if locked:
                self._count(descriptor)
            yield locked
        finally:
            os.close(descriptor)

    def changes(self) -> int:
        """Return how often compacted files were replaced or removed. Stable while the caller holds the shared lock."""
        return self.path.stat().st_size

    def count_change(self) -> None:
        """Record that compacted files were removed. The caller holds the shared lock."""
        self._count(self._descriptor)

    def _count(self, descriptor: int) -> None:
        with translate_os_errors("cannot lock", self.path):
            os.write(descriptor, b".")


def open_locked(path: Path, *, shared: bool, wait: bool) -> tuple[int, bool]:
    """Open and lock a file; return its descriptor and whether it is locked. Closing the descriptor releases the lock."""
    with translate_os_errors("cannot lock", path):
        # A new descriptor each time: the locks belong to descriptors, also within one process.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            return descriptor, _lock(descriptor, shared=shared, wait=wait)
        except BaseException:
            os.close(descriptor)
            raise


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    """Lock an open file; return False if another descriptor holds it and `wait` is false."""
    from portalocker import AlreadyLocked, LockException, LockFlags, lock

    flags = LockFlags.SHARED if shared else LockFlags.EXCLUSIVE
    while True:
        try:
            lock(descriptor, flags if wait else flags | LockFlags.NON_BLOCKING)
        except AlreadyLocked:
            if not wait:
                return False
            # Windows gives up an exclusive lock after ten tries, a second apart: try again.
        except LockException as error:
            # chained by portalocker; its own message repeats the errno
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from error
        else:
            return True
