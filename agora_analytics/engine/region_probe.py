"""Finds the region that the primary host resolves to: the one whose own host name has the same addresses.

The vendor documents no other way. The lookup runs in the background after the first failure, so no request waits for
it. Until it ends, the assumption of the host table applies.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import anyio

from agora_analytics.core.domains import Domains
from agora_analytics.engine.transports.dns import Address, Resolve

TIMEOUT = 3.0
"""Seconds that the lookup may take."""
TTL = 300.0
"""Seconds for which its result is used."""


class RegionProbe:
    """Looks up which area the preferred host resolves to, and sets `Domains.area`."""

    def __init__(
        self,
        domains: Domains,
        resolve: Resolve,
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._domains = domains
        self._resolve = resolve
        self._spawn = spawn
        self._probing: asyncio.Task[None] | None = None
        self._probed_at = -float("inf")

    def start(self) -> None:
        """Start a lookup, unless one is running, one was made recently, or the table has no regional hosts."""
        running = self._probing is not None and not self._probing.done()
        if running or not self._domains.table.regional or anyio.current_time() < self._probed_at + TTL:
            return
        self._probed_at = anyio.current_time()
        self._probing = self._spawn(self._probe())

    async def _probe(self) -> None:
        table = self._domains.table
        with anyio.move_on_after(TIMEOUT):
            primary, *regional = await asyncio.gather(
                self._addresses(table.preferred),
                *(self._addresses(hosts[0]) for hosts in table.regional.values()),
            )
            shared = [len(primary & addresses) for addresses in regional]
            if any(shared):
                self._domains.area = list(table.regional)[shared.index(max(shared))]

    async def _addresses(self, host: str) -> set[Address]:
        url = urlsplit(host)
        try:
            return set(await self._resolve(url.hostname or "", url.port or 443))
        except socket.gaierror:
            return set()
