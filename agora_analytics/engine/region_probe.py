"""Which area the preferred primary stands for: the one whose own name has the same addresses.

The vendor documents no other way to tell. It is looked up in the background at the first trouble, so no answer
ever waits for it; as long as it is unknown, the table's assumption holds.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import anyio

from agora_analytics.core.domains import Domains
from agora_analytics.engine.dns import Address, Resolve

LONGEST = 3.0
"""Seconds that a look at DNS may take."""
KEPT = 300.0
"""Seconds that what it told is believed."""


class RegionProbe:
    """Tells a pool of hosts which area its preferred host resolves to."""

    def __init__(
        self,
        domains: Domains,
        resolve: Resolve,
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._domains = domains
        self._resolve = resolve
        self._spawn = spawn
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = -float("inf")

    def start(self) -> None:
        """Begin to find out, unless that is under way, was done lately, or would help nobody."""
        under_way = self._looking is not None and not self._looking.done()
        if under_way or not self._domains.table.regional or anyio.current_time() < self._looked_at + KEPT:
            return
        self._looked_at = anyio.current_time()
        self._looking = self._spawn(self._probe())

    async def _probe(self) -> None:
        table = self._domains.table
        with anyio.move_on_after(LONGEST):
            primary, *regional = await asyncio.gather(
                self._addresses(table.preferred),
                *(self._addresses(hosts[0]) for hosts in table.regional.values()),
            )
            shared = [len(primary & addresses) for addresses in regional]
            if any(shared):
                self._domains.stands_for(list(table.regional)[shared.index(max(shared))])

    async def _addresses(self, host: str) -> set[Address]:
        place = urlsplit(host)
        try:
            return set(await self._resolve(place.hostname or "", place.port or 443))
        except socket.gaierror:
            return set()
