"""The documented limits of Signaling: the rates for each App ID, what its parameters may be, and the checks of them.

The vendor's pages contradict each other: 500 requests a second for messages (limitations page and overview), 60 a second
for "the RESTful API" (error page), 10 a second for events, 100 a second for the two-step history. `LIMITS` has the
numbers of each endpoint; `SIXTY_A_SECOND` is the cautious reading. No daily quota is documented, so `per_day` is what
the rate allows.

Source: Agora, "Signaling REST API", the limits of each page.
"""

from collections.abc import Mapping
from string import ascii_letters, digits

from attrs import evolve

from agora_analytics.core.limits import Limits
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest

DAY = 86_400

PEER_MESSAGES = "signaling/peer_messages"
CHANNEL_MESSAGES = "signaling/channel_messages"
USER_EVENTS = "signaling/user_events"
CHANNEL_EVENTS = "signaling/channel_events"
HISTORY = "signaling/history"
QUERY = "signaling/history/query"
RESULT = "signaling/history/result"
COUNT = "signaling/history/count"

MAX_NAME = 64
"""Characters of a user id or a channel name."""
MAX_PAYLOAD = 32 * 1024
"""Bytes of a message's payload, as UTF-8."""
MOST_KEPT = 2_000
"""Events of each kind that the server keeps; it drops the oldest."""
MOST_RETURNED = 1_000
"""Events that a response holds at most."""
_CHANNEL_TYPES = ("message", "user")
_ARCHIVE_PAGE_SIZES = (20, 50, 100)
_NAME = frozenset(ascii_letters + digits + " !#$%&()+-:;<=.>?@[]^_{}|~,'")
_HISTORY_NAME = _NAME - frozenset(",'")


def _a_second(requests: int, source: str) -> Limits:
    # Reach and delay have no effect: no request of Signaling is checked against a time range.
    return Limits(requests=requests, per_day=requests * DAY, reach=7 * DAY, span=None, delay=0, source=source)


_MESSAGES = _a_second(500, "Signaling REST API, Overview: peer and channel messages together, per App ID")
_EVENTS = _a_second(10, "Signaling REST API, Event APIs: 10 requests a second per App ID, both together")
_TWO_STEP = _a_second(100, "RTM RESTful API (legacy), history: 100 requests a second per App ID")

LIMITS: Mapping[str, Limits] = {
    PEER_MESSAGES: _MESSAGES,
    CHANNEL_MESSAGES: _MESSAGES,
    USER_EVENTS: _EVENTS,
    CHANNEL_EVENTS: _EVENTS,
    HISTORY: _a_second(
        60, "Signaling REST API, error codes, 429: 60 requests a second; the page itself has none"
    ),
    QUERY: _TWO_STEP,
    RESULT: _TWO_STEP,
    COUNT: _TWO_STEP,
}

SIXTY_A_SECOND: Mapping[str, Limits] = {
    name: evolve(
        row,
        requests=min(row.requests, 60),
        per_day=min(row.requests, 60) * DAY,
        source="Signaling REST API, error codes, 429: the quota of the RESTful API is 60 requests a second",
    )
    for name, row in LIMITS.items()
}
"""The cautious reading: no endpoint has more than 60 requests a second."""

SHARED_BUDGETS: Mapping[str, str] = {
    **dict.fromkeys((PEER_MESSAGES, CHANNEL_MESSAGES), "signaling/messages"),
    **dict.fromkeys((USER_EVENTS, CHANNEL_EVENTS), "signaling/events"),
    **dict.fromkeys((QUERY, RESULT, COUNT), "signaling/history of two steps"),
}
"""The budget that endpoints share, by endpoint."""


def check_name(name: str, what: str, *, history: bool = False) -> None:
    """Refuse a user id or a channel name that is not valid; today's history accepts neither `,` nor `'`."""
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


def check_message(sender: str, receiver: str, what: str, payload: str) -> None:
    """Refuse a message with a name that is not valid, or a payload that is empty or longer than 32 KB."""
    check_name(sender, "sender")
    check_name(receiver, what)
    if not payload:
        raise InvalidRequest("the payload is empty; pass at least 1 byte")
    if (size := len(payload.encode())) > MAX_PAYLOAD:
        raise InvalidRequest(f"the payload has {size} bytes; at most {MAX_PAYLOAD} are allowed")


def check_ends(source: str | None, destination: str | None) -> None:
    """Refuse a query of the two-step history without a source and a destination, or with one that is not valid."""
    if source is None and destination is None:
        raise InvalidRequest("pass source=, destination= or both; the server refuses a query without them")
    for name, what in ((source, "source"), (destination, "destination")):
        if name is not None:
            check_name(name, what)


def check_history(user_id: str, channel: str, channel_type: str, page_size: int) -> None:
    """Refuse parameters of today's history that are not valid."""
    check_name(user_id, "user_id", history=True)
    check_name(channel, "channel", history=True)
    if channel_type not in _CHANNEL_TYPES:
        hint = did_you_mean(channel_type, _CHANNEL_TYPES)
        raise InvalidRequest(f"channel_type={channel_type!r} is not one of {', '.join(_CHANNEL_TYPES)}{hint}")
    if not 1 <= page_size <= 100:
        raise InvalidRequest(f"page_size={page_size} is not allowed; pass 1 to 100")


def check_archive_page(page_size: int, order: str) -> None:
    """Refuse a page size or an order that the two-step history does not have."""
    if page_size not in _ARCHIVE_PAGE_SIZES:
        raise InvalidRequest(f"page_size={page_size} is not allowed; pass 20, 50 or 100")
    if order not in {"asc", "desc"}:
        hint = did_you_mean(order, ("asc", "desc"))
        raise InvalidRequest(f"order={order!r} is neither asc nor desc{hint}")
