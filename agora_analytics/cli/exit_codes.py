"""The exit codes, and which error ends with which.

     0   done
     1   something unexpected
     2   wrong input: an option, a time, a time range that cannot be asked for, no such call, a query
    65   an answer, or data in the store, is not what it should be
    69   the service cannot be reached, or is broken
    73   the store or the output cannot be made: rights, or something in the way
    74   the store or the output cannot be read or written: a full disk, a broken file
    75   not all could be had: the day's quota is spent, or calls were skipped; run the same command again later
    77   the credentials, the app id or the plan do not allow it
    78   a setting is missing or wrong
   130   stopped with Ctrl-C
   141   nobody reads the output any more

The numbers are those of `sysexits.h` where it has one.
"""

import errno
from collections.abc import Mapping

from agora_analytics import errors

DONE, UNEXPECTED, WRONG_INPUT = 0, 1, 2
WRONG_DATA, UNAVAILABLE, CANNOT_CREATE, CANNOT_STORE, TRY_LATER, NO_ACCESS, WRONG_SETTING = (
    65,
    69,
    73,
    74,
    75,
    77,
    78,
)
STOPPED, NO_READER = 130, 141

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    UNEXPECTED: "something unexpected",
    WRONG_INPUT: "wrong input: an option, a time, a time range that cannot be asked for, no such call, a query",
    WRONG_DATA: "an answer, or data in the store, is not what it should be",
    UNAVAILABLE: "the service cannot be reached, or is broken",
    CANNOT_CREATE: "the store or the output cannot be made: rights, or something in the way",
    CANNOT_STORE: "the store or the output cannot be read or written: a full disk, a broken file",
    TRY_LATER: "not all could be had: quota spent, or calls skipped; run the same command again later",
    NO_ACCESS: "the credentials, the app id or the plan do not allow it",
    WRONG_SETTING: "a setting is missing or wrong",
    STOPPED: "stopped with Ctrl-C",
    NO_READER: "nobody reads the output any more",
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
"""The first that fits counts: a type stands before those that it is derived from."""

_IN_THE_WAY = {
    errno.EACCES,
    errno.ENOENT,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
}


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the program with."""
    cause = error.__cause__
    if isinstance(error, errors.StoreError) and isinstance(cause, OSError) and cause.errno in _IN_THE_WAY:
        return CANNOT_CREATE
    return next((code for kind, code in OF_ERRORS if isinstance(error, kind)), UNEXPECTED)


def epilog() -> str:
    """Return the table of exit codes as the help shows it; `\\b` tells typer to leave the lines as they are."""
    rows = (f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items())
    return "\n".join(("\b", "Exit codes:", *rows))
