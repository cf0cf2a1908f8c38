"""Judges and decodes a response of ApsaraVideo Live in one step. The code in the body decides, not the HTTP status.

Errors arrive as JSON with field names in either case, as XML, or as the page of a gateway, which has its status only.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData", "Error codes".
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from agora_analytics import errors
from agora_analytics.apsaravideo.spec import ERRORS, FAMILIES, Meaning, Refusal
from agora_analytics.core import http_times
from agora_analytics.core.lenient_json import UNREADABLE, NotJson, load_object
from agora_analytics.core.lenient_reader import LenientReader, decoded
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.verdicts import Cause, Exchange, Fail, Retry, Verdict, judge_failure
from agora_analytics.messages import Response, TransportFailure

R = TypeVar("R")

_RAISES: Mapping[Meaning, type[errors.APIError]] = {
    Meaning.THROTTLED: errors.RateLimited,
    Meaning.TROUBLE: errors.ServerError,
    Meaning.SIGN_AGAIN: errors.AuthenticationError,
    Meaning.WRONG_REQUEST: errors.BadRequest,
    Meaning.WRONG_CREDENTIALS: errors.AuthenticationError,
    Meaning.DENIED: errors.AccessDenied,
    Meaning.NOT_FOUND: errors.NotFound,
}
_BY_STATUS: Mapping[int, str] = {
    401: "InvalidAccessKeyId.NotFound",
    403: "NoPermission",
    404: "InvalidApi.NotFound",
    429: "Throttling",
}
"""The code that is assumed for an HTTP status when the body has no documented code."""
_BY_CODE = {code.lower(): refusal for code, refusal in ERRORS.items()}
_GOOD = {"", "200", "ok", "success"}  # a good response has no code; the others are accepted as well
_RATE_PERIOD = 1.0  # the limit is counted in seconds
_LONGEST_MESSAGE = 500


class Envelope(msgspec.Struct):
    """What a response says about itself, with field names in either case."""

    Code: Any = None
    code: Any = None
    Message: Any = None
    message: Any = None
    RequestId: Any = None
    requestId: Any = None  # noqa: N815 - as the API spells it
    Nodes: Any = None
    nodes: Any = None

    def text(self, name: str) -> str | None:
        """Return a field as text: `Code`, `Message` or `RequestId`."""
        both = (getattr(self, name), getattr(self, name[0].lower() + name[1:]))
        whole = (value if isinstance(value, str | int) else whole_number(value) for value in both)
        return next((str(value) for value in whole if value is not None and value != ""), None)


def read_response(exchange: Exchange, *, parse: Callable[[bytes, LenientReader], R]) -> Verdict[R]:
    """Return what `parse` returns for the body of a good response (it may raise `DecodeError`), or what to do instead."""
    outcome = exchange.outcome
    if isinstance(outcome, TransportFailure):
        return judge_failure(exchange, outcome)
    envelope = _read_envelope(outcome)
    if outcome.status < 400 and envelope == Envelope():
        envelope = None  # an object of a proxy, which would be read as an empty list
    in_body = envelope.text("RequestId") if envelope is not None else None
    headers = outcome.headers
    request_id = in_body or headers.get("x-acs-request-id") or headers.get("x-request-id")
    if envelope is not None and outcome.status < 400 and (envelope.text("Code") or "").lower() in _GOOD:
        return decoded(partial(parse, outcome.body), request_id)
    context: dict[str, Any] = {"status": outcome.status, "request_id": request_id}
    if envelope is None:
        if outcome.status < 400:
            text = (
                f"HTTP {outcome.status}, but the body ({outcome.content_type}) is not a response of this API"
            )
            unreadable = errors.ServerError(text, **context)
            return Retry(error=unreadable, cause=Cause.UNREADABLE, other_host=True)
        envelope = Envelope(
            Message=f"a {outcome.content_type} page instead of JSON" if outcome.body else "no body"
        )
    return _judge_refusal(envelope, outcome, context, exchange.now)


def _read_envelope(response: Response) -> Envelope | None:
    """Return what a response says about itself, or None if it is neither a JSON object nor an XML error."""
    try:
        return msgspec.json.decode(response.body, type=Envelope)
    except UNREADABLE:
        pass
    try:
        fields = load_object(response.body)
    except NotJson:
        return _read_xml(response.body)
    return Envelope(*map(fields.get, Envelope.__struct_fields__))


def _read_xml(body: bytes) -> Envelope | None:
    """Read `<Error>` without an XML parser: it has three flat elements, and no entity must be expanded."""
    text = body[:20_000].decode(errors="replace")
    if "<Error>" not in text:
        return None
    fields = {
        name: match[1].strip()
        for name in ("Code", "Message", "RequestId")
        if (match := re.search(rf"<{name}>([^<]*)</{name}>", text))
    }
    return Envelope(**fields) if "Code" in fields else None


def _judge_refusal(
    envelope: Envelope, response: Response, context: dict[str, Any], now: float
) -> Retry | Fail:
    code, status = envelope.text("Code"), response.status
    after = retry_after(response)
    # Only a throttled response has the header. The standard one may be from any gateway.
    refusal = refusal_of(code, status) if after is None else ERRORS["Throttling"]
    after = http_times.retry_after(response, now) if after is None else after
    message = (envelope.text("Message") or "no message")[:_LONGEST_MESSAGE]
    text = f"{code or f'HTTP {status}'}: {message.rstrip('. ')}; {refusal.hint}"
    error = _RAISES[refusal.meaning](text, code=code, **context)
    match refusal.meaning:
        case Meaning.THROTTLED:
            return Retry(error=error, cause=Cause.RATE, after=after or _RATE_PERIOD)
        case Meaning.TROUBLE:
            return Retry(error=error, after=after, other_host=True)
        case Meaning.SIGN_AGAIN:
            return Retry(error=error, cause=Cause.CREDENTIALS)
        case _:
            return Fail(error=error)


def refusal_of(code: str | None, status: int) -> Refusal:
    """Return what a code means: by its name, by its prefix, or by the HTTP status, in this order."""
    code = (code or "").lower()
    if code in _BY_CODE:
        return _BY_CODE[code]
    families = (known for beginning, known in FAMILIES.items() if code.startswith(beginning.lower()))
    known = next(families, None) or _BY_STATUS.get(status) or ("InternalError" if status >= 500 else None)
    return ERRORS[known] if known else Refusal(status, Meaning.WRONG_REQUEST, "this error is not documented")


def retry_after(response: Response) -> float | None:
    """Return `x-acs-retry-after` in seconds; the header has whole milliseconds above zero."""
    text = response.headers.get("x-acs-retry-after", "").strip()
    milliseconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return milliseconds / 1000 if milliseconds > 0 else None
