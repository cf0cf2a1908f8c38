"""Storage failures: translates them to `StoreError`, and retries reads while a compaction replaces files.

Every function of the store that reads or writes files raises `StoreError` if that fails, or if a file is damaged.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from agora_analytics.errors import StoreError

T = TypeVar("T")

_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_READS = {"cannot read", "cannot list", "cannot open the store"}
_WRONG_KIND = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}

_PAUSES = (*(0.005 * 2**attempt for attempt in range(8)), 1.0, 1.0, 1.0)
"""Seconds between the attempts of a read."""


@contextmanager
def translate_os_errors(action: str, target: Path | str) -> Iterator[None]:
    """Raise a `StoreError` with advice in place of every `OSError` in the block.

    `action` is what was attempted, such as `cannot write`; `target` is the file or folder.
    """
    try:
        yield
    except OSError as problem:
        raise store_error(action, target, problem) from problem


@contextmanager
def translate_read_errors(path: Path) -> Iterator[None]:
    """Raise a `StoreError` if pyarrow cannot read a file; `FileNotFoundError` passes through unchanged."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise store_error("cannot read", path, problem) from problem
        raise damaged(path, problem) from problem


def store_error(action: str, target: Path | str, problem: OSError) -> StoreError:
    """Return the error for a failed system call, with advice for the user."""
    if problem.errno in _DISK_FULL:
        advice = "all committed data is safe; free space and run the same command again"
    elif problem.errno in _FORBIDDEN:
        access = "read" if action in _READS else "write"
        advice = f"all committed data is safe; grant this user {access} permission, or choose another folder"
    elif problem.errno in _WRONG_KIND:
        advice = "there is a file where a folder is needed, or a folder where a file is needed; move it away, or choose another folder"
    else:
        advice = "all committed data is safe; fix the cause and run the same command again"
    # pyarrow adds errno and path to its message, so use the system's message.
    reason = str(problem).splitlines()[0] if problem.errno is None else os.strerror(problem.errno)
    return StoreError(f"{action} {target}: {reason}; {advice}")


def damaged(target: Path | str, problem: Exception) -> StoreError:
    """Return the error for a file that is not a complete Parquet file."""
    detail = "".join(c for c in str(problem).split("\n")[0] if c.isprintable()) or type(problem).__name__
    # The advice is to move the whole day: while a call's row remains in `calls`, its missing rows are not fetched again.
    return StoreError(
        f"cannot read {target}: the file is damaged ({detail}); "
        "restore it from a backup, or move its day out of all tables and harvest that day again"
    )


def _is_file_not_found(problem: Exception) -> bool:
    return isinstance(problem, FileNotFoundError)


def retry_if_moved(
    read: Callable[[], T], is_missing_file: Callable[[Exception], bool] = _is_file_not_found
) -> T:
    """Retry a read while files disappear, which happens when a compaction replaces them.

    Args:
        read: lists the files and reads them.
        is_missing_file: returns whether an exception of `read` means that a file is missing.
    """
    for pause in _PAUSES:
        try:
            return read()
        except Exception as problem:
            if not is_missing_file(problem):
                raise
        time.sleep(pause)
    return read()
