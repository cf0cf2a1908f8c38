"""The verdict on an answer of ApsaraVideo Live. It goes by the code in the body, whatever the HTTP status says.

Errors come as JSON, with names in both cases, as XML, or as a gateway's page, which still has its status.

Source: `reference/apsaravideo.md`, section 4.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from agora_analytics import errors
from agora_analytics.apsaravideo.facts import ERRORS, FAMILIES, Meaning, Refusal
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry, Verdict
from agora_analytics.messages import Response, TransportFailure

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
"""The code that an HTTP status stands for where there is none that a document names."""
_GOOD = {
    "",
    "200",
    "OK",
    "Success",
}  # what a good answer may have as its code, though this operation has none
_TOO_FAST = 1.0  # the limit is counted in seconds
_LONGEST_SAID = 500


class Envelope(msgspec.Struct):
    """What an answer says of itself, in either case of the names."""

    Code: Any = None
    code: Any = None
    Message: Any = None
    message: Any = None
    RequestId: Any = None
    requestId: Any = None  # noqa: N815 - as the API spells it

    def said(self, name: str) -> str | None:
        """Return a field as text: `Code`, `Message` or `RequestId`."""
        both = (getattr(self, name), getattr(self, name[0].lower() + name[1:]))
        return next((str(one) for one in both if isinstance(one, str | int) and one != ""), None)


def judge(endpoint: Endpoint, outcome: Response | TransportFailure, now: float) -> Verdict:
    """Return what to do after one attempt."""
    del endpoint, now  # every question may be asked again, and no limit depends on the hour
    if isinstance(outcome, TransportFailure):
        return _judge_failure(outcome)
    envelope = read_envelope(outcome)
    if envelope is not None and outcome.status < 400 and (envelope.said("Code") or "") in _GOOD:
        return Done(outcome)
    place: dict[str, Any] = {"status": outcome.status, "request_id": request_id(envelope, outcome)}
    if envelope is None:
        kind = outcome.headers.get("content-type", "no content type").split(";")[0]
        if outcome.status < 400:
            text = f"HTTP {outcome.status}, but the body ({kind}) is no answer"
            return Retry(error=errors.ServerError(text, **place), other_host=True)
        envelope = Envelope(Message=f"a page of {kind}" if outcome.body else "no body")
    return _judge_refusal(envelope, outcome, place)


def read_envelope(response: Response) -> Envelope | None:
    """Return what an answer says of itself, or None if it is neither a JSON object nor an XML error."""
    try:
        return msgspec.json.decode(response.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_xml(response.body)


def request_id(envelope: Envelope | None, response: Response) -> str | None:
    """Return the id that support asks for: from the body, else from a header."""
    said = envelope.said("RequestId") if envelope is not None else None
    return said or response.headers.get("x-acs-request-id") or response.headers.get("x-request-id")


def _read_xml(body: bytes) -> Envelope | None:
    """Read `<Error>` without an XML parser: three flat elements are wanted, and no entity is ever expanded."""
    text = body[:20_000].decode(errors="replace")
    if "<Error>" not in text:
        return None
    found = {
        name: match[1].strip()
        for name in ("Code", "Message", "RequestId")
        if (match := re.search(rf"<{name}>([^<]*)</{name}>", text))
    }
    return Envelope(**found) if "Code" in found else None


def _judge_failure(failure: TransportFailure) -> Verdict:
    error = errors.TransportError(f"no answer: {failure}", kind=failure.kind)
    if failure.kind.would_come_again:
        return Fail(error=error)
    return Retry(error=error, other_host=failure.kind.blames_host)


def _judge_refusal(envelope: Envelope, response: Response, place: dict[str, Any]) -> Verdict:
    code, status = envelope.said("Code"), response.status
    after = retry_after(response)
    refusal = refusal_of(code, status)
    if after is not None:  # says by its presence alone that requests are too many
        refusal = ERRORS["Throttling"]
    said = (envelope.said("Message") or "no message")[:_LONGEST_SAID]
    text = f"{code or f'HTTP {status}'}: {said}; {refusal.hint}"
    error = _RAISES[refusal.meaning](text, code=code, **place)
    match refusal.meaning:
        case Meaning.THROTTLED:
            return Retry(error=error, cause=Cause.RATE, after=after or _TOO_FAST)
        case Meaning.TROUBLE:
            return Retry(error=error, other_host=True)
        case Meaning.SIGN_AGAIN:
            return Retry(error=error, cause=Cause.CREDENTIALS)
        case _:
            return Fail(error=error)


def refusal_of(code: str | None, status: int) -> Refusal:
    """Return what a code means: by its name, else by how it begins, else by the HTTP status."""
    known = code if code in ERRORS else _family(code or "") or _BY_STATUS.get(status)
    if known is not None:
        return ERRORS[known]
    if status >= 500:
        return ERRORS["InternalError"]
    return Refusal(status, Meaning.WRONG_REQUEST, "no document names this error")


def _family(code: str) -> str | None:
    return next((known for beginning, known in FAMILIES.items() if code.startswith(beginning)), None)


def retry_after(response: Response) -> float | None:
    """Return the seconds that `x-acs-retry-after` asks to wait; it counts in milliseconds, whole and above zero."""
    text = response.headers.get("x-acs-retry-after", "").strip()
    milliseconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return milliseconds / 1000 if milliseconds > 0 else None
