"""Exchange two folders in one atomic step, so that a reader sees one or the other and never a mixture.

Linux and macOS have a system call for it. Windows does not, so days are not compacted there; every other operation of
the store works without it.
"""

import ctypes
import errno
import os
import platform
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux
_RENAME_SWAP = 2  # macOS
_RENAMEAT2 = {
    "x86_64": 316,
    "aarch64": 276,
    "riscv64": 276,
    "armv7l": 382,
    "i686": 353,
    "ppc64le": 357,
    "s390x": 347,
}
"""The number of the Linux system call, by machine, for C libraries without a function for it (musl)."""


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders of the same file system atomically.

    Raises:
        OSError: if a folder does not exist, or if the system cannot exchange folders (ENOSYS, EINVAL, ENOTSUP).

    Example:
        exchange(Path("store/_staging/new"), Path("store/metrics/app_id=a/day=2026-11-20"))
    """
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        failed = _exchange_on_linux(first, second)
    elif sys.platform == "darwin":
        failed = _c_library().renamex_np(first, second, _RENAME_SWAP)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))


def works_in(folder: Path) -> bool:
    """Return whether folders can be exchanged below `folder`, by exchanging two empty ones."""
    one, other = folder / "exchange-1", folder / "exchange-2"
    for probe in (one, other):
        probe.mkdir(parents=True, exist_ok=True)
    try:
        exchange(one, other)
    except OSError:
        return False
    finally:
        one.rmdir()
        other.rmdir()
    return True


def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _exchange_on_linux(first: bytes, second: bytes) -> int:
    library = _c_library()
    if hasattr(library, "renameat2"):
        return int(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE))
    number = _RENAMEAT2.get(platform.machine())
    if number is None:
        ctypes.set_errno(errno.ENOSYS)
        return -1
    return int(library.syscall(number, _AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE))
