"""The default transport: httpx, or a library with the same API (httpx2)."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio

from agora_analytics.engine.transports import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    LARGEST_BODY,
    LONGEST_URL,
    SentReport,
)
from agora_analytics.engine.transports.content_encoding import ACCEPT_ENCODING, BodyReader
from agora_analytics.engine.transports.dns import Resolve, SystemResolver
from agora_analytics.engine.transports.environment import (
    default_certificates,
    environment_proxies,
    may_use_proxy,
)
from agora_analytics.engine.transports.httpx_log import install_filter, own_request
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

if TYPE_CHECKING:
    import httpx
    import httpx2

_BUFFERED = (
    100  # chunks that a response may still have in memory; a stream of a caller's client may be endless
)
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
        connections: how many connections are open at the same time.

    `resolve`, `ssl_context`, `http2` and `connections` have no effect on a client of yours. A proxy of the environment is used, unless
    `resolve` is passed. Loopback addresses and plain http with credentials bypass it.

    A client of yours keeps its own proxies, event hooks and cookies. A cookie that a response sets is removed again,
    unless the client had it when the transport was created. If a hook or a transport of yours reads the body, your
    library decompresses it without a limit on memory.

    Raises:
        ConfigurationError: `http2` is true and the extra is not installed.
    """

    reports_sent = True

    def __init__(
        self,
        client: "httpx.AsyncClient | httpx2.AsyncClient | None" = None,
        *,
        largest_body: int = LARGEST_BODY,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http2: bool = False,
        connections: int = CONNECTIONS,
    ) -> None:
        if http2 and find_spec("h2") is None:
            raise ConfigurationError("http2=True needs h2: pip install 'agora-analytics[http2]'")
        self.resolve = None if client is not None else resolve or SystemResolver()
        """Resolves host names; None if a client of yours does."""
        self._client: Any = client  # httpx2 has the same API, but other classes
        self._proxied: httpx.AsyncClient | None = None
        self._cookies = {_key(cookie) for cookie in client.cookies.jar} if client is not None else set()
        self._own = client is None
        self._opening = asyncio.Lock()
        self._creating: asyncio.Future[Any] | None = None
        self._largest_body = largest_body
        self._ssl_context = ssl_context
        self._http2 = http2
        self._connections = connections
        self._may_use_proxy = resolve is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Create the HTTP client eagerly; otherwise the first request would be sent later than its rate-limit slot."""
        if self._client is None:
            await self._opened()

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        client = self._client or await self._opened()
        results: list[Response | Exception] = []

        async def exchange() -> None:
            try:
                results.append(await self._exchange(client, request))
            except Exception as error:  # noqa: BLE001 - raised by the caller's task, not in a group
                results.append(error)

        # httpx closes responses in shielded scopes of anyio. A cancellation of the caller's task would interrupt them and
        # leave the connection in use forever. The group cancels its own task, and not within those scopes.
        async with anyio.create_task_group() as group:
            group.start_soon(exchange)
        (result,) = results
        if isinstance(result, Exception):
            raise result
        return result

    async def _exchange(self, client: Any, request: Request) -> Response:
        if self._proxied is not None:
            target = urlsplit(request.base_url)
            if may_use_proxy(request, target.hostname or "", encrypted=target.scheme == "https"):
                client = self._proxied
        library = _library_of(client)
        url = _checked_url(library, request.url)
        trace = None if request.on_sent is None else _Trace(SentReport(request))
        start = anyio.current_time()
        try:
            with anyio.fail_after(request.timeout), own_request(self._own):
                async with client.stream(
                    request.method,
                    url,
                    headers={"accept-encoding": ACCEPT_ENCODING, **request.headers},
                    content=request.body or None,
                    timeout=library.Timeout(
                        request.timeout,
                        connect=min(CONNECT_TIMEOUT, request.timeout / 2),
                        pool=request.timeout / 2,
                    ),
                    follow_redirects=False,
                    extensions=None if trace is None else {"trace": trace},
                ) as response:
                    first_byte = anyio.current_time() - start
                    if trace is not None:
                        trace.report()
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    if "set-cookie" in headers:
                        self._forget_cookies(library, client, response)
                    body = await self._read(response, headers.get("content-encoding", ""))
        except TimeoutError:
            raise TransportFailure(
                FailureKind.READ_TIMEOUT, f"no complete response in {request.timeout:g} s"
            ) from None
        # httpx does not wrap a TLS failure in the middle of a response.
        except (library.HTTPError, OSError) as error:
            raise TransportFailure(*_classify(error, self._connections)) from error
        finally:
            # A transport of the caller may ignore the trace, so that its request may have been sent.
            if trace is not None and not (self._own or trace.has_events):
                trace.report()
        return Response(
            status=response.status_code,
            headers=headers,
            body=body,
            elapsed=anyio.current_time() - start,
            first_byte=first_byte,
        )

    async def aclose(self) -> None:
        """Close the HTTP client, if the transport created it."""
        if self._own and self._client is not None:
            clients, self._client, self._proxied = (self._client, self._proxied), None, None
            for client in filter(None, clients):
                await client.aclose()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                # In a thread: importing httpx and reading certificates would block the event loop for too long.
                # After the deadline of one call, the next call waits for the same thread.
                self._creating = self._creating or asyncio.ensure_future(asyncio.to_thread(self._new_clients))
                try:
                    self._client, self._proxied = await asyncio.shield(self._creating)
                finally:
                    if self._creating.done():
                        self._creating = None
            return self._client

    def _new_clients(self) -> "tuple[httpx.AsyncClient, httpx.AsyncClient | None]":
        """Return a client that connects directly, and one for the proxies of the environment."""
        import httpx

        from agora_analytics.engine.transports.happy_eyeballs import Dialer, Pool

        install_filter()
        certificates = self._ssl_context or default_certificates()
        limits = httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
        if self._http2:
            # Its debug lines contain the headers, credentials included.
            logging.getLogger("hpack").setLevel(logging.INFO)
        transport = httpx.AsyncHTTPTransport(verify=certificates)
        transport._pool = Pool(  # noqa: SLF001 - httpx has no parameter for a network backend
            ssl_context=certificates,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http2=self._http2,
            network_backend=Dialer(self.resolve or SystemResolver()),
        )
        mounts = (
            environment_proxies(certificates=certificates, limits=limits, http2=self._http2)
            if self._may_use_proxy
            else {}
        )
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        direct, proxied = (
            httpx.AsyncClient(transport=transport, mounts=each, cookies=no_cookies, trust_env=False)
            for each in ({}, mounts)
        )
        return direct, proxied if mounts else None

    def _forget_cookies(self, library: Any, client: Any, response: "httpx.Response") -> None:
        received = library.Cookies()
        received.extract_cookies(response)
        for key in {_key(cookie) for cookie in received.jar} - self._cookies:
            with suppress(KeyError):  # a client of ours has not kept it
                client.cookies.jar.clear(*key)

    async def _read(self, response: "httpx.Response", content_encoding: str) -> bytes:
        if response.is_stream_consumed:  # a hook or a transport of the caller's client has decompressed it
            reader = BodyReader("", self._largest_body)
            await reader.feed(response.content)
            return reader.finish()
        reader = BodyReader(content_encoding, self._largest_body)
        chunks = response.aiter_raw()
        try:
            async for chunk in chunks:
                await reader.feed(chunk)
        except BaseException:
            await _unwind(chunks)
            raise
        return reader.finish()


class _Trace:
    """The `trace` extension of a request: reports when httpcore has written its head.

    Attributes:
        report: reports that the request was sent.
        has_events: whether httpcore has called the trace.
    """

    __slots__ = ("_to_proxy", "has_events", "report")

    def __init__(self, report: SentReport) -> None:
        self.report = report
        self.has_events = False
        self._to_proxy = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        self.has_events = True
        if event.endswith(".send_request_headers.started"):
            self._to_proxy = info["request"].method == b"CONNECT"  # httpcore copies the trace to it
        elif ".send_request_headers." in event and not self._to_proxy:
            self.report()  # complete, or failed: a part may have been sent before


async def _unwind(chunks: AsyncIterator[bytes]) -> None:
    """Stop reading a body, by a cancellation in the innermost of httpx's nested generators.

    Otherwise the event loop closes each of them later, in a task of its own.
    """
    with anyio.CancelScope() as scope, suppress(Exception):
        scope.cancel()
        for _ in range(_BUFFERED):
            await anext(chunks)


def _key(cookie: Cookie) -> tuple[str, str, str]:
    """Return what identifies a cookie in its jar."""
    return cookie.domain, cookie.path, cookie.name


def _library_of(client: Any) -> Any:
    """Return the library of a client: httpx or httpx2."""
    packages = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
    return sys.modules[next((name for name in packages if name in {"httpx", "httpx2"}), "httpx")]


def _checked_url(library: Any, text: str) -> "httpx.URL":
    """Return a URL whose host is a valid name."""
    if len(text) > LONGEST_URL:  # httpx raises the same error as for an invalid host
        raise TransportFailure(FailureKind.PROTOCOL, f"the URL has more than {LONGEST_URL} characters")
    try:
        url: httpx.URL = library.URL(text)
        _ = url.host  # httpx reads it late, and then raises an error that is not its own
    except (library.InvalidURL, UnicodeError) as error:
        raise TransportFailure(FailureKind.DNS, str(error)) from error
    return url


def _classify(error: Exception, connections: int) -> tuple[FailureKind, str]:
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
        return FailureKind.NO_ROOM, f"all {connections} are in use"
    return next((kind for name, kind in _BY_NAME if name in names), FailureKind.PROTOCOL), text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
