"""How many bytes of answers a client has in memory at a time, over all its listings: a bound that never blocks.

A listing fetches ahead of its reader, and there may be hundreds of listings. Pages that are there and wait for their
reader count by their size; those under way by the largest that came of late, for nobody knows before. What is fetched
ahead has to fit beside all of that. A page that its reader waits for has to fit beside those under way only: these end
by themselves, while a page that is kept may be kept for as long as its reader waits for this one.
"""

import asyncio
from collections import deque

BYTES_AT_ONCE = 256 * 2**20
"""Bodies of pages ahead, and of pages under way: two of the largest answers, or a hundred ordinary ones, of each."""

_UNKNOWN = 4 * 2**20  # bytes that an answer is taken for as long as none has come
_RECENT = 16  # answers


class PrefetchBudget:
    """PrefetchBudget for the pages of listings. Bound to the event loop that it is first used on."""

    def __init__(self, most: int = BYTES_AT_ONCE) -> None:
        self._most = most
        self._line = asyncio.Lock()
        self._left = asyncio.Event()
        self._under_way = 0
        self._kept = 0
        self._sizes = deque([min(_UNKNOWN, most)], maxlen=_RECENT)

    def try_acquire(self) -> bool:
        """Take a place for a page that nobody waits for yet; False: there is none now, so ask again later."""
        if self._line.locked() or not self._fits(beside=self._kept):
            return False
        self._under_way += 1
        return True

    async def acquire(self) -> None:
        """Wait for a place for a page that its reader waits for: first come, first served.

        A page alone always has its place, however large it is.
        """
        async with self._line:
            while self._under_way and not self._fits(beside=0):
                self._left.clear()
                await self._left.wait()
            self._under_way += 1

    def release(self) -> None:
        """Give a place back, however the fetching ended."""
        self._under_way -= 1
        self._left.set()

    def hold(self, size: int) -> None:
        """Note that a page has come and waits for its reader."""
        self._sizes.append(size)
        self._kept += size

    def unhold(self, size: int) -> None:
        """Note that the reader has the page, or will never come for it."""
        self._kept -= size

    def _fits(self, *, beside: int) -> bool:
        return (self._under_way + 1) * max(self._sizes) + beside <= self._most
