"""The documented rate limits of Signaling, for each App ID, and the sizes that its API accepts.

The vendor's pages contradict each other: 500 requests a second for messages (limitations page and overview), 60 a second
for "the RESTful API" (error page), 10 a second for events, 100 a second for the two-step history. `LIMITS` has the
numbers of each endpoint; `SIXTY_A_SECOND` is the cautious reading. No daily quota is documented, so `per_day` is what
the rate allows.

Source: `reference/signaling-api.md`, "Limit" of each section and "Contradictory limits".
"""

from collections.abc import Mapping

from attrs import evolve

from agora_analytics.core.limits import Limits

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
