"""Two folders change places in one step, so that a reader finds the one or the other and never a mixture."""

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


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one file system change places, atomically.

    Raises:
        OSError: if either is not there, or (ENOSYS, EINVAL, ENOTSUP) if this system cannot do it.

    Example:
        >>> exchange(Path("store/_staging/new"), Path("store/metrics/app_id=a/day=2026-11-20"))
    """
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        failed = _linux(first, second)
    elif sys.platform == "darwin":
        failed = _library().renamex_np(first, second, _RENAME_SWAP)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))


def works_in(folder: Path) -> bool:
    """Return whether folders can be exchanged here; tried with two empty ones.

    Raises:
        OSError: if no folder can be made in `folder`.
    """
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


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _linux(first: bytes, second: bytes) -> int:
    library = _library()
    if hasattr(library, "renameat2"):
        return int(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE))
    # musl has no name for it; the kernel has
    number = _RENAMEAT2.get(platform.machine())
    if number is None:
        ctypes.set_errno(errno.ENOSYS)
        return -1
    return int(library.syscall(number, _AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE))
