"""The user ids of a query. Agora's are unsigned integers of 32 bits, which some clients print as signed ones."""

import re
from collections.abc import Iterable

from agora_analytics.errors import InvalidRequest

_SIGNED = 2**32


def user_ids(uids: Iterable[str | int]) -> tuple[str, ...]:
    """Return user ids as the API takes them, each once.

    A negative id is one that a client printed as a signed integer, so 2**32 is added.

    Raises:
        InvalidRequest: an id is empty, contains whitespace or a comma, or is below -(2**31).

    Example:
        >>> user_ids([7, "7", -2])
        ('7', '4294967294')
    """
    return tuple(dict.fromkeys(map(_user_id, uids)))


def _user_id(uid: str | int) -> str:
    text = str(uid)
    if isinstance(uid, bool) or not text or "," in text or any(map(str.isspace, text)):
        raise InvalidRequest(f"{uid!r} is not a user id: it is empty or contains whitespace or a comma")
    if not re.fullmatch(r"-\d+", text, re.ASCII):
        return text
    if len(text) > len(str(-_SIGNED)) or int(text) < -_SIGNED // 2:
        raise InvalidRequest(
            f"the user id {text} is not a signed integer of 32 bits; pass it as the API lists it"
        )
    return str(int(text) % _SIGNED)
