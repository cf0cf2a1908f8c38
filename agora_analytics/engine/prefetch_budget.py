"""Limits the response bytes that a client holds in memory across all listings, without deadlocking.

A listing prefetches pages, and there may be hundreds of listings. A page that was fetched and not read yet counts with
its size. A page in progress counts with the size of the largest recent page, because its own is not known yet. A page
is prefetched only if it fits in addition to all of these. A page that its reader waits for has to fit in addition to
the pages in progress only: those end without anybody's help, while a fetched page may be held until that reader
continues.
"""

import asyncio
from collections import deque

BYTES_AT_ONCE = 256 * 2**20
"""Bytes of pages held, and of pages in progress: two of the largest responses, or a hundred usual ones, of each."""

_FIRST_ESTIMATE = 4 * 2**20  # bytes of a page before any was fetched
_RECENT = 16  # pages


class PrefetchBudget:
    """A byte budget for the pages of listings. Bound to the event loop that it is first used on."""

    def __init__(self, most: int = BYTES_AT_ONCE) -> None:
        self._most = most
        self._queue = asyncio.Lock()
        self._released = asyncio.Event()
        self._in_progress = 0
        self._held = 0
        self._sizes = deque([min(_FIRST_ESTIMATE, most)], maxlen=_RECENT)

    def try_acquire(self) -> bool:
        """Reserve a place for a page that no reader waits for yet; False if there is none now."""
        if self._queue.locked() or not self._fits(beside=self._held):
            return False
        self._in_progress += 1
        return True

    async def acquire(self) -> None:
        """Wait for a place for a page that its reader waits for, first come, first served.

        A page that is alone always gets its place, however large it is.
        """
        async with self._queue:
            while self._in_progress and not self._fits(beside=0):
                self._released.clear()
                await self._released.wait()
            self._in_progress += 1

    def release(self) -> None:
        """Release the place of a page, however its fetch ended."""
        self._in_progress -= 1
        self._released.set()

    def hold(self, size: int) -> None:
        """Count the bytes of a page that was fetched and waits for its reader."""
        self._sizes.append(size)
        self._held += size

    def unhold(self, size: int) -> None:
        """Stop counting the bytes of a page that its reader got, or will never ask for."""
        self._held -= size

    def _fits(self, *, beside: int) -> bool:
        return (self._in_progress + 1) * max(self._sizes) + beside <= self._most
