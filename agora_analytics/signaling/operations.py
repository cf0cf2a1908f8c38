"""The operations of Signaling, and how their responses are judged and decoded. Requests fill in the `{...}` of a path.

The two families of endpoints name their fields differently. A request that sends a message or removes events is
repeated only if it certainly had no effect: it never left, or the server refused it because of the rate limit. Any other
repetition could send a message twice, or lose events.

Source: Agora, "Signaling REST API", all its pages and "Response status codes".
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from attrs import evolve, frozen

from agora_analytics import errors
from agora_analytics.agora.domains import host_table
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.lenient_json import NotJson, load_object
from agora_analytics.core.lenient_reader import LenientReader, decoded, list_of
from agora_analytics.core.numbers import truth_of, whole_number
from agora_analytics.core.sent_text import check_text
from agora_analytics.core.verdicts import Cause, Exchange, Fail, Retry, Verdict, judge_failure
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Response, TransportFailure
from agora_analytics.signaling import limits
from agora_analytics.signaling.records import (
    NAMES,
    ArchivedMessage,
    ChannelEvent,
    DecodedHistory,
    UserEvent,
    read_archive,
    read_count,
    read_delivery_code,
    read_handle,
    read_history,
)

R = TypeVar("R")
E = TypeVar("E", bound=UserEvent | ChannelEvent)
Fields = dict[str, Any]

HISTORY_HOSTS = host_table("sd-rtn.com", regional=True)
"""The hosts of today's history. Its page names api.sd-rtn.com only; the others take over if it fails."""

_MESSAGE_LOSS = "the message may have arrived, so it was not sent again"
_EVENT_LOSS = "up to 1,000 events may be lost with the response, so the request was not repeated"

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
_FIELDS = {"errorCode", "result", "error", "data", "code", "messages", "count", "location"}
"""A good response has at least one of these fields."""


class EventsUnreadable(errors.DecodeError):
    """A response cannot be read, and the server has deleted its events; `raw` is the body."""

    def __init__(self, message: str, *, raw: bytes, **context: Any) -> None:
        super().__init__(message, **context)
        self.raw = raw


def read_response(
    exchange: Exchange,
    *,
    decode: Callable[[Fields, LenientReader], R],
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
    fields = _json_object(outcome.body)
    refusal: Retry | Fail | None = None
    if fields is None:
        fields, refusal = {}, _judge_unreadable(exchange, outcome, loss)
    elif exchange.endpoint.replayable and outcome.status < 400 and not _FIELDS & fields.keys():
        # An object of a proxy would be read as an empty list.
        refusal = _judge_unreadable(exchange, outcome, loss)
    elif outcome.status >= 400 or not accepts(fields):
        refusal = _judge_fields(exchange, outcome, fields, loss)
    ids = (fields.get("request_id"), fields.get("requestId"))
    request_id = next((text for text in ids if isinstance(text, str)), outcome.headers.get("x-request-id"))
    if refusal is None:
        return decoded(partial(decode, fields), request_id)
    refusal.error.request_id = request_id
    return refusal


def _json_object(body: bytes) -> Fields | None:
    try:
        return load_object(body)
    except NotJson:
        return None


def _judge_unreadable(exchange: Exchange, response: Response, loss: str) -> Retry | Fail:
    if response.status >= 400:
        return _judge_code(
            exchange, response, response.status, f"a {response.content_type} page instead of JSON", loss
        )
    text = f"HTTP {response.status}, but the body ({response.content_type}) is not a response of this API"
    if exchange.endpoint.replayable:
        return Retry(error=errors.ServerError(text, status=response.status), cause=Cause.UNREADABLE)
    # The server has carried out the request; only its response cannot be read.
    return Fail(error=errors.DecodeError(text))


def _judge_fields(exchange: Exchange, response: Response, fields: Fields, loss: str) -> Retry | Fail | None:
    """Return what to do about a refusal; None if the fields report success."""
    texts = (fields.get("reason"), fields.get("message"))
    message = next((text for text in texts if isinstance(text, str) and text), "")
    in_body = whole_number(fields.get("errorCode"))
    # The body counts where it reports something worse than the HTTP status.
    code = response.status if in_body is None or response.status >= 400 else max(in_body, response.status)
    if code >= 400:
        return _judge_code(exchange, response, code, message, loss)
    result = fields.get("result")
    if str(result).lower() in ("none", "success") and not truth_of(fields.get("error")):
        return None
    text = f"result {result!r}: {message or 'no reason given'}"
    return Fail(error=errors.APIError(text, code=fields.get("errorCode"), status=response.status))


def _judge_code(exchange: Exchange, response: Response, code: int, message: str, loss: str) -> Retry | Fail:
    undocumented = errors.ServerError if code >= 500 else errors.BadRequest
    kind, hint = CODES.get(code, (undocumented, "this code is not documented"))
    # A server error does not say whether the request took effect.
    may_have_effect = kind is errors.ServerError and not exchange.endpoint.replayable
    text = f"code {code}: {message or 'no message'}; {hint}{f'; {loss}' if may_have_effect else ''}"
    error = kind(text, status=response.status, code=code)
    after = retry_after(response, exchange.now)
    if kind is errors.RateLimited:
        return Retry(error=error, cause=Cause.RATE, after=after or _RATE_PERIOD)
    if kind is not errors.ServerError or may_have_effect:
        not_offered = code == 404 and "no route matched" in message.lower()
        after = after if may_have_effect else None
        return Fail(error=error, after=after, other_host=may_have_effect, not_offered=not_offered)
    return Retry(error=error, after=after, other_host=True)


@frozen(kw_only=True)
class DecodedEvents(Generic[E]):
    """The rows of a response: the events, and the rows that are not events."""

    events: Sequence[E]
    unreadable: Sequence[Any]


def read_events(exchange: Exchange, *, record: type[E]) -> Verdict[DecodedEvents[E]]:
    """Return the events of a response, or what to do instead. An unreadable body is an `EventsUnreadable`.

    A response that has events is good whatever its status fields say, because the server has deleted the events.
    """
    verdict = read_response(
        exchange, decode=partial(_decode_events, record=record), loss=_EVENT_LOSS, accepts=_has_events
    )
    outcome = exchange.outcome
    if (
        isinstance(verdict, Fail)
        and isinstance(verdict.error, errors.DecodeError)
        and isinstance(outcome, Response)
    ):
        text = "the server has deleted the events of a response that cannot be read; its body is in `raw`"
        request_id = verdict.error.request_id
        return Fail(error=EventsUnreadable(text, raw=outcome.body, path="$.events", request_id=request_id))
    return verdict


def _has_events(fields: Fields) -> bool:
    rows = fields.get("events")
    return isinstance(rows, list) and bool(rows)


def _decode_events(fields: Fields, reader: LenientReader, *, record: type[E]) -> DecodedEvents[E]:
    events: list[E] = []
    unreadable: list[Any] = []
    for i, row in enumerate(list_of(fields.get("events"), "$.events")):
        event = reader.record(record, row, f"$.events[{i}]", names=NAMES)
        if event is None:
            unreadable.append(row)
        else:
            events.append(event)
    return DecodedEvents(events=events, unreadable=unreadable)


_PROJECT = "/dev/v2/project/{app_id}/rtm"
_read_delivery = partial(read_response, decode=read_delivery_code, loss=_MESSAGE_LOSS)

PEER_MESSAGES: Operation[str | None] = Operation(
    name=limits.PEER_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/peer_messages",
    replayable=False,
    read=_read_delivery,
)
CHANNEL_MESSAGES: Operation[str | None] = Operation(
    name=limits.CHANNEL_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/channel_messages",
    replayable=False,
    read=_read_delivery,
)
USER_EVENTS: Operation[DecodedEvents[UserEvent]] = Operation(
    name=limits.USER_EVENTS,
    path=f"{_PROJECT}/vendor/user_events",
    replayable=False,
    read=partial(read_events, record=UserEvent),
)
CHANNEL_EVENTS: Operation[DecodedEvents[ChannelEvent]] = Operation(
    name=limits.CHANNEL_EVENTS,
    path=f"{_PROJECT}/vendor/channel_events",
    replayable=False,
    read=partial(read_events, record=ChannelEvent),
)
HISTORY: Operation[DecodedHistory] = Operation(
    name=limits.HISTORY,
    path="/rtm/v2/history/{app_id}/userId/{user_id}/channelType/{channel_type}/channel/{channel}",
    read=partial(read_response, decode=read_history),
)
# A query that is created twice leaves an unused handle on the server: it may be sent again.
QUERY: Operation[str] = Operation(
    name=limits.QUERY,
    method="POST",
    path=f"{_PROJECT}/message/history/query",
    read=partial(read_response, decode=read_handle),
)
RESULT: Operation[list[ArchivedMessage] | None] = Operation(
    name=limits.RESULT,
    path=f"{_PROJECT}/message/history/query/{{handle}}",
    read=partial(read_response, decode=read_archive),
)
COUNT: Operation[int | None] = Operation(
    name=limits.COUNT,
    path=f"{_PROJECT}/message/history/count",
    read=partial(read_response, decode=read_count),
)


def at(operation: Operation[R], **parts: str) -> Operation[R]:
    """Return an operation with the parts of its path filled in, each percent-encoded."""
    quoted = {name: _quoted(part, name) for name, part in parts.items()}
    return evolve(operation, path=operation.path.format(**quoted), template=operation.path)


def _quoted(part: str, name: str) -> str:
    check_text([(name, part)])
    if name == "handle":  # it is part of a URL from the server and is encoded already
        return quote(part, safe="%=")
    # "." and ".." are legal user ids, but a proxy or a library would resolve them as folders.
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")
