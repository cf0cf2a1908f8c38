"""What the writer of a store keeps of each app: its locks and its object writer. Replaces the lock of older formats."""

import os
import shutil
import threading
from contextlib import suppress

from attrs import frozen

from agora_analytics.errors import StoreError
from agora_analytics.store import format_version
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import COMMIT_LOCK, STAGING, Layout, encode_id
from agora_analytics.store.locks import CommitLock, FolderLock, open_locked
from agora_analytics.store.object_writer import ObjectWriter


@frozen
class AppAccess:
    """The locks of one app, and the writer of its objects."""

    lock: FolderLock
    commit_lock: CommitLock
    objects: ObjectWriter


class Apps:
    """The access to each app of a store. Thread-safe."""

    def __init__(self, layout: Layout, *, durable: bool) -> None:
        self._layout = layout
        self._durable = durable
        self._guard = threading.Lock()
        self._apps: dict[str, AppAccess] = {}

    def __getitem__(self, app_id: str) -> AppAccess:
        name = encode_id(app_id)
        with self._guard:
            if name not in self._apps:
                replace_old_lock(self._layout, durable=self._durable)
                folder, layout = self._layout.locks(app_id), self._layout
                with translate_os_errors("cannot lock", folder):
                    folder.mkdir(exist_ok=True)
                self._apps[name] = AppAccess(
                    FolderLock(folder / "writers"),
                    CommitLock(folder / "commits"),
                    ObjectWriter(layout.staging(app_id), durable=self._durable),
                )
            return self._apps[name]


def replace_old_lock(layout: Layout, *, durable: bool) -> None:
    """Create the folder of the locks. In a store of format 2, a file of its name is the only lock; replace it.

    The file is replaced after the format was changed, and while no process holds it. So an older version cannot open the
    store any more, and one that has it open cannot lock the folder, and reports an error.

    Raises:
        StoreError: the folder cannot be written.
    """
    path = layout.lock
    while not path.is_dir():
        try:
            descriptor, _ = open_locked(path, shared=False, wait=True)
        except StoreError:
            if path.is_dir():  # another process has replaced it
                return
            raise
        try:
            if not path.is_file():
                continue
            format_version.upgrade(layout.folder, durable=durable)
            _remove_old_parts(layout)
        finally:
            os.close(descriptor)  # before the removal: Windows does not remove an open file
        with translate_os_errors("cannot lock", path), suppress(FileExistsError, IsADirectoryError):
            path.unlink(missing_ok=True)
            path.mkdir()


def _remove_old_parts(layout: Layout) -> None:
    """Remove what format 2 has in addition. No process of an older version is writing."""
    (layout.folder / COMMIT_LOCK).unlink(missing_ok=True)
    for left in (layout.folder / STAGING).glob("*"):
        if not left.name.startswith("app_id="):
            shutil.rmtree(left, ignore_errors=True)
