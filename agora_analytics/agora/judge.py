"""Judges and decodes a response of the Agora APIs in one step: the code in the body first, then the HTTP status.

Source: Agora, "Analytics REST API reference", "Status codes"; see docs/agora-api.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from attrs import frozen

from agora_analytics import errors
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.lenient_json import NotJson, load_object
from agora_analytics.core.lenient_reader import LenientReader, decoded
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.verdicts import (
    MIDNIGHT_SLACK,
    Cause,
    Exchange,
    Fail,
    Retry,
    Verdict,
    judge_failure,
)
from agora_analytics.instants import next_midnight
from agora_analytics.messages import Response, TransportFailure

R = TypeVar("R")

SUCCESS = (200, 0)


class AgoraEnvelope(msgspec.Struct):
    """The fields that every response may have in addition to its data."""

    code: Any = None
    message: Any = None
    requestId: Any = None  # noqa: N815 - as the API spells it


@frozen
class Opened(Generic[R]):
    """A body whose envelope is read. `decode` returns its data; it raises `DecodeError`, or `NotJson`."""

    envelope: AgoraEnvelope
    decode: Callable[[LenientReader], R]


Open = Callable[[bytes], Opened[R]]
"""Reads the envelope of a body; raises `NotJson` if the body is not a JSON object."""


def open_fields(body: bytes) -> Opened[dict[str, Any]]:
    """Open a body whose data are all its fields."""
    fields = load_object(body)
    return Opened(envelope_of(fields), lambda _: fields)


def envelope_of(fields: Mapping[str, Any]) -> AgoraEnvelope:
    """Return the envelope of a response, given its fields."""
    return AgoraEnvelope(*map(fields.get, AgoraEnvelope.__struct_fields__))


def read_response(exchange: Exchange, *, open_body: Open[R]) -> Verdict[R]:
    """Return the decoded data of a successful response, or a verdict to retry or fail."""
    outcome = exchange.outcome
    if isinstance(outcome, TransportFailure):
        return judge_failure(exchange, outcome)
    try:
        verdict = _judge_opened(open_body(outcome.body), outcome, exchange)
    except NotJson:
        verdict = _judge_unreadable(outcome, exchange.now)
    if exchange.endpoint.replayable or not isinstance(verdict, Retry):
        return verdict
    if verdict.cause in (Cause.TROUBLE, Cause.UNREADABLE):
        # The server may have carried out the request in spite of the error.
        return Fail(error=verdict.error, after=verdict.after, other_host=verdict.other_host)
    return verdict


def _judge_opened(opened: Opened[R], response: Response, exchange: Exchange) -> Verdict[R]:
    envelope = opened.envelope
    number = whole_number(envelope.code)
    request_id = _request_id(envelope, response)
    if number in SUCCESS and response.status < 400:
        return decoded(opened.decode, request_id)
    code = envelope.code if number is None and isinstance(envelope.code, str) else number
    context: dict[str, Any] = {
        "status": response.status,
        "code": code,
        "request_id": request_id,
    }
    message = envelope.message if isinstance(envelope.message, str) else ""
    if code is None:
        return _judge_status(response, message, exchange.now, context)
    if number == 300:
        return _judge_limit(message, exchange, context)
    return _judge_code(message, response, exchange.now, context)


def _request_id(envelope: AgoraEnvelope, response: Response) -> str | None:
    """Return the request id from the body, or else from the header."""
    return envelope.requestId if isinstance(envelope.requestId, str) else response.headers.get("x-request-id")


def _judge_unreadable(response: Response, now: float) -> Retry | Fail:
    """Judge an HTML page of a gateway, or JSON that is invalid or cut off."""
    context: dict[str, Any] = {
        "status": response.status,
        "request_id": response.headers.get("x-request-id"),
    }
    if response.status < 400:
        error = errors.ServerError(
            f"HTTP {response.status}, but the body ({response.content_type}) is not JSON", **context
        )
        return Retry(error=error, cause=Cause.UNREADABLE)
    return _judge_status(response, f"a {response.content_type} page instead of JSON", now, context)


def _judge_status(response: Response, message: str, now: float, context: dict[str, Any]) -> Retry | Fail:
    """Judge a response without a body code, which is from a gateway."""
    text = f"HTTP {response.status}: {message or 'no message'}"
    match response.status:
        case 401:
            return Fail(
                error=errors.AuthenticationError(f"{text}; check the customer id and secret", **context)
            )
        case 403:
            return Fail(
                error=errors.AccessDenied(f"{text}; the account has no access to this endpoint", **context)
            )
        case 404:
            error = errors.NotFound(f"{text}; check the base URL", **context)
            return Fail(error=error, not_offered="no route matched" in message.lower())
        case 429:
            return _rate_limited(text, retry_after(response, now), context)
        case status if status >= 500 or status == 408:
            after = retry_after(response, now)
            return Retry(error=errors.ServerError(text, **context), after=after, other_host=True)
        case status if status < 400:
            unreadable = errors.ServerError(f"{text}; the body has no readable code", **context)
            return Retry(error=unreadable, cause=Cause.UNREADABLE)
        case _:
            return Fail(
                error=errors.BadRequest(f"{text}; check the arguments, such as names of metrics", **context)
            )


def _judge_code(message: str, response: Response, now: float, context: dict[str, Any]) -> Retry | Fail:
    text = f"body code {context['code']}: {message or 'no message'}"
    match context["code"]:
        case 400:
            return Fail(
                error=errors.BadRequest(f"{text}; check the arguments, such as names of metrics", **context)
            )
        case 401:
            return Fail(
                error=errors.AuthenticationError(f"{text}; check the customer id and secret", **context)
            )
        case 403:
            return Fail(
                error=errors.AccessDenied(f"{text}; check the app id and what the plan includes", **context)
            )
        case 404:
            return Fail(error=errors.NotFound(f"{text}; check the call id and the base URL", **context))
        case 429:
            return _rate_limited(text, retry_after(response, now), context)
        case 200 | 0:  # under an HTTP status that contradicts it
            return _judge_status(response, message, now, context)
        case _:
            return Retry(
                error=errors.ServerError(text, **context),
                after=retry_after(response, now),
                other_host=response.status >= 500,
            )


def _judge_limit(message: str, exchange: Exchange, context: dict[str, Any]) -> Retry | Fail:
    """Judge body code 300, whose message names the limit."""
    text, now = f"body code 300: {message or 'no message'}", exchange.now
    message = message.lower()
    if "qps limit" in message:
        return _rate_limited(text, 1 - now % 1, context)
    if "qpm limit" in message:
        return _rate_limited(text, 60 - now % 60, context)
    if "qpd limit" in message:
        return _judge_spent_day(text, exchange, context["request_id"])
    if "query latency limit" in message or "query time" in message or "query duration" in message:
        return _judge_window(text, exchange, context, recent="query latency limit" in message)
    if "no auth to access" in message:
        return Fail(error=errors.AccessDenied(f"{text}; the plan does not include this endpoint", **context))
    return Fail(error=errors.APIError(f"{text}; check the plan's limits and features", **context))


def _rate_limited(text: str, after: float | None, context: dict[str, Any]) -> Retry:
    return Retry(error=errors.RateLimited(text, **context), cause=Cause.RATE, after=after)


def _judge_window(text: str, exchange: Exchange, context: dict[str, Any], *, recent: bool) -> Retry | Fail:
    """Judge a refused time range. Retry if the local clock was wrong or the range is too recent."""
    if exchange.clock_moved:
        return Retry(error=errors.WindowRefused(text, **context), cause=Cause.CLOCK)
    if recent:
        return Retry(error=errors.WindowRefused(text, **context), cause=Cause.RECENT, after=5.0)
    return Fail(error=errors.WindowRefused(f"{text}; request a range that the plan allows", **context))


def _judge_spent_day(text: str, exchange: Exchange, request_id: str | None) -> Retry | Fail:
    """Close the day whose quota is spent. If that day has ended meanwhile, retry on the new day."""
    now, opens = exchange.now, next_midnight(exchange.now)
    if opens - now > 86_400 - MIDNIGHT_SLACK:
        error = errors.QuotaExhausted(
            f"the day's quota is spent: {text}", retry_at=now, request_id=request_id
        )
        return Retry(error=error, cause=Cause.RATE, after=MIDNIGHT_SLACK)
    ended = next_midnight(exchange.sent_at - MIDNIGHT_SLACK)
    if opens > ended:
        error = errors.QuotaExhausted(
            f"the quota of the previous day is spent: {text}", retry_at=ended, request_id=request_id
        )
        return Retry(error=error, cause=Cause.RATE)
    error = errors.QuotaExhausted(f"the day's quota is spent: {text}", retry_at=opens, request_id=request_id)
    return Fail(error=error, closed_until=opens)
