"""Cursors: where the next page of a listing begins, as an opaque text."""

import base64
import binascii
import json
from collections.abc import Sequence

from agora_analytics.core.record import json_text
from agora_analytics.errors import InvalidRequest


def write_cursor(key: Sequence[str | int]) -> str:
    """Return the cursor after a row with a key.

    Example:
        >>> read_cursor(write_cursor([7, "a"]), (int, str))
        [7, 'a']
    """
    return base64.urlsafe_b64encode(json_text(list(key)).encode()).decode().rstrip("=")


def read_cursor(cursor: str, types: Sequence[type]) -> list[str | int]:
    """Return the key of a cursor.

    Raises:
        InvalidRequest: it is not a cursor of this listing.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    if not isinstance(key, list) or [type(each) for each in key] != list(types):
        raise InvalidRequest("cursor is not a `next` of this tool; leave it out to begin with the first page")
    return key
