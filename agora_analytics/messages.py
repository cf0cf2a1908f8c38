"""What the request loop and a transport exchange: a request, a response, or a failure."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from urllib.parse import quote_plus

from attrs import field, frozen

SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-acs-security-token",
        "x-agora-token",
        "x-opentok-auth",
    }
)
"""The names of headers whose values are never logged, in lower case."""

Query = tuple[tuple[str, str], ...]
"""The parameters of a URL's query, decoded, in their order."""

_name = lru_cache(quote_plus)  # there are few parameter names, and encoding them is half of the work


def _quoted(value: str) -> str:
    return value if value.isascii() and value.isalnum() else quote_plus(value)


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with each secret value replaced by `***`."""
    return {name: "***" if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}


def _redacted_repr(headers: Mapping[str, str]) -> str:
    return repr(redacted(headers))


@frozen(kw_only=True)
class Request:
    """One attempt of one API call, as a transport sends it.

    Attributes:
        timeout: limits the attempt, in seconds, from connecting to the last byte.
        on_sent: called when the head of the request has been written to the socket; see `Transport`.
    """

    method: str
    base_url: str
    path: str
    query: Query = ()
    headers: Mapping[str, str] = field(factory=dict, repr=_redacted_repr)
    body: bytes = field(default=b"", repr=False)
    timeout: float = 30.0
    on_sent: Callable[[], None] | None = field(default=None, eq=False, repr=False)

    @cached_property
    def url(self) -> str:
        """The URL with its query. It never contains a secret: secrets are headers."""
        query = "&".join([f"{_name(name)}={_quoted(value)}" for name, value in self.query])
        return f"{self.base_url}{self.path}?{query}" if query else f"{self.base_url}{self.path}"


@frozen(kw_only=True)
class Response:
    """A complete HTTP response, its body decompressed.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name.
        body: the bytes.
        elapsed: seconds from sending the request to the last byte.
        first_byte: seconds to the response's headers; None if the transport does not measure it.
    """

    status: int
    headers: Mapping[str, str] = field(repr=_redacted_repr)
    body: bytes = field(repr=False)
    elapsed: float = 0.0
    first_byte: float | None = None

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters; "typeless" if the server does not name it."""
        return self.headers.get("content-type", "typeless").split(";")[0]


class FailureKind(StrEnum):
    """Why there is no complete response. It decides whether the request may be repeated, and where."""

    DNS = "DNS"
    REFUSED = "connection refused"
    TLS = "TLS"
    CONNECT_TIMEOUT = "connect timeout"
    NO_ROOM = "no free connection"
    READ_TIMEOUT = "read timeout"
    RESET = "connection reset"
    CUT_OFF = "response cut off"
    TOO_LARGE = "response too large"
    PROTOCOL = "protocol error"
    ENCODING = "unreadable content encoding"
    REDIRECT = "redirect refused"

    @property
    def never_left(self) -> bool:
        """Whether the failure proves that the server did not receive the request."""
        return self in {self.DNS, self.REFUSED, self.TLS, self.CONNECT_TIMEOUT, self.NO_ROOM}

    @property
    def would_come_again(self) -> bool:
        """Whether the response itself was refused, so that any host would fail."""
        return self in {self.TOO_LARGE, self.REDIRECT}

    @property
    def blames_host(self) -> bool:
        """Whether another host may do better."""
        return not (self.would_come_again or self in {self.CUT_OFF, self.NO_ROOM})


class TransportFailure(Exception):
    """Raised by a transport when there is no complete response. Users see `TransportError`, with the trail of attempts."""

    def __init__(self, kind: FailureKind, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else str(kind))
        self.kind = kind
        self.detail = detail
