"""The fault matrix: how a host can fail, and what the client does. Tests and `docs/faults.md` read it."""

from enum import Enum

from attrs import frozen

from agora_analytics import errors
from agora_analytics.messages import FailureKind
from tests.faults.network import (
    Host,
    answers,
    closes,
    cuts_off,
    drips,
    resets,
    resets_at_once,
    says_nothing,
    speaks_plainly,
    whole,
)

LARGEST_BODY = 100_000
HTML = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class Then(Enum):
    """What a call does when its host has a permanent fault. The value is the text of the page."""

    NEIGHBOUR = "retries the host, then the neighbour region; succeeds"
    ALTERNATE = "retries the host, then the alternate primary; succeeds"
    SAME_HOST = "retries the host with back-off until the attempts are spent; raises the error"
    TWICE = "retries the host once; raises the error, because the second response is identical"
    WAITS = "waits as the limit says, retries the host; raises the error"
    ONCE = "raises the error after one attempt"
    NEXT_HOST = "drops the host, tries the next one at once; succeeds"


@frozen(kw_only=True)
class Fault:
    """A row: the fault, its layer, how a host shows it, its classification, and what each class of call does.

    `at` is the host that has the fault; a fault of the neighbour is met where the primary refuses connections.
    """

    name: str
    layer: str
    host: Host
    classified: FailureKind | type[errors.AgoraAnalyticsError]
    query: Then
    message: Then
    at: str = "the primary"


def _left(name: str, layer: str, host: Host, classified: FailureKind, then: Then = Then.NEIGHBOUR) -> Fault:
    """A fault that proves that the server did not receive the request, so every call may be sent again."""
    return Fault(name=name, layer=layer, host=host, classified=classified, query=then, message=then)


def _answer(
    name: str,
    layer: str,
    answer: bytes,
    classified: FailureKind | type[errors.AgoraAnalyticsError],
    query: Then,
    message: Then = Then.ONCE,
) -> Fault:
    return Fault(
        name=name,
        layer=layer,
        host=Host(serve=answers(answer)),
        classified=classified,
        query=query,
        message=message,
    )


def _broken(name: str, serve, classified: FailureKind, query: Then = Then.NEIGHBOUR) -> Fault:
    return Fault(
        name=name, layer="HTTP", host=Host(serve=serve), classified=classified, query=query, message=Then.ONCE
    )


def _says(code: int, message: str) -> bytes:
    return whole(b'{"code":%d,"message":"%b","requestId":"r"}' % (code, message.encode()))


FAULTS = (
    _left("the name does not exist", "DNS", Host(name="no"), FailureKind.DNS, Then.ALTERNATE),
    _left("the resolver does not answer", "DNS", Host(name="silent"), FailureKind.DNS, Then.ALTERNATE),
    _left("nobody listens", "TCP", Host(listens="no"), FailureKind.REFUSED),
    _left("packets are dropped (black hole)", "TCP", Host(listens="black hole"), FailureKind.CONNECT_TIMEOUT),
    _left("reset during the TLS handshake", "TLS", Host(shows=None, serve=resets_at_once), FailureKind.REFUSED),
    _left("the TLS handshake is not answered", "TLS", Host(shows=None, serve=says_nothing), FailureKind.CONNECT_TIMEOUT),
    _left("certificate of another name", "TLS", Host(shows="other name"), FailureKind.TLS),
    _left("certificate of an unknown authority", "TLS", Host(shows="other CA"), FailureKind.TLS),
    _left("certificate that has expired", "TLS", Host(shows="expired"), FailureKind.TLS),
    _left("no TLS on the TLS port", "TLS", Host(shows=None, serve=speaks_plainly), FailureKind.TLS),
    _broken("accepts and never answers (half-open)", says_nothing, FailureKind.READ_TIMEOUT),
    _broken("a few bytes at a time (slow drip)", drips, FailureKind.READ_TIMEOUT),
    _broken("reset instead of a response", resets, FailureKind.RESET),
    _broken("closed instead of a response", closes, FailureKind.RESET),
    _broken("body cut off", cuts_off, FailureKind.CUT_OFF, Then.SAME_HOST),
    _broken("a response that is not HTTP", answers(b"220 mail.example ESMTP\r\n\r\n"), FailureKind.PROTOCOL),
    _broken(
        "body in an unsupported encoding",
        answers(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 4\r\n\r\nabcd"),
        FailureKind.ENCODING,
        Then.TWICE,
    ),
    _broken(
        "compressed body that is corrupt",
        answers(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"),
        FailureKind.ENCODING,
        Then.TWICE,
    ),
    _answer("body above the limit", "HTTP", whole(b" " * (LARGEST_BODY + 1)), FailureKind.TOO_LARGE, Then.ONCE),
    _answer(
        "redirect to another host",
        "HTTP",
        whole(b"", "302 Found", "text/html", "location: https://other.example/"),
        FailureKind.REDIRECT,
        Then.ONCE,
    ),
    _answer("503 and a gateway's page", "gateway", whole(HTML, "503 Service Unavailable", "text/html"), errors.ServerError, Then.NEIGHBOUR),
    _answer("504 and a gateway's page", "gateway", whole(HTML, "504 Gateway Timeout", "text/html"), errors.ServerError, Then.NEIGHBOUR),
    _answer("500 and JSON", "gateway", whole(b'{"message":"An unexpected error occurred"}', "500 Internal Server Error"), errors.ServerError, Then.NEIGHBOUR),
    _answer("200 and a gateway's page", "gateway", whole(HTML, kind="text/html"), errors.ServerError, Then.TWICE),
    _answer("200 and invalid JSON", "gateway", whole(b'{"code":200,'), errors.ServerError, Then.TWICE),
    _answer("401", "gateway", whole(b'{"message":"no"}', "401 Unauthorized"), errors.AuthenticationError, Then.ONCE),
    _answer("403", "gateway", whole(b'{"message":"no"}', "403 Forbidden"), errors.AccessDenied, Then.ONCE),
    _answer("404 no Route matched", "gateway", whole(b'{"message":"no Route matched with those values"}', "404 Not Found"), errors.NotFound, Then.ONCE),
    Fault(
        name="404 no Route matched",
        layer="gateway",
        host=Host(serve=answers(whole(b'{"message":"no Route matched with those values"}', "404 Not Found"))),
        classified=errors.NotFound,
        query=Then.NEXT_HOST,
        message=Then.NEXT_HOST,
        at="the neighbour",
    ),
    _answer("429", "gateway", whole(b'{"message":"API rate limit exceeded"}', "429 Too Many Requests"), errors.RateLimited, Then.WAITS, Then.WAITS),
    _answer("body code 300, qps limit", "API", _says(300, "Service package limit check error, qps limit error"), errors.RateLimited, Then.WAITS, Then.WAITS),
    _answer("body code 300, qpd limit", "API", _says(300, "Service package limit check error, qpd limit error"), errors.QuotaExhausted, Then.ONCE),
    _answer("body code 400", "API", _says(400, "parameter error"), errors.BadRequest, Then.ONCE),
    _answer("body code 500", "API", _says(500, "Unknown Error"), errors.ServerError, Then.SAME_HOST),
)  # fmt: skip
