"""What the clients of one event loop share, so that many accounts need about the memory of one."""

import asyncio
from importlib.util import find_spec
from typing import Self

from attrs import field, frozen

from agora_analytics.engine.prefetch_budget import PagePool
from agora_analytics.engine.transports import CONNECTIONS, Transport
from agora_analytics.engine.transports.aiohttp import AiohttpTransport
from agora_analytics.engine.transports.environment import has_proxies
from agora_analytics.engine.transports.httpx import HttpxTransport


@frozen(kw_only=True, eq=False)
class SharedResources:
    """The connections, the memory for pages, and the turns of memory-hungry work of several clients.

    Pass one object as `resources=` to the clients of one event loop. They still have limits, retries and errors of their
    own. Close it after the clients.

    Attributes:
        transport: sends the requests of clients without a transport of their own.
        pages: the bytes of responses that may be in memory.
        decoding: held while a large body is decoded, which takes several times its size.
        compaction: held while a harvest merges files.

    Example:
        async with SharedResources.open() as shared:
            clients = [AsyncAgora.from_config(name, resources=shared) for name in ("acme", "beta")]
    """

    transport: Transport = field(repr=False)
    pages: PagePool = field(factory=PagePool, init=False, repr=False)
    decoding: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(1), init=False, repr=False)
    compaction: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(1), init=False, repr=False)

    @classmethod
    def open(cls, *, connections: int = CONNECTIONS) -> Self:
        """Return resources with a new transport: aiohttp if it is installed and no proxy is set, or else httpx.

        Args:
            connections: how many connections are open at the same time. One client uses up to 128.
        """
        fast = find_spec("aiohttp") is not None and not has_proxies()  # aiohttp does not read the environment
        kind = AiohttpTransport if fast else HttpxTransport
        return cls(transport=kind(connections=connections))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()
