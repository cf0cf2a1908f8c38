"""The verdict on an answer of the Agora Analytics API: the body's code first, then the HTTP status.

Source: `reference/agora-analytics-api.md`, "Status: the body first, then HTTP".
"""

from typing import Any

import msgspec

from agora_analytics import errors
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.verdicts import MIDNIGHT_SLACK, Cause, Done, Fail, Retry, Verdict
from agora_analytics.decode.chunks import session_pieces
from agora_analytics.instants import next_midnight
from agora_analytics.messages import Response, TransportFailure

SUCCESS = (200, 0)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a body as JSON raises: broken, not UTF-8, nested without end."""


class Envelope(msgspec.Struct):
    """What every answer may carry besides its data."""

    code: Any = None
    message: Any = None
    requestId: Any = None  # noqa: N815 - as the API spells it


def judge(endpoint: Endpoint, outcome: Response | TransportFailure, now: float) -> Verdict:
    """Return what to do after one attempt; `now` is the server's time in epoch seconds."""
    if isinstance(outcome, TransportFailure):
        return _judge_failure(endpoint, outcome)
    verdict = _judge_answer(outcome, now)
    if isinstance(verdict, Retry) and verdict.cause is Cause.TROUBLE and not endpoint.replayable:
        # A server in trouble may have carried it out all the same.
        return Fail(error=verdict.error, other_host=verdict.other_host)
    return verdict


def _judge_answer(outcome: Response, now: float) -> Verdict:
    try:
        envelope = _read_envelope(outcome.body)
    except UNREADABLE:
        return _judge_unreadable(outcome, now)
    number = whole_number(envelope.code)
    if number in SUCCESS and outcome.status < 400:
        return Done(outcome)
    place: dict[str, Any] = {
        "status": outcome.status,
        "code": envelope.code if number is None else number,
        "request_id": request_id(envelope, outcome),
    }
    said = envelope.message if isinstance(envelope.message, str) else ""
    if envelope.code is None:
        return _judge_status(outcome, said, now, place)
    if number == 300:
        return _judge_limit(said, now, place)
    return _judge_code(place["code"], said, outcome, now, place)


def _read_envelope(body: bytes) -> Envelope:
    """Read what is around the data, and make sure that all of it is JSON.

    A large answer is read in pieces: msgspec lets no other thread run before it has done, the event loop's included.
    """
    pieces = session_pieces(body)
    if pieces is not None:
        try:
            for piece in pieces:
                msgspec.json.decode(piece, type=msgspec.Raw)
            return msgspec.json.decode(pieces.frame(b"0"), type=Envelope)
        except UNREADABLE:
            pass  # broken, or cut where it must not be: the whole answer tells
    return msgspec.json.decode(body, type=Envelope)


def request_id(envelope: Envelope, response: Response) -> str | None:
    """Return the id that support asks for: from the body, else from the header."""
    return envelope.requestId if isinstance(envelope.requestId, str) else response.headers.get("x-request-id")


def _judge_failure(endpoint: Endpoint, failure: TransportFailure) -> Verdict:
    error = errors.TransportError(f"no answer: {failure}", kind=failure.kind)
    may_replay = endpoint.replayable or failure.kind.never_left
    if failure.kind.would_come_again or not may_replay:
        return Fail(error=error, other_host=failure.kind.blames_host)
    return Retry(error=error, other_host=failure.kind.blames_host)


def _judge_unreadable(response: Response, now: float) -> Verdict:
    """A gateway's HTML page, or JSON that is broken or cut off."""
    place: dict[str, Any] = {
        "status": response.status,
        "request_id": response.headers.get("x-request-id"),
    }
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    if response.status < 400:
        error = errors.ServerError(f"HTTP {response.status}, but the body ({kind}) is not JSON", **place)
        return Retry(error=error)
    return _judge_status(response, f"a page of {kind}", now, place)


def _judge_status(response: Response, said: str, now: float, place: dict[str, Any]) -> Verdict:
    """An answer without a body code: a gateway speaks."""
    text = f"HTTP {response.status}: {said or 'no message'}"
    match response.status:
        case 401:
            return Fail(
                error=errors.AuthenticationError(f"{text}; check the customer id and secret", **place)
            )
        case 403:
            return Fail(error=errors.AccessDenied(f"{text}; the account may not use this", **place))
        case 404:
            error = errors.NotFound(f"{text}; check the base URL", **place)
            return Fail(error=error, not_offered="no Route matched" in said)
        case 429:
            after = retry_after(response, now)
            return Retry(error=errors.RateLimited(text, **place), cause=Cause.RATE, after=after)
        case status if status >= 500 or status == 408:
            after = retry_after(response, now)
            return Retry(error=errors.ServerError(text, **place), after=after, other_host=True)
        case status if status < 400:
            return Retry(error=errors.ServerError(f"{text}; the body has no code", **place))
        case _:
            return Fail(error=errors.BadRequest(text, **place))


def _judge_code(code: Any, said: str, response: Response, now: float, place: dict[str, Any]) -> Verdict:
    text = f"body code {code}: {said or 'no message'}"
    match code:
        case 400:
            return Fail(error=errors.BadRequest(text, **place))
        case 401:
            return Fail(
                error=errors.AuthenticationError(f"{text}; check the customer id and secret", **place)
            )
        case 403:
            return Fail(
                error=errors.AccessDenied(f"{text}; check the app id and what the plan includes", **place)
            )
        case 404:
            return Fail(error=errors.NotFound(text, **place))
        case 429:
            after = retry_after(response, now)
            return Retry(error=errors.RateLimited(text, **place), cause=Cause.RATE, after=after)
        case 200 | 0:  # under an HTTP status that says otherwise
            return _judge_status(response, said, now, place)
        case _:
            after = retry_after(response, now)
            return Retry(
                error=errors.ServerError(text, **place), after=after, other_host=response.status >= 500
            )


def _judge_limit(said: str, now: float, place: dict[str, Any]) -> Verdict:
    """Body code 300: the words after the prefix tell which limit it was."""
    text = f"body code 300: {said or 'no message'}"
    if "qps limit" in said:
        return Retry(error=errors.RateLimited(text, **place), cause=Cause.RATE, after=1 - now % 1)
    if "qpm limit" in said:
        return Retry(error=errors.RateLimited(text, **place), cause=Cause.RATE, after=60 - now % 60)
    if "qpd limit" in said:
        return _judge_spent_day(text, now, place)
    if "query latency limit" in said:
        return Retry(error=errors.WindowRefused(text, **place), cause=Cause.RECENT, after=5.0)
    if "query time" in said or "query duration" in said:
        return Fail(error=errors.WindowRefused(f"{text}; ask for a range that the plan allows", **place))
    if "no auth to access" in said:
        return Fail(error=errors.AccessDenied(f"{text}; the plan does not include this", **place))
    return Fail(error=errors.APIError(text, **place))


def _judge_spent_day(text: str, now: float, place: dict[str, Any]) -> Verdict:
    opens = next_midnight(now)
    place = {"request_id": place["request_id"]}
    if opens - now > 86_400 - MIDNIGHT_SLACK:
        error = errors.QuotaExhausted(f"the day's quota is spent: {text}", retry_at=now, **place)
        return Retry(error=error, cause=Cause.RATE, after=MIDNIGHT_SLACK)
    error = errors.QuotaExhausted(f"the day's quota is spent: {text}", retry_at=opens, **place)
    return Fail(error=error, closed_until=opens)
