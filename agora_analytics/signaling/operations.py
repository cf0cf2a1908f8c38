"""The endpoints of Signaling, one row each. `{...}` in a path is filled in for each call.

Source: `reference/signaling-api.md`, sections 1 to 5b.
"""

from collections.abc import Mapping
from urllib.parse import quote

from attrs import evolve

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.signaling import limits

_PROJECT = "/dev/v2/project/{app_id}/rtm"

PEER_MESSAGES = Endpoint(
    name=limits.PEER_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/peer_messages",
    items="",
    replayable=False,
)
CHANNEL_MESSAGES = Endpoint(
    name=limits.CHANNEL_MESSAGES,
    method="POST",
    path=f"{_PROJECT}/users/{{user_id}}/channel_messages",
    items="",
    replayable=False,
)
USER_EVENTS = Endpoint(
    name=limits.USER_EVENTS, path=f"{_PROJECT}/vendor/user_events", items="events", replayable=False
)
CHANNEL_EVENTS = Endpoint(
    name=limits.CHANNEL_EVENTS, path=f"{_PROJECT}/vendor/channel_events", items="events", replayable=False
)
HISTORY = Endpoint(
    name=limits.HISTORY,
    path="/rtm/v2/history/{app_id}/userId/{user_id}/channelType/{channel_type}/channel/{channel}",
    items="messageList",
)
# A query that is created twice leaves a handle that nobody reads: it may be sent again.
QUERY = Endpoint(name=limits.QUERY, method="POST", path=f"{_PROJECT}/message/history/query", items="location")
RESULT = Endpoint(name=limits.RESULT, path=f"{_PROJECT}/message/history/query/{{handle}}", items="messages")
COUNT = Endpoint(name=limits.COUNT, path=f"{_PROJECT}/message/history/count", items="count")

HISTORY_HOST = "https://api.sd-rtn.com"
"""The one host that the page of today's history names."""

MAY_BE_LOST: Mapping[str, str] = {
    limits.PEER_MESSAGES: "the message may have arrived, so it was not sent again",
    limits.CHANNEL_MESSAGES: "the message may have arrived, so it was not sent again",
    limits.USER_EVENTS: "up to 1,000 events may be gone with the answer, so it was not asked again",
    limits.CHANNEL_EVENTS: "up to 1,000 events may be gone with the answer, so it was not asked again",
}
"""What an unanswered request may have done, by endpoint."""


def at(endpoint: Endpoint, **parts: str) -> Endpoint:
    """Return an endpoint with the parts of its path filled in, each percent-encoded."""
    quoted = {name: _quoted(part, name) for name, part in parts.items()}
    return evolve(endpoint, path=endpoint.path.format(**quoted))


def _quoted(part: str, name: str) -> str:
    if name == "handle":  # it comes from a URL of the server's and is encoded already
        return quote(part, safe="%=")
    # "." and ".." are legal user ids, and anything on the way would take them for folders.
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")
