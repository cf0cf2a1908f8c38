"""The exit codes, and which error ends with which. The numbers are those of `sysexits.h` where it has one."""

import errno
from collections.abc import Mapping

from agora_analytics import errors

DONE, UNEXPECTED, WRONG_INPUT = 0, 1, 2
WRONG_DATA, UNAVAILABLE, CANNOT_CREATE, CANNOT_STORE = 65, 69, 73, 74
TRY_LATER, NO_ACCESS, WRONG_SETTING = 75, 77, 78
STOPPED, NO_READER = 130, 141

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    UNEXPECTED: "unexpected error",
    WRONG_INPUT: "wrong input: an option, a time or time range, an unknown call, a query",
    WRONG_DATA: "a response, or data in the store, is invalid",
    UNAVAILABLE: "the service cannot be reached or reports an error",
    CANNOT_CREATE: "the store or output cannot be created: permissions, file in the way",
    CANNOT_STORE: "the store or output cannot be read or written: disk full, broken file",
    TRY_LATER: "incomplete: quota used up or calls skipped; run the command again later",
    NO_ACCESS: "the credentials, the app id or the plan do not permit the request",
    WRONG_SETTING: "a setting is missing or wrong",
    STOPPED: "stopped with Ctrl-C",
    NO_READER: "the reader of the output has gone",
}

OF_ERRORS: tuple[tuple[type[BaseException], int], ...] = (
    (errors.ConfigurationError, WRONG_SETTING),
    (errors.NotFound, WRONG_SETTING),
    (errors.InvalidRequest, WRONG_INPUT),
    (errors.WindowRefused, WRONG_INPUT),
    (errors.QuotaExhausted, TRY_LATER),
    (errors.RateLimited, TRY_LATER),
    (errors.AuthenticationError, NO_ACCESS),
    (errors.AccessDenied, NO_ACCESS),
    (errors.TransportError, UNAVAILABLE),
    (errors.APIError, UNAVAILABLE),
    (errors.DecodeError, WRONG_DATA),
    (errors.IncompleteListing, WRONG_DATA),
    (errors.StoreConflict, TRY_LATER),
    (errors.StoreVersionError, WRONG_DATA),
    (errors.StoreError, CANNOT_STORE),
    (KeyboardInterrupt, STOPPED),
    (BrokenPipeError, NO_READER),
)
"""The first match counts, so a subclass stands before its base class."""

_NOT_CREATED = {
    errno.EACCES, errno.ENOENT, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST
}  # fmt: skip


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    cause = error.__cause__
    if isinstance(error, errors.StoreError) and isinstance(cause, OSError) and cause.errno in _NOT_CREATED:
        return CANNOT_CREATE
    return next((code for kind, code in OF_ERRORS if isinstance(error, kind)), UNEXPECTED)


def epilog() -> str:
    """Return the exit codes for the help. Typer keeps the line breaks of a paragraph that begins with `\\b`."""
    rows = (f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items())
    return "\n".join(("\b", "Exit codes:", *rows))
