"""Measures whether other programs keep the machine busy."""

import os
import threading
import time
from typing import Self

_INTERVAL = 0.02
_STALL = 0.25  # seconds by which the system may delay a process
_LOAD = 3.0  # processes for each core that may run or wait


class Stalls:
    """Sleeps for 20 ms again and again in a thread during a `with` block.

    Attributes:
        longest: the most seconds by which it woke up late.
        load: the highest load average of one minute.
    """

    def __init__(self) -> None:
        self.longest = self.load = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _measure(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(_INTERVAL):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - _INTERVAL)
            self.load = max(self.load, os.getloadavg()[0])
            before = now

    @property
    def busy(self) -> bool:
        """Whether the processes of a test may have been delayed for long."""
        return self.longest > _STALL or self.load > _LOAD * (os.cpu_count() or 1)
