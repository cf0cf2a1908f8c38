"""Judges and decodes a response of Signaling in one step. Its two families of endpoints name their fields differently.

A request that sends a message or removes events is repeated only if it certainly had no effect: it never left, or the
server refused it because of the rate limit. Any other repetition could send a message twice, or lose events.

Source: `reference/signaling-api.md`, "Status / error codes".
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from agora_analytics import errors
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.verdicts import Cause, Done, Exchange, Fail, Retry, Verdict, judge_failure
from agora_analytics.messages import Response, TransportFailure

R = TypeVar("R")
Fields = dict[str, Any]

CODES: Mapping[int, tuple[type[errors.APIError], str]] = {
    400: (errors.BadRequest, "the request is not valid"),
    401: (errors.AuthenticationError, "check the customer id and secret, or the token"),
    403: (errors.AccessDenied, "not authorized, or the feature (for example message history) is not enabled"),
    404: (errors.NotFound, "check the base URL and the App ID"),
    408: (errors.ServerError, "no response from the server"),
    415: (errors.BadRequest, "only JSON is accepted"),
    429: (errors.RateLimited, "too many requests for the App ID"),
    435: (errors.BadRequest, "invalid payload"),
    500: (errors.ServerError, "internal error"),
    503: (errors.ServerError, "the server timed out"),
}
"""The meaning of each code, whether it arrives as the HTTP status or as `errorCode` in the body."""

_RATE_PERIOD = 1.0  # the limits are counted in seconds


def read_response(
    exchange: Exchange,
    *,
    decode: Callable[[Fields], R],
    loss: str = "",
    accepts: Callable[[Fields], bool] = lambda _: False,
) -> Verdict[R]:
    """Return the decoded fields of a good response, or what to do instead.

    Args:
        exchange: the attempt.
        decode: decodes the fields of a good response; raises `DecodeError`.
        loss: what a request that must not be repeated may have done; part of the error's text.
        accepts: whether a response is good whatever its status fields say.
    """
    outcome = exchange.outcome
    if isinstance(outcome, TransportFailure):
        hint = f"; {loss}" if loss and not outcome.kind.never_left else ""
        return judge_failure(exchange, outcome, hint=hint)
    fields = decode_object(outcome.body)
    request_id = _request_id(fields or {}, outcome)
    context: dict[str, Any] = {"status": outcome.status, "request_id": request_id}
    if fields is None:
        return _judge_unreadable(exchange, outcome, loss, context)
    if not (outcome.status < 400 and accepts(fields)):
        refusal = _judge_fields(exchange, outcome, fields, loss, context)
        if refusal is not None:
            return refusal
    try:
        return Done(decode(fields), request_id)
    except errors.DecodeError as error:
        error.request_id = request_id
        return Fail(error=error)


def decode_object(body: bytes) -> Fields | None:
    """Return the fields of a JSON object, or None if the body is not one."""
    try:
        return msgspec.json.decode(body, type=Fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _request_id(fields: Fields, response: Response) -> str | None:
    """Return the request id from the body, or else from the header."""
    in_body = (fields.get("request_id"), fields.get("requestId"))
    return next((text for text in in_body if isinstance(text, str)), response.headers.get("x-request-id"))


def _judge_unreadable(
    exchange: Exchange, response: Response, loss: str, context: dict[str, Any]
) -> Retry | Fail:
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    if response.status >= 400:
        return _judge_code(exchange, response, response.status, f"a page of {kind}", loss, context)
    text = f"HTTP {response.status}, but the body ({kind}) is not a JSON object"
    if exchange.endpoint.replayable:
        return Retry(error=errors.ServerError(text, **context))
    # The server has carried out the request; only its response cannot be read.
    return Fail(error=errors.DecodeError(text, request_id=context["request_id"]))


def _judge_fields(
    exchange: Exchange, response: Response, fields: Fields, loss: str, context: dict[str, Any]
) -> Retry | Fail | None:
    """Return what to do about a refusal; None if the fields report success."""
    texts = (fields.get("reason"), fields.get("message"))
    message = next((text for text in texts if isinstance(text, str) and text), "")
    in_body = whole_number(fields.get("errorCode"))
    # The body counts where it reports something worse than the HTTP status.
    code = response.status if in_body is None or response.status >= 400 else max(in_body, response.status)
    if code >= 400:
        return _judge_code(exchange, response, code, message, loss, context)
    result = fields.get("result")
    if result in (None, "success") and fields.get("error") is not True:
        return None
    text = f"result {result!r}: {message or 'no reason given'}"
    return Fail(error=errors.APIError(text, code=fields.get("errorCode"), **context))


def _judge_code(
    exchange: Exchange, response: Response, code: int, message: str, loss: str, context: dict[str, Any]
) -> Retry | Fail:
    undocumented = errors.ServerError if code >= 500 else errors.BadRequest
    kind, hint = CODES.get(code, (undocumented, "this code is not documented"))
    text = f"code {code}: {message or 'no message'}; {hint}"
    context = {**context, "code": code}
    after = retry_after(response, exchange.now)
    if kind is errors.RateLimited:
        return Retry(error=kind(text, **context), cause=Cause.RATE, after=after or _RATE_PERIOD)
    if kind is not errors.ServerError:
        return Fail(error=kind(text, **context))
    if not exchange.endpoint.replayable:  # a server error does not say whether the request took effect
        return Fail(error=kind(f"{text}; {loss}", **context), other_host=True)
    return Retry(error=kind(text, **context), after=after, other_host=True)
