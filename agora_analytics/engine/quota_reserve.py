"""Requests of each day's quota that a block of code leaves to others, such as a harvest to people on call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_reserved: ContextVar[int] = ContextVar("reserved_requests", default=0)


@contextmanager
def reserving(requests: int) -> Iterator[None]:
    """Send the requests in the block as if each quota of a day had so many requests fewer.

    The ledger counts the requests of every client, so the block stops earlier if others have already spent more.
    """
    token = _reserved.set(requests)
    try:
        yield
    finally:
        _reserved.reset(token)


def usable(per_day: int) -> int:
    """Return how many requests of a quota of `per_day` the current block may use."""
    return max(0, per_day - _reserved.get())
