"""What is checked here before a request is spent.

Source: `reference/signaling-api.md`, sections 1, 2, 5a and 5b.
"""

import math
from string import ascii_letters, digits

from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds, iso

MAX_NAME = 64
"""Characters of a user id or a channel name."""
MAX_PAYLOAD = 32 * 1024
"""Bytes of a message's payload, as UTF-8."""
PAGE_SIZES = (20, 50, 100)
CHANNEL_TYPES = ("message", "user")

_NAME = frozenset(ascii_letters + digits + " !#$%&()+-:;<=.>?@[]^_{}|~,'")
_HISTORY_NAME = _NAME - frozenset(",'")


def check_name(name: str, what: str, *, history: bool = False) -> None:
    """Check a user id or a channel name; today's history takes neither `,` nor `'`.

    Raises:
        InvalidRequest: with what is wrong and what is allowed.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(f"{what} has {len(name)} characters, but 1 to {MAX_NAME} are allowed")
    if name != name.strip(" "):
        raise InvalidRequest(f"{what} {name!r} begins or ends with a space")
    allowed = _HISTORY_NAME if history else _NAME
    if wrong := sorted(set(name) - allowed):
        others = "".join(sorted(allowed - set(ascii_letters + digits + " ")))
        raise InvalidRequest(
            f"{what} {name!r} has {' '.join(wrong)}; allowed are a-z, A-Z, 0-9, space and {others}"
        )


def check_payload(payload: str) -> None:
    """Check the payload of a message.

    Raises:
        InvalidRequest: it is empty or longer than 32 KB.
    """
    if not payload:
        raise InvalidRequest("the payload is empty")
    if (size := len(payload.encode())) > MAX_PAYLOAD:
        raise InvalidRequest(f"the payload has {size} bytes, but at most {MAX_PAYLOAD} are allowed")


def check_ends(source: str | None, destination: str | None) -> None:
    """Check that a question of the two-step history says whose messages it wants.

    Raises:
        InvalidRequest: it names neither a source nor a destination, or one that cannot be.
    """
    if source is None and destination is None:
        raise InvalidRequest("give source=, destination= or both: the server refuses a question without")
    for name, what in ((source, "source"), (destination, "destination")):
        if name is not None:
            check_name(name, what)


def time_range(since: Instant, until: Instant, *, now: float) -> tuple[str, str]:
    """Return the ends of a time range as the two-step history wants them: ISO 8601 in UTC, widened to whole seconds.

    Raises:
        InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
    """
    start, end = epoch_seconds(since, now=now, name="since"), epoch_seconds(until, now=now, name="until")
    if start >= end:
        raise InvalidRequest(f"since={iso(start)} is not before until={iso(end)}")
    return iso(math.floor(start)), iso(math.ceil(end))
