"""What goes wrong with a folder, told in one line: what, where, what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agora_analytics.errors import StoreError

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


@contextmanager
def translate_os_errors(doing: str, place: Path | str) -> Iterator[None]:
    """Turn every `OSError` inside the block into a `StoreError` that says what to do.

    Args:
        doing: what was tried, as in `cannot write`.
        place: the file or folder that it was tried on.

    Raises:
        StoreError: in place of any `OSError`.
    """
    try:
        yield
    except OSError as problem:
        raise store_error(doing, place, problem) from problem


def store_error(doing: str, place: Path | str, problem: OSError) -> StoreError:
    """Return the error that tells of `problem`, with the way out."""
    reason = _reason(problem)
    if problem.errno in _FULL:
        advice = "everything committed is safe; free space and run the same command again"
    elif problem.errno in _FORBIDDEN:
        advice = (
            "everything committed is safe; give this user the right to write there, or choose another folder"
        )
    elif problem.errno in _IN_THE_WAY:
        advice = "a file stands where a folder is needed (or the other way round); move it away, or choose another folder"
    else:
        advice = "everything committed is safe; run the same command again when it is put right"
    return StoreError(f"{doing} {place}: {reason}; {advice}")


def damaged(place: Path | str, problem: Exception) -> StoreError:
    """Return the error for a file that is no whole Parquet file."""
    detail = "".join(c for c in str(problem).split("\n")[0] if c.isprintable()) or type(problem).__name__
    # its day as a whole: a call whose own row stays would count as done without the rows that are gone
    return StoreError(
        f"cannot read {place}: the file is damaged ({detail}); "
        "restore it from a backup, or move its day out of all three tables and harvest that day again"
    )


def _reason(problem: OSError) -> str:
    if problem.errno is None:
        return str(problem).splitlines()[0]
    # pyarrow repeats errno and path in its own words; the system's words are enough
    return os.strerror(problem.errno)


def flush(path: Path | str) -> None:
    """Ask the system to bring a file, or the names in a folder, to the disk.

    Raises:
        OSError: if that fails.
    """
    if (
        os.name == "nt" and Path(path).is_dir()
    ):  # Windows cannot open folders, and keeps their names safe itself
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
