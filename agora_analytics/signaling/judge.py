"""The verdict on an answer of Signaling. Its two families of endpoints have two envelopes: both are read.

What sends a message or removes events is sent again only if nothing can have happened: the request never left, or
the server refused it for its rate. All else could send twice, or read past what was lost.

Source: `reference/signaling-api.md`, "Status / error codes".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agora_analytics import errors
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry, Verdict
from agora_analytics.messages import Response, TransportFailure
from agora_analytics.signaling.operations import MAY_BE_LOST

CODES: Mapping[int, tuple[type[errors.APIError], str]] = {
    400: (errors.BadRequest, "the request is not valid"),
    401: (errors.AuthenticationError, "check the customer id and secret, or the token"),
    403: (errors.AccessDenied, "not authorized, or the feature (message history, say) is not enabled"),
    404: (errors.NotFound, "check the base URL and the App ID"),
    408: (errors.ServerError, "no response from the server"),
    415: (errors.BadRequest, "only JSON is taken"),
    429: (errors.RateLimited, "too many requests for the App ID"),
    435: (errors.BadRequest, "invalid payload"),
    500: (errors.ServerError, "internal error"),
    503: (errors.ServerError, "the server timed out"),
}
"""What each code means, whether it comes as the HTTP status or as `errorCode` in the body."""

_TOO_FAST = 1.0  # the limits are counted in seconds


class Envelope(msgspec.Struct):
    """What every answer may carry: messages and events in snake case, today's history in camel case."""

    result: Any = None
    error: Any = None
    errorCode: Any = None  # noqa: N815 - as the API spells it
    reason: Any = None
    message: Any = None
    request_id: Any = None
    requestId: Any = None  # noqa: N815


def judge(endpoint: Endpoint, outcome: Response | TransportFailure, now: float) -> Verdict:
    """Return what to do after one attempt."""
    if isinstance(outcome, TransportFailure):
        return _judge_failure(endpoint, outcome)
    if outcome.status < 400 and endpoint.items == "events" and _holds_events(outcome):
        return Done(outcome)  # they are gone from the server, whatever it says about them
    envelope = read_envelope(outcome)
    place: dict[str, Any] = {"status": outcome.status, "request_id": request_id(envelope, outcome)}
    if envelope is None:
        return _judge_unreadable(endpoint, outcome, now, place)
    code = _code(envelope, outcome)
    said = next((text for text in (envelope.reason, envelope.message) if isinstance(text, str) and text), "")
    if code < 400:
        if envelope.result in (None, "success") and envelope.error is not True:
            return Done(outcome)
        text = f"result {envelope.result!r}: {said or 'no reason given'}"
        return Fail(error=errors.APIError(text, code=envelope.errorCode, **place))
    return _judge_code(endpoint, code, said, outcome, now, place)


class _Events(msgspec.Struct):
    events: list[msgspec.Raw] = []


def _holds_events(response: Response) -> bool:
    try:
        return bool(msgspec.json.decode(response.body, type=_Events).events)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def read_envelope(response: Response) -> Envelope | None:
    """Return the envelope of an answer, or None if its body is no JSON object."""
    try:
        return msgspec.json.decode(response.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def request_id(envelope: Envelope | None, response: Response) -> str | None:
    """Return the id that support asks for: from the body, else from the header."""
    found = (envelope.request_id, envelope.requestId) if envelope else ()
    return next((one for one in found if isinstance(one, str)), response.headers.get("x-request-id"))


def _code(envelope: Envelope, response: Response) -> int:
    """Return the code that counts: the body's, where it says something worse than the status."""
    said = whole_number(envelope.errorCode)
    return response.status if said is None or response.status >= 400 else max(said, response.status)


def _judge_failure(endpoint: Endpoint, failure: TransportFailure) -> Verdict:
    if not endpoint.replayable and not failure.kind.never_left:
        text = f"no answer: {failure}; {MAY_BE_LOST[endpoint.name]}"
        error = errors.TransportError(text, kind=failure.kind)
        return Fail(error=error, other_host=failure.kind.blames_host)
    error = errors.TransportError(f"no answer: {failure}", kind=failure.kind)
    if failure.kind.would_come_again:
        return Fail(error=error)
    return Retry(error=error, other_host=failure.kind.blames_host)


def _judge_unreadable(endpoint: Endpoint, response: Response, now: float, place: dict[str, Any]) -> Verdict:
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    if response.status >= 400:
        return _judge_code(endpoint, response.status, f"a page of {kind}", response, now, place)
    if not endpoint.replayable:
        return Done(response)  # it happened: who reads the answer says what is lost, and hands out the body
    text = f"HTTP {response.status}, but the body ({kind}) is not JSON"
    return Retry(error=errors.ServerError(text, **place))


def _judge_code(
    endpoint: Endpoint, code: int, said: str, response: Response, now: float, place: dict[str, Any]
) -> Verdict:
    known = errors.ServerError if code >= 500 else errors.BadRequest
    kind, hint = CODES.get(code, (known, "an unknown code"))
    text = f"code {code}: {said or 'no message'}; {hint}"
    place = {**place, "code": code}
    after = retry_after(response, now)
    if kind is errors.RateLimited:
        return Retry(error=kind(text, **place), cause=Cause.RATE, after=after or _TOO_FAST)
    if kind is not errors.ServerError:
        return Fail(error=kind(text, **place))
    if not endpoint.replayable:  # a server that is in trouble does not say how far it came
        error = kind(f"{text}; {MAY_BE_LOST[endpoint.name]}", **place)
        return Fail(error=error, other_host=True)
    return Retry(error=kind(text, **place), after=after, other_host=True)
