"""Runs a command and turns an error into one line on stderr and an exit code.

The exit codes are those of `sysexits.h` where it has one.
"""

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence

import typer

from agora_analytics import errors
from agora_analytics.cli import terminal
from agora_analytics.cli.visible_text import escape_what_is_not_encodable
from agora_analytics.core.hidden_characters import visible

DONE, UNEXPECTED, WRONG_INPUT = 0, 1, 2
WRONG_DATA, UNAVAILABLE, CANNOT_CREATE, CANNOT_STORE = 65, 69, 73, 74
TRY_LATER, NO_ACCESS, WRONG_SETTING = 75, 77, 78
STOPPED, NO_READER = 130, 141

MEANINGS: Mapping[int, str] = {
    DONE: "done",
    UNEXPECTED: "unexpected error",
    WRONG_INPUT: "wrong input: an option, a time range, a query, or an unknown call or metric",
    WRONG_DATA: "a response, a record of a harvest, or data in the store is invalid",
    UNAVAILABLE: "the service cannot be reached or reports an error",
    CANNOT_CREATE: "the store or output cannot be created: permissions, file in the way",
    CANNOT_STORE: "the store or output cannot be read or written: disk full, broken file",
    TRY_LATER: "incomplete: quota used up or calls skipped; run the command again later",
    NO_ACCESS: "the credentials, the app id or the plan do not permit the request",
    WRONG_SETTING: "a setting is missing or wrong",
    STOPPED: "stopped with Ctrl-C",
    NO_READER: "the process that reads the output has exited",
}

OF_ERRORS: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((errors.ConfigurationError, errors.NotFound), WRONG_SETTING),
    ((errors.InvalidRequest, errors.WindowRefused, errors.BadRequest), WRONG_INPUT),
    ((errors.QuotaExhausted, errors.RateLimited, errors.StoreConflict, errors.FencedOff), TRY_LATER),
    ((errors.AuthenticationError, errors.AccessDenied), NO_ACCESS),
    (
        (errors.TransportError, errors.APIError, errors.LedgerUnavailable, errors.QueueUnavailable),
        UNAVAILABLE,
    ),
    ((errors.DecodeError, errors.IncompleteListing, errors.StoreVersionError), WRONG_DATA),
    ((errors.StoreError,), CANNOT_STORE),
    ((KeyboardInterrupt,), STOPPED),
    ((BrokenPipeError,), NO_READER),
)
"""The first match counts, so a subclass is listed before its base class."""

_UNKNOWN_OBJECTS = {404, 1016, 1017}
"""Codes in the body of a response: an unknown call of Agora, and an expired or unknown session of OpenTok.

Other errors of this kind are about the base URL, the project or the application, which are settings.
"""

_NOT_CREATED = {
    errno.EACCES, errno.ENOENT, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST
}  # fmt: skip

PROGRAM = "agora-analytics"
_COMPLETION = "_AGORA_ANALYTICS_COMPLETE"
_STOPPED_HARVEST = "stopped; the stored rows are safe, and the same command continues from there"
_EXTRAS_OF = {
    **dict.fromkeys(("duckdb", "pyarrow"), "cli"),
    **dict.fromkeys(("altair", "jinja2", "vl_convert"), "cli,insight"),
    **dict.fromkeys(("ariadne", "graphql", "jwt", "numpy", "starlette", "uvicorn"), "cli,simulator"),
}


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit code. Raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        escape_what_is_not_encodable(stream)
    warnings.formatwarning = lambda message, *_, **__: f"{PROGRAM}: {visible(str(message))}\n"
    words = list(arguments)
    debug = "--debug" in words
    if debug:  # allowed after the command too
        words = ["--debug", *(word for word in words if word != "--debug")]
    try:
        code = _invoke(words)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - every error becomes an exit code
        return _report(error, words, debug=debug)
    return code


def _invoke(words: list[str]) -> int:
    from agora_analytics.cli.app import command_line

    command = command_line()
    if _COMPLETION in os.environ:
        command.main(prog_name=PROGRAM)
    try:
        # Typer's own `main` has other messages and exit codes for Ctrl-C and broken pipes.
        with command.make_context(PROGRAM, words) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as ended:
        return ended.exit_code


def _report(error: BaseException, words: Sequence[str], *, debug: bool) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        _silence()
        return NO_READER
    if debug:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    text, code = describe(error, words)
    if code == STOPPED:
        # A second Ctrl-C while threads end would print their tracebacks.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal.one_line(terminal.err(), f"{PROGRAM}: {text}", "bad" if sys.stderr.isatty() else "")
    except BrokenPipeError:
        _silence()
    return code


def describe(error: BaseException, words: Sequence[str]) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    code = exit_code_of(error)
    if isinstance(error, errors.AgoraAnalyticsError):
        return "; ".join((str(error), *getattr(error, "__notes__", ()))), code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return str(error) or (_STOPPED_HARVEST if _is_harvest(words) else "stopped"), STOPPED
    if isinstance(error, ModuleNotFoundError) and (extras := _EXTRAS_OF.get(error.name or "")):
        return f"{error.name} is not installed; run: pip install 'agora-analytics[{extras}]'", WRONG_SETTING
    if hasattr(error, "format_message"):  # typer's own errors, whose type depends on its version
        context = getattr(error, "ctx", None)
        command = PROGRAM if context is None else context.command_path
        return f"{error.format_message()} (see {command} --help)", WRONG_INPUT
    return (
        f"unexpected {type(error).__name__}: {error}; run the command with --debug for a traceback, and please report it",
        code,
    )


def _is_harvest(words: Sequence[str]) -> bool:
    command = [word for word in words if not word.startswith("-")]
    return command[:1] == ["harvest"] or command[:2] in (["opentok", "harvest"], ["apsaravideo", "harvest"])


def _silence() -> None:
    """Redirect the interpreter's last flush to the null device, because the reader has closed the pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    cause = error.__cause__
    if isinstance(error, errors.StoreError) and isinstance(cause, OSError) and cause.errno in _NOT_CREATED:
        return CANNOT_CREATE
    if isinstance(error, errors.NotFound) and error.code in _UNKNOWN_OBJECTS:
        return WRONG_INPUT
    return next((code for kinds, code in OF_ERRORS if isinstance(error, kinds)), UNEXPECTED)
