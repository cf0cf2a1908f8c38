"""Values that belong to one event loop of one process, such as connections."""

import asyncio
import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A value for each event loop, created at its first use there, and again on the other side of a fork.

    Args:
        create: returns a new value.

    Example::

        connections = PerLoop(list)
        connections.get().append("a connection of the running event loop")
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._values: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, T]]
        self._values = weakref.WeakKeyDictionary()

    def get(self) -> T:
        """Return the value of the running event loop; create it if there is none."""
        pid, value = self._values.get(asyncio.get_running_loop(), (0, None))
        if value is None or pid != os.getpid():
            value = self._create()
            self._values[asyncio.get_running_loop()] = (os.getpid(), value)
        return value

    def is_current(self, value: T) -> bool:
        """Whether a value is the one of the running event loop."""
        return self._values.get(asyncio.get_running_loop(), (0, None))[1] is value

    def pop(self) -> T | None:
        """Remove and return the value of the running event loop; None if there is none."""
        return self._values.pop(asyncio.get_running_loop(), (0, None))[1]
