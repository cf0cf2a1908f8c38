"""Runs a command and turns an error into one line on stderr and an exit code."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

import typer

from agora_analytics.cli import terminal
from agora_analytics.cli.exit_codes import NO_READER, STOPPED, WRONG_INPUT, WRONG_SETTING, exit_code_of
from agora_analytics.errors import AgoraAnalyticsError

PROGRAM = "agora-analytics"
_COMPLETION = "_AGORA_ANALYTICS_COMPLETE"
_STOPPED_HARVEST = "stopped; the stored rows are safe, and the same command continues from there"
_EXTRA_OF = {
    "duckdb": "cli",
    "pyarrow": "cli",
    "numpy": "simulator",
    "starlette": "simulator",
    "uvicorn": "simulator",
}


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit code. Raises nothing."""
    words = list(arguments)
    debug = "--debug" in words
    if debug:  # allowed after the command too
        words = ["--debug", *(word for word in words if word != "--debug")]
    try:
        code = _invoke(words)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - this is where the program ends
        return _report(error, words, debug=debug)
    return code


def _invoke(words: list[str]) -> int:
    from agora_analytics.cli.app import app

    command = typer.main.get_command(app)
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
        sys.stderr.write("".join(traceback.format_exception(error)))
    text, code = _describe(error, words)
    if code == STOPPED:
        # A second Ctrl-C while threads end would print their tracebacks.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal.one_line(terminal.err(), f"{PROGRAM}: {text}", "bad" if sys.stderr.isatty() else "")
    except BrokenPipeError:
        _silence()
    return code


def _describe(error: BaseException, words: Sequence[str]) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    code = exit_code_of(error)
    if isinstance(error, AgoraAnalyticsError):
        return "; ".join((str(error), *getattr(error, "__notes__", ()))), code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return str(error) or (_STOPPED_HARVEST if "harvest" in words else "stopped"), STOPPED
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRA_OF.get(error.name or "")):
        return (
            f"{error.name} is not installed; run: pip install 'agora-analytics[cli,{extra}]'",
            WRONG_SETTING,
        )
    if hasattr(error, "format_message"):  # typer's own errors, whose type depends on its version
        return f"{error.format_message()} (see {_help_of(error)} --help)", WRONG_INPUT
    return (
        f"unexpected {type(error).__name__}: {error}; run the command with --debug for a traceback, and please report it",
        code,
    )


def _help_of(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else PROGRAM


def _silence() -> None:
    """Send the interpreter's last flush to the null device: the reader of the output has gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
