"""The operations of Signaling, and the checks of their parameters. `{...}` in a path is filled in for each request.

Source: `reference/signaling-api.md`, sections 1 to 5b.
"""

from functools import partial
from string import ascii_letters, digits
from typing import TypeVar
from urllib.parse import quote

from attrs import evolve

from agora_analytics.errors import InvalidRequest
from agora_analytics.kit.operation import Operation
from agora_analytics.signaling import limits
from agora_analytics.signaling.events import DecodedEvents, read_events
from agora_analytics.signaling.judge import read_response
from agora_analytics.signaling.limits import MAX_NAME, MAX_PAYLOAD
from agora_analytics.signaling.records import (
    ArchivedMessage,
    ChannelEvent,
    DecodedHistory,
    UserEvent,
    read_archive,
    read_channel_event,
    read_count,
    read_delivery_code,
    read_handle,
    read_history,
    read_user_event,
)

R = TypeVar("R")

HISTORY_HOST = "https://api.sd-rtn.com"
"""The one host that the page of today's history names."""

_PROJECT = "/dev/v2/project/{app_id}/rtm"
_MESSAGE_LOSS = "the message may have arrived, so it was not sent again"

PEER_MESSAGES: Operation[str | None] = Operation(
    name=limits.PEER_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/peer_messages",
    replayable=False,
    read=partial(read_response, decode=read_delivery_code, loss=_MESSAGE_LOSS),
)
CHANNEL_MESSAGES: Operation[str | None] = Operation(
    name=limits.CHANNEL_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/channel_messages",
    replayable=False,
    read=partial(read_response, decode=read_delivery_code, loss=_MESSAGE_LOSS),
)
USER_EVENTS: Operation[DecodedEvents[UserEvent]] = Operation(
    name=limits.USER_EVENTS,
    path=f"{_PROJECT}/vendor/user_events",
    replayable=False,
    read=partial(read_events, read_row=read_user_event),
)
CHANNEL_EVENTS: Operation[DecodedEvents[ChannelEvent]] = Operation(
    name=limits.CHANNEL_EVENTS,
    path=f"{_PROJECT}/vendor/channel_events",
    replayable=False,
    read=partial(read_events, read_row=read_channel_event),
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
    return evolve(operation, path=operation.path.format(**quoted))


def _quoted(part: str, name: str) -> str:
    if name == "handle":  # it is part of a URL from the server and is encoded already
        return quote(part, safe="%=")
    # "." and ".." are legal user ids, but a proxy or a library would resolve them as folders.
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")


_CHANNEL_TYPES = ("message", "user")
_ARCHIVE_PAGE_SIZES = (20, 50, 100)
_NAME = frozenset(ascii_letters + digits + " !#$%&()+-:;<=.>?@[]^_{}|~,'")
_HISTORY_NAME = _NAME - frozenset(",'")


def check_name(name: str, what: str, *, history: bool = False) -> None:
    """Check a user id or a channel name; today's history accepts neither `,` nor `'`.

    Raises:
        InvalidRequest: the name is too short, too long, or has a character that is not allowed.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(f"{what} has {len(name)} characters; 1 to {MAX_NAME} are allowed")
    if name != name.strip(" "):
        raise InvalidRequest(f"{what} {name!r} begins or ends with a space; remove it")
    allowed = _HISTORY_NAME if history else _NAME
    if wrong := sorted(set(name) - allowed):
        others = "".join(sorted(allowed - set(ascii_letters + digits + " ")))
        raise InvalidRequest(
            f"{what} {name!r} contains {' '.join(wrong)}; allowed are a-z, A-Z, 0-9, space and {others}"
        )


def check_payload(payload: str) -> None:
    """Check the payload of a message.

    Raises:
        InvalidRequest: the payload is empty or longer than 32 KB.
    """
    if not payload:
        raise InvalidRequest("the payload is empty; pass at least 1 byte")
    if (size := len(payload.encode())) > MAX_PAYLOAD:
        raise InvalidRequest(f"the payload has {size} bytes; at most {MAX_PAYLOAD} are allowed")


def check_ends(source: str | None, destination: str | None) -> None:
    """Check that a query of the two-step history names a source or a destination.

    Raises:
        InvalidRequest: both are missing, or one has a character that is not allowed.
    """
    if source is None and destination is None:
        raise InvalidRequest("pass source=, destination= or both; the server refuses a query without them")
    for name, what in ((source, "source"), (destination, "destination")):
        if name is not None:
            check_name(name, what)


def check_history(user_id: str, channel: str, channel_type: str, page_size: int) -> None:
    """Check the parameters of today's history.

    Raises:
        InvalidRequest: a name, the type or the page size is not allowed.
    """
    check_name(user_id, "user_id", history=True)
    check_name(channel, "channel", history=True)
    if channel_type not in _CHANNEL_TYPES:
        raise InvalidRequest(f"channel_type={channel_type!r} is not one of {', '.join(_CHANNEL_TYPES)}")
    if not 1 <= page_size <= 100:
        raise InvalidRequest(f"page_size={page_size} is not allowed; pass 1 to 100")


def check_archive_page(page_size: int, order: str) -> None:
    """Check how a page of the two-step history is requested.

    Raises:
        InvalidRequest: the page size or the order is not allowed.
    """
    if page_size not in _ARCHIVE_PAGE_SIZES:
        raise InvalidRequest(f"page_size={page_size} is not allowed; pass 20, 50 or 100")
    if order not in {"asc", "desc"}:
        raise InvalidRequest(f"order={order!r} is neither asc nor desc")
