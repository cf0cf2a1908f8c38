"""The fast transport: aiohttp. Needs the extra `[aiohttp]`; `benchmarks/overhead.py` compares it with httpx."""

import asyncio
import socket
import ssl
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from agora_analytics.core.base_url import is_url
from agora_analytics.engine.transports import CONNECT_TIMEOUT, CONNECTIONS, LARGEST_BODY, SentReport
from agora_analytics.engine.transports.content_encoding import ACCEPT_ENCODING, BodyReader
from agora_analytics.engine.transports.dns import Resolve, SystemResolver, resolve_within
from agora_analytics.engine.transports.environment import default_certificates, may_use_proxy
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver
    from aiohttp.connector import Connection
    from yarl import URL

_KEEP_ALIVE = 5.0  # seconds, as in httpx
# Bytes of a body that aiohttp collects itself, which takes twice the memory and half the time.
_AT_ONCE = 2**20
_connect_within: ContextVar[float] = ContextVar("_connect_within", default=CONNECT_TIMEOUT)
"""Seconds to connect, for the DNS lookup that aiohttp makes in a task of its own."""
_report: ContextVar[SentReport | None] = ContextVar("_report", default=None)
"""Reports that the request of this context was sent."""


class AiohttpTransport:
    """Sends requests through aiohttp, with the same limits and the same failures as `HttpxTransport`.

    Close it yourself: a client does not close a transport that was passed to it.

    Args:
        largest_body: bytes of a decompressed body above which a response is refused.
        resolve: returns the addresses of a host. Default: the system resolver.
        ssl_context: verifies certificates. Default: that of httpx, with the CAs of certifi.
        proxy: the URL of a proxy, http or https. Loopback addresses and plain http with credentials bypass it. The
            environment is not read.
        connections: how many connections are open at the same time.

    Raises:
        ConfigurationError: the extra is not installed, or `proxy` is not the URL of a proxy.

    Example:
        async with AiohttpTransport() as transport, AsyncAgora.from_env(transport=transport) as client:
            calls = await client.calls("6h").collect()
    """

    reports_sent = True

    def __init__(
        self,
        *,
        largest_body: int = LARGEST_BODY,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        if find_spec("aiohttp") is None:
            raise ConfigurationError("AiohttpTransport needs aiohttp: pip install 'agora-analytics[aiohttp]'")
        # Imported once: an import statement would be a twentieth of the work of a request.
        import aiohttp
        from yarl import URL

        self._url, self._failures = URL, (aiohttp.ClientError, OSError)
        self.resolve = resolve or SystemResolver()
        """Resolves host names."""
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._reading: asyncio.Future[ssl.SSLContext] | None = None
        self._connections = connections
        self._free = asyncio.Semaphore(connections)
        self._largest_body = largest_body
        self._ssl_context = ssl_context
        if proxy is not None and not is_url(proxy):  # it may contain a password, so no error shows it
            raise ConfigurationError("proxy is not the URL of a proxy; pass one such as http://HOST:PORT")
        self._proxy = proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Read the certificates eagerly; otherwise the first request would be sent later than its rate-limit slot."""
        if self._session is None:
            await self._opened()

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        session = self._session or await self._opened()
        now = asyncio.get_running_loop().time
        start, left = now(), request.timeout
        if self._free.locked():
            await self._wait_for_connection(request.timeout / 2)
            left += start - now()
        else:
            await self._free.acquire()
        failure: TransportFailure | None = None
        report = None if request.on_sent is None else SentReport(request)
        _report.set(report)
        try:
            url = self._url(request.url, encoded=True)
            connect = min(CONNECT_TIMEOUT, request.timeout / 2)
            _connect_within.set(connect)
            async with session.request(
                request.method,
                url,
                headers=request.headers,
                data=request.body or None,
                timeout=_timeouts(left, connect),
                allow_redirects=False,
                proxy=self._proxy_for(request, url),
            ) as response:
                first_byte = now() - start
                if report is not None:
                    report()
                body = await self._read(response)
        except self._failures as error:
            failure = TransportFailure(*_classify(error, request.timeout))
        finally:
            self._free.release()
        if failure is not None:
            raise failure  # without a cause: the repr of an error of aiohttp contains the headers of the request
        return Response(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            elapsed=now() - start,
            first_byte=first_byte,
        )

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _opened(self) -> "aiohttp.ClientSession":
        async with self._opening:
            if self._session is None:  # reading certificates would block the event loop for too long
                if self._ssl_context is None:
                    # After the deadline of one call, the next call waits for the same thread.
                    self._reading = self._reading or asyncio.ensure_future(
                        asyncio.to_thread(default_certificates)
                    )
                    self._ssl_context = await asyncio.shield(self._reading)
                self._session = _new_session(self._ssl_context, self.resolve)
            return self._session

    def _proxy_for(self, request: Request, url: "URL") -> str | None:
        if self._proxy is None:
            return None
        return (
            self._proxy if may_use_proxy(request, url.host or "", encrypted=url.scheme == "https") else None
        )

    async def _wait_for_connection(self, seconds: float) -> None:
        """Wait for a free connection here, because aiohttp reports this wait and the wait for a host alike."""
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError:
            raise TransportFailure(FailureKind.NO_ROOM, f"all {self._connections} are in use") from None

    async def _read(self, response: "aiohttp.ClientResponse") -> bytes:
        encodings = response.headers.getall("Content-Encoding", ())
        if not encodings and (response.content_length or _AT_ONCE + 1) <= min(_AT_ONCE, self._largest_body):
            return await response.content.read()
        reader = BodyReader(",".join(encodings), self._largest_body)
        async for chunk in response.content.iter_any():
            await reader.feed(chunk)
        return reader.finish()


@lru_cache(maxsize=8)
def _timeouts(total: float, connect: float) -> "aiohttp.ClientTimeout":
    import aiohttp

    return aiohttp.ClientTimeout(total=total, connect=connect)


def _new_session(certificates: ssl.SSLContext, resolve: Resolve) -> "aiohttp.ClientSession":
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=certificates,
            resolver=_new_resolver(resolve),
            use_dns_cache=False,  # the resolver decides
            keepalive_timeout=_KEEP_ALIVE,
            limit=0,  # see `_wait_for_connection`
        ),
        request_class=_new_request_class(),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"accept-encoding": ACCEPT_ENCODING},
        auto_decompress=False,
        trust_env=False,
    )
    # On a connection that was just closed, aiohttp would send a request twice, and we would count it once.
    session._retry_connection = False  # noqa: SLF001 - aiohttp has no parameter for it
    return session


def _new_request_class() -> "type[aiohttp.ClientRequest]":
    """Return a class of requests that report when they were written.

    A `TraceConfig` reports it before the write, and takes a quarter of the CPU time of a request.
    """
    import aiohttp

    class Reporting(aiohttp.ClientRequest):
        async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
            response = await super().send(conn)
            if not self.body and (report := _report.get()) is not None:
                report()
            return response

        async def write_bytes(self, *arguments: Any, **keywords: Any) -> None:
            # With a body, the head is written here, which may be in another task.
            try:
                await super().write_bytes(*arguments, **keywords)
            finally:  # the head may have been written before a failure
                if (report := _report.get()) is not None:
                    report()

    return Reporting


def _new_resolver(resolve: Resolve) -> "AbstractResolver":
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Hook(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            del family
            addresses = await resolve_within(resolve, host, port, _connect_within.get())
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for address, port in addresses
            ]

        async def close(self) -> None:
            """Nothing to close."""

    return Hook()


def _classify(error: Exception, seconds: float) -> tuple[FailureKind, str]:
    """Return the kind of failure of an error."""
    import aiohttp

    text = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientConnectorDNSError():
            return FailureKind.DNS, text
        case aiohttp.ClientSSLError():
            return FailureKind.TLS, text
        case aiohttp.ConnectionTimeoutError():
            return FailureKind.CONNECT_TIMEOUT, text
        case aiohttp.ClientConnectorError():
            return FailureKind.REFUSED, text
        case TimeoutError():
            return FailureKind.READ_TIMEOUT, f"no complete response in {seconds:g} s"
        case aiohttp.ClientPayloadError():
            reset = "ConnectionResetError" in text  # aiohttp keeps the text only
            return FailureKind.RESET if reset else FailureKind.CUT_OFF, text
        case aiohttp.ServerDisconnectedError() | OSError():
            return FailureKind.RESET, text
        case _:
            return FailureKind.PROTOCOL, text
