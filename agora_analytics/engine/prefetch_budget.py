"""Limits the response bytes that clients hold in memory across all listings, without deadlocking.

A listing prefetches pages, and there may be hundreds of listings. A page that was fetched and not read yet counts with
its size. A page in progress counts with the size of the largest recent page of its client, because its own is not known
yet. A page is prefetched only if it fits in addition to all of these. A page that its reader waits for has to fit in
addition to the pages in progress only: those end without anybody's help, while a fetched page may be held until that
reader continues.

Clients may share a pool. Each can always use an equal part of it, so that a client whose host does not respond does not
stop the others, and more than its part while the total allows it. So the clients together use at most twice the pool,
however many they are, and one page that is larger than a part.
"""

import asyncio
from collections import deque
from weakref import WeakSet

BYTES_AT_ONCE = 256 * 2**20
"""Bytes of pages held, and of pages in progress: two of the largest responses, or a hundred usual ones, of each."""

_FIRST_ESTIMATE = 4 * 2**20  # bytes of a page before any was fetched
_RECENT = 16  # pages


class PagePool:
    """The bytes for pages that the clients of an event loop share."""

    def __init__(self, most: int = BYTES_AT_ONCE) -> None:
        self.most = most
        self._members: WeakSet[PrefetchBudget] = WeakSet()
        self._large: PrefetchBudget | None = None

    def budget(self) -> "PrefetchBudget":
        """Return the budget of one more client."""
        return PrefetchBudget(self.most, self)

    def _join(self, member: "PrefetchBudget") -> None:
        self._members.add(member)

    def _leave(self, member: "PrefetchBudget") -> None:
        self._members.discard(member)
        self._ended(member)

    @property
    def _part(self) -> float:
        return self.most / max(1, len(self._members))

    def _used(self, *, with_held: bool) -> int:
        return sum(member._used(with_held=with_held) for member in self._members)  # noqa: SLF001 - same module

    def _take_large(self, member: "PrefetchBudget") -> bool:
        """Allow a client one page that is larger than its part; False if another client fetches one now."""
        if self._large in {None, member}:
            self._large = member
            return True
        return False

    def _ended(self, member: "PrefetchBudget") -> None:
        """Let the waiting clients look again, because a page ended."""
        if self._large is member and not member._in_progress:  # noqa: SLF001 - same module
            self._large = None
        for other in self._members:
            other._released.set()  # noqa: SLF001 - same module


class PrefetchBudget:
    """A byte budget for the pages of one client's listings. Bound to the event loop that it is first used on.

    Args:
        most: bytes, without a pool.
        pool: the bytes that several clients share; None: the client has its own.
    """

    def __init__(self, most: int = BYTES_AT_ONCE, pool: PagePool | None = None) -> None:
        self._pool = pool or PagePool(most)
        self._queue = asyncio.Lock()
        self._released = asyncio.Event()
        self._in_progress = 0
        self._held = 0
        self._sizes = deque([min(_FIRST_ESTIMATE, most)], maxlen=_RECENT)
        self._pool._join(self)  # noqa: SLF001 - same module

    def close(self) -> None:
        """Leave the part of the pool to the other clients."""
        self._pool._leave(self)  # noqa: SLF001 - same module

    def try_acquire(self) -> bool:
        """Reserve a place for a page that no reader waits for yet; False if there is none now."""
        if self._queue.locked() or not self._fits(with_held=True):
            return False
        self._in_progress += 1
        return True

    async def acquire(self) -> None:
        """Wait for a place for a page that its reader waits for, first come, first served.

        A page that is alone always gets its place, however large it is.
        """
        async with self._queue:
            while not (self._fits(with_held=False) or self._is_alone()):
                self._released.clear()
                await self._released.wait()
            self._in_progress += 1

    def release(self) -> None:
        """Release the place of a page, however its fetch ended."""
        self._in_progress -= 1
        self._pool._ended(self)  # noqa: SLF001 - same module

    def hold(self, size: int) -> None:
        """Count the bytes of a page that was fetched and waits for its reader."""
        self._sizes.append(size)
        self._held += size

    def unhold(self, size: int) -> None:
        """Stop counting the bytes of a page that its reader got, or will never ask for."""
        self._held -= size

    def _used(self, *, with_held: bool) -> int:
        return self._in_progress * max(self._sizes) + (self._held if with_held else 0)

    def _fits(self, *, with_held: bool) -> bool:
        size, pool = max(self._sizes), self._pool
        if self._used(with_held=with_held) + size <= pool._part:  # noqa: SLF001 - same module
            return True
        return pool._used(with_held=with_held) + size <= pool.most  # noqa: SLF001 - same module

    def _is_alone(self) -> bool:
        return not self._in_progress and self._pool._take_large(self)  # noqa: SLF001 - same module
