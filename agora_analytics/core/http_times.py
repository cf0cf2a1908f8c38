"""The times in the headers of a response: `Date` and `Retry-After`."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

from agora_analytics.instants import DAY
from agora_analytics.messages import Response


@lru_cache(maxsize=4)  # many responses have the same second
def http_date(text: str) -> float | None:
    """Return an HTTP date, in any of its three formats, as UTC epoch seconds; None if the text is not one.

    Example:
        >>> http_date("Fri, 20 Nov 2026 00:00:00 GMT") == http_date("Fri Nov 20 00:00:00 2026") == 1_795_132_800
        True
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parser raises for odd text
        return None


def retry_after(response: Response, now: float) -> float | None:
    """Return the seconds to wait from `Retry-After`, or None; `now` is the server's time in epoch seconds.

    A date is relative to the response's own `Date`, because a proxy may have a wrong clock. The result is at most a day:
    no limit of these APIs lasts longer.
    """
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        until, sent = http_date(text), http_date(response.headers.get("date", ""))
        if until is None:
            return None
        seconds = until - (now if sent is None else sent)
    return min(max(0.0, seconds), DAY) if math.isfinite(seconds) else None
