"""Who may change the folder: any number of writers together, or one compaction alone; and one who shows a call."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agora_analytics.store.failures import translate_os_errors

if sys.platform == "win32":

    def _hold(descriptor: int, *, alone: bool) -> bool:
        # no folder can be exchanged there, so nothing is compacted, and writers need not keep it out
        del descriptor
        return not alone

    def _wait_for(descriptor: int) -> None:
        del descriptor  # one process at a time may harvest into a store there
else:
    import fcntl

    def _hold(descriptor: int, *, alone: bool) -> bool:
        try:
            # a compaction never waits for a harvest of hours; a writer waits for one day's compaction
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            return False
        return True

    def _wait_for(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


class CommitLock:
    """An advisory lock that one thread holds at a time, for a moment; it may take it again. Ends with the process.

    Example:
        >>> with CommitLock(Path("/tmp/_commit_lock")).taken():
        ...     pass
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.RLock()
        self._taken = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, and hold it while the block runs.

        Raises:
            StoreError: if the lock file cannot be made.
        """
        with self._guard:
            if self._taken:
                yield
                return
            with translate_os_errors("cannot lock", self.path):
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                with translate_os_errors("cannot lock", self.path):
                    _wait_for(descriptor)
                self._taken = True
                yield
            finally:
                self._taken = False
                os.close(descriptor)


class FolderLock:
    """An advisory lock on a file: shared for writers, exclusive for compaction. Thread-safe; ends with the process.

    The file grows by one byte each time it is held alone, so that writers see that a compaction has come between.

    Example:
        >>> lock = FolderLock(Path("/tmp/_lock"))
        >>> with lock.shared():
        ...     pass
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._holders = 0
        self._descriptor = -1

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other writers. Waits while a compaction has it; may be nested.

        Raises:
            StoreError: if the lock file cannot be made.
        """
        with self._guard:
            if not self._holders:
                self._descriptor, _ = self._take(alone=False)
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
        """Hold the lock alone if nobody has it at this moment; yields whether that worked.

        Raises:
            StoreError: if the lock file cannot be made.
        """
        descriptor, held = self._take(alone=True)
        try:
            if held:
                with translate_os_errors("cannot lock", self.path):
                    os.write(descriptor, b".")
            yield held
        finally:
            os.close(descriptor)

    def times_held_alone(self) -> int:
        """Return how often it was held alone. To be asked while it is held shared: only then it stays so."""
        return self.path.stat().st_size

    def _take(self, *, alone: bool) -> tuple[int, bool]:
        with translate_os_errors("cannot lock", self.path):
            # a descriptor of its own each time: flock tells descriptors apart, also within one process
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                return descriptor, _hold(descriptor, alone=alone)
            except OSError:
                os.close(descriptor)
                raise
