"""The loggers of the package, and `AGORA_LOG`: see docs/logging.md.

Each area has a logger below `agora_analytics`, which has a `NullHandler`: a program that configures no logging gets no
output.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Literal, TextIO

from agora_analytics.errors import ConfigurationError

Area = Literal["requests", "limits", "hosts", "listings", "harvest", "store", "ledger", "fleet", "alerts"]

VARIABLE = "AGORA_LOG"
LEVELS = ("debug", "info", "warning", "error")

_package = logging.getLogger("agora_analytics")
_package.addHandler(logging.NullHandler())


_account: ContextVar[str] = ContextVar("_account", default="")


class _AccountFilter(logging.Filter):
    """Puts the account before the message, where several are harvested at the same time."""

    def filter(self, record: logging.LogRecord) -> bool:
        if account := _account.get():
            text = one_line(account)
            record.msg = f"account {text.replace('%', '%%') if record.args else text}: {record.msg}"
        return True


_account_filter = _AccountFilter()


def logger_of(area: Area) -> logging.Logger:
    """Return the logger of an area."""
    logger = _package.getChild(area)
    logger.addFilter(_account_filter)
    return logger


@contextmanager
def logged_as(account: str) -> Iterator[None]:
    """Name an account in the messages that the block logs, in its tasks and threads too."""
    token = _account.set(account)
    try:
        yield
    finally:
        _account.reset(token)


def one_line(text: str) -> str:
    """Return a text, which a server may have sent, as one line without control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which a program may replace."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.stream = sys.stderr
        super().emit(record)


_first_client = Lock()
_handler: logging.Handler | None = None
_is_set_up = False


def set_up(level: str, handler: logging.Handler | None = None) -> None:
    """Set the level of the package's loggers, and add a handler to `agora_analytics`.

    The root logger and the loggers of other libraries stay as they are. A second call replaces the first handler.

    Args:
        level: one of `LEVELS`.
        handler: the handler. Default: one that writes to stderr, unless the program has configured a handler itself.

    Raises:
        ConfigurationError: the level is unknown.
    """
    global _handler, _is_set_up  # noqa: PLW0603 - logging is global
    if level not in LEVELS:
        raise ConfigurationError(f"{VARIABLE}={level!r} is not a log level; use one of {', '.join(LEVELS)}")
    _is_set_up = True
    if _handler is not None:
        _package.removeHandler(_handler)
    if handler is None and not _has_handler():
        handler = StderrHandler()
    if handler is not None:
        _package.addHandler(handler)
    _handler = handler
    _package.setLevel(level.upper())


def set_up_from_environment(default: str | None = None) -> None:
    """Do what `AGORA_LOG` says, once in a process; the first client calls it.

    Args:
        default: the level if the variable is not set; None: no log.

    Raises:
        ConfigurationError: the level is unknown.
    """
    level = os.environ.get(VARIABLE, "").strip().lower() or default
    with _first_client:  # threads may create the first clients at the same time
        if level and not _is_set_up:
            set_up(level)


def _has_handler() -> bool:
    """Return whether the program has a handler that the records of this package reach."""
    loggers = (_package, logging.getLogger())
    return any(not isinstance(each, logging.NullHandler) for logger in loggers for each in logger.handlers)
