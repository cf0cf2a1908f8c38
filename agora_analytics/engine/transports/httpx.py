"""The default transport: httpx, or a library with the same API (httpx2)."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import anyio

from agora_analytics.engine.transports import CONNECT_TIMEOUT, CONNECTIONS, LARGEST_BODY
from agora_analytics.engine.transports.dns import Resolve, SystemResolver
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

if TYPE_CHECKING:
    import httpx
    import httpx2

_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""Hosts that never use a proxy of the environment, which cannot reach this machine's loopback."""
_BY_CAUSE = (
    (socket.gaierror, FailureKind.DNS),
    (ssl.SSLError, FailureKind.TLS),
    (ConnectionRefusedError, FailureKind.REFUSED),
)
_TLS_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)  # not a TLS failure: the other side sent nothing
_BY_WORDS = (
    ("incomplete", FailureKind.CUT_OFF),
    ("peer closed", FailureKind.CUT_OFF),
    ("disconnected", FailureKind.RESET),
)
_BY_NAME = (
    ("ConnectTimeout", FailureKind.CONNECT_TIMEOUT),
    ("TimeoutException", FailureKind.READ_TIMEOUT),
    ("ConnectError", FailureKind.REFUSED),
    ("NetworkError", FailureKind.RESET),
    ("OSError", FailureKind.RESET),
)


class HttpxTransport:
    """Sends requests through an `httpx.AsyncClient`.

    Args:
        client: your client of httpx or httpx2, which the transport does not close; None: the transport creates one of
            httpx at the first request.
        largest_body: bytes of a decompressed body above which a response is refused.
        resolve: returns the addresses of a host. Default: the system resolver.
        ssl_context: verifies certificates. Default: that of httpx, with the CAs of certifi.
        http2: offer HTTP/2; needs the extra `[http2]`. One connection then carries all requests, so all of them fail
            when it breaks.

    `resolve`, `ssl_context` and `http2` have no effect on a client of yours. A proxy of the environment is used, unless
    `resolve` is passed.

    Raises:
        ConfigurationError: `http2` is true and the extra is not installed.
    """

    def __init__(
        self,
        client: "httpx.AsyncClient | httpx2.AsyncClient | None" = None,
        *,
        largest_body: int = LARGEST_BODY,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http2: bool = False,
    ) -> None:
        if http2 and find_spec("h2") is None:
            raise ConfigurationError("http2=True needs h2: pip install 'agora-analytics[http2]'")
        self.resolve = None if client is not None else resolve or SystemResolver()
        """Resolves host names; None if a client of yours does."""
        self._client: Any = client  # httpx2 has the same API, but other classes
        self._own = client is None
        self._opening = asyncio.Lock()
        self._creating: asyncio.Future[Any] | None = None
        self._largest_body = largest_body
        self._ssl_context = ssl_context
        self._http2 = http2
        self._may_use_proxy = resolve is None

    async def open(self) -> None:
        """Create the HTTP client eagerly; otherwise the first request would be sent later than its rate-limit slot."""
        if self._client is None:
            await self._opened()

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        client = self._client or await self._opened()
        library = _library_of(client)
        url = _checked_url(library, request.url)
        start = anyio.current_time()
        try:
            with anyio.fail_after(request.timeout):
                async with client.stream(
                    request.method,
                    url,
                    headers=dict(request.headers),
                    content=request.body or None,
                    timeout=library.Timeout(
                        request.timeout,
                        connect=min(CONNECT_TIMEOUT, request.timeout / 2),
                        pool=request.timeout / 2,
                    ),
                    follow_redirects=False,
                ) as response:
                    first_byte = anyio.current_time() - start
                    body = await self._read(response)
        except TimeoutError:
            raise TransportFailure(
                FailureKind.READ_TIMEOUT, f"no complete response in {request.timeout:g} s"
            ) from None
        except (
            library.HTTPError,
            OSError,
        ) as error:  # httpx does not wrap a TLS failure in the middle of a response
            raise TransportFailure(*_classify(error)) from error
        return Response(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            elapsed=anyio.current_time() - start,
            first_byte=first_byte,
        )

    async def aclose(self) -> None:
        """Close the HTTP client, if the transport created it."""
        if self._own and self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                # In a thread: importing httpx and reading certificates would block the event loop for too long.
                # After the deadline of one call, the next call waits for the same thread.
                self._creating = self._creating or asyncio.ensure_future(asyncio.to_thread(self._new_client))
                try:
                    self._client = await asyncio.shield(self._creating)
                finally:
                    if self._creating.done():
                        self._creating = None
            return self._client

    def _new_client(self) -> "httpx.AsyncClient":
        import httpx

        from agora_analytics.engine.transports.happy_eyeballs import Dialer, Pool

        certificates = self._ssl_context or httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        # No brotli and zstd: a few bytes of theirs may decompress to more than fits into memory.
        headers = {"accept-encoding": "gzip, deflate"}
        if self._http2:
            # Its debug lines contain the headers, credentials included.
            logging.getLogger("hpack").setLevel(logging.INFO)
        if self._may_use_proxy and {"http", "https", "all"} & getproxies().keys():
            mounts = dict.fromkeys(_LOOPBACK)
            return httpx.AsyncClient(
                verify=certificates, limits=limits, headers=headers, mounts=mounts, http2=self._http2
            )
        transport = httpx.AsyncHTTPTransport(verify=certificates)
        transport._pool = Pool(  # noqa: SLF001 - httpx has no parameter for a network backend
            ssl_context=certificates,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http2=self._http2,
            network_backend=Dialer(self.resolve or SystemResolver()),
        )
        return httpx.AsyncClient(transport=transport, headers=headers)

    async def _read(self, response: "httpx.Response") -> bytes:
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._largest_body:
                raise TransportFailure(FailureKind.TOO_LARGE, f"more than {self._largest_body} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _library_of(client: Any) -> Any:
    """Return the library of a client: httpx or httpx2."""
    packages = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
    return sys.modules[next((name for name in packages if name in {"httpx", "httpx2"}), "httpx")]


def _checked_url(library: Any, text: str) -> "httpx.URL":
    """Return a URL whose host is a valid name."""
    try:
        url: httpx.URL = library.URL(text)
        _ = url.host  # httpx reads it late, and then raises an error that is not its own
    except (library.InvalidURL, UnicodeError) as error:
        raise TransportFailure(FailureKind.DNS, str(error)) from error
    return url


def _classify(error: Exception) -> tuple[FailureKind, str]:
    """Return the kind of failure of an error. Classes are compared by name, which both libraries share."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error) or type(error).__name__
    if {"ConnectError", "ConnectTimeout"} & names:
        # Only if connecting failed: a later TLS failure does not prove that the request was not sent.
        causes = [cause for cause in _chain(error) if not isinstance(cause, _TLS_WAITS)]
        for kind_of_error, kind in _BY_CAUSE:
            for cause in causes:
                if isinstance(cause, kind_of_error):
                    return kind, str(cause)
    if "RemoteProtocolError" in names:
        return next((kind for words, kind in _BY_WORDS if words in text), FailureKind.PROTOCOL), text
    if "PoolTimeout" in names:
        return FailureKind.NO_ROOM, f"all {CONNECTIONS} are in use"
    return next((kind for name, kind in _BY_NAME if name in names), FailureKind.PROTOCOL), text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
