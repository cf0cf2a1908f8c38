"""Leaves out the line that httpx logs for each request, because its URL contains the app id and the call id.

The line is written if the program sets a level on the logger `httpx`. A client that the program passes keeps its lines.
A URL that is a secret itself, such as that of a webhook, is never logged.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_own_request: ContextVar[bool] = ContextVar("is_own_request", default=False)
_is_secret_url: ContextVar[bool] = ContextVar("is_secret_url", default=False)


def _is_written(record: logging.LogRecord) -> bool:
    if _is_secret_url.get():
        return False
    requested = logging.getLogger(record.name).level != logging.NOTSET
    return requested or record.levelno > logging.INFO or not _is_own_request.get()


def install_filter() -> None:
    """Add the filter to the logger of httpx. Adding it again has no effect."""
    logging.getLogger("httpx").addFilter(_is_written)


@contextmanager
def own_request(is_own: bool) -> Iterator[None]:
    """Mark what httpx logs in the block as part of a request of our own client, if `is_own` is true."""
    token = _is_own_request.set(is_own)
    try:
        yield
    finally:
        _is_own_request.reset(token)


@contextmanager
def url_is_secret() -> Iterator[None]:
    """Let httpx log nothing in the block."""
    install_filter()
    token = _is_secret_url.set(True)
    try:
        yield
    finally:
        _is_secret_url.reset(token)
