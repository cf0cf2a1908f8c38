"""The file locks of a store: shared and exclusive, between processes and within one."""

import errno
import subprocess
import sys

import portalocker
import pytest

from agora_analytics.errors import StoreError
from agora_analytics.store.locks import CommitLock, FolderLock


def test_exclusive_lock_fails_while_shared_and_counts_its_uses(tmp_path):
    """Each `FolderLock` has descriptors of its own, so two in one process exclude each other as two processes do."""
    lock, other = FolderLock(tmp_path / "_lock"), FolderLock(tmp_path / "_lock")
    with lock.shared(), other.shared():
        with FolderLock(lock.path).exclusive() as locked:
            assert not locked
        assert lock.changes() == 0
    with lock.exclusive() as locked, other.exclusive() as again:
        assert (locked, again) == (True, False)
    assert lock.changes() == 1


HOLD = """
import sys
from pathlib import Path
from agora_analytics.store.locks import FolderLock
with FolderLock(Path(sys.argv[1])).shared():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_lock_of_another_process_ends_with_it(tmp_path):
    lock = FolderLock(tmp_path / "_lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline().strip() == b"locked"
        with lock.exclusive() as locked:
            assert not locked
        holder.kill()
        holder.wait()
        with lock.exclusive() as locked:
            assert locked


@pytest.mark.parametrize(
    "take", [lambda path: CommitLock(path).taken(), lambda path: FolderLock(path).shared()]
)
def test_waiting_lock_is_tried_again_when_the_system_gives_up(take, tmp_path, monkeypatch):
    """Windows stops waiting for an exclusive lock after ten seconds."""
    refusals = [portalocker.AlreadyLocked("resource deadlock avoided")] * 3
    real = portalocker.lock

    def lock(descriptor, flags):
        assert not flags & portalocker.LockFlags.NON_BLOCKING
        if refusals:
            raise refusals.pop()
        real(descriptor, flags)

    monkeypatch.setattr(portalocker, "lock", lock)
    with take(tmp_path / "_lock"):
        assert not refusals


@pytest.mark.parametrize("cause", [OSError(errno.ENOLCK, "No locks available"), None])
def test_file_system_without_locks_is_a_store_error(cause, tmp_path, monkeypatch):
    def lock(descriptor, flags):
        raise portalocker.LockException("No locks available") from cause

    monkeypatch.setattr(portalocker, "lock", lock)
    with (
        pytest.raises(StoreError, match=r"cannot lock .*_lock: No locks available"),
        FolderLock(tmp_path / "_lock").shared(),
    ):
        pass
