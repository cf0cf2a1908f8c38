"""Times, as users pass them and as the APIs take them: UTC seconds since 1970."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from agora_analytics.errors import InvalidRequest

Instant = datetime | str | int | float
"""An aware datetime, an ISO 8601 string (UTC where it names no offset), epoch seconds, `6h`, `2d` (ago), `now`, or a day:
`2026-11-20`, `today`, `yesterday`. A day is its 00:00 UTC."""

DAY = 86_400
LAST_SECOND = 4_102_444_800
"""The largest time of a response and of the store: the end of 2099. Milliseconds are larger since February 1970."""
_MILLISECONDS_FROM = 1e11
_DAYS_AGO = {"today": 0, "yesterday": 1}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def epoch_seconds(moment: Instant, *, now: float, name: str = "time") -> float:
    """Return `moment` as seconds since 1970, UTC.

    Args:
        moment: an aware `datetime`, an ISO 8601 string, epoch seconds, `now`, a time ago such as `90s`, `6h`, `2d`, or a
            day: `2026-11-20`, `today`, `yesterday`. A day is its 00:00 UTC.
        now: the present, in epoch seconds, which `now` and `6h` refer to.
        name: what the time is called in an error.

    Raises:
        InvalidRequest: milliseconds, a naive datetime, or text that is none of the above.

    Example:
        >>> epoch_seconds("2026-11-20T08:00Z", now=0)
        1795161600.0
        >>> iso(epoch_seconds("yesterday", now=1795161600))
        '2026-11-19T00:00:00Z'
    """
    if isinstance(moment, bool):
        raise InvalidRequest(f"{name} must be a time, not {moment!r}")
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise InvalidRequest(
                f"{name}={moment.isoformat()} has no time zone; give an aware datetime, for example in UTC"
            )
        return moment.timestamp()
    if isinstance(moment, str):
        return _parsed(moment.strip(), now, name)
    try:
        return _checked(float(moment), name)
    except OverflowError:  # an integer that is too large for a float
        raise InvalidRequest(f"{name} is not a time: the number is too large") from None


def _parsed(text: str, now: float, name: str) -> float:
    if text == "now":
        return now
    if text in _DAYS_AGO:
        return (now // DAY - _DAYS_AGO[text]) * DAY
    if ago := _AGO.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])}).total_seconds()
        except OverflowError:
            raise InvalidRequest(f"{name}={text!r} is too long ago") from None
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and len(text) != len("20261120"):
        return _checked(float(text), name)
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name}={text!r} is not a time; give ISO 8601 (2026-11-20 or 2026-11-20T08:00Z), today, yesterday, "
            "epoch seconds, or a time ago (6h, 2d)"
        ) from None


def _checked(seconds: float, name: str) -> float:
    if not abs(seconds) < _MILLISECONDS_FROM:
        raise InvalidRequest(f"{name}={seconds:.0f} looks like milliseconds; the API counts in seconds")
    return seconds


def duration_seconds(text: str) -> float:
    """Return a duration such as `90s`, `30m` or `2d` in seconds.

    Raises:
        InvalidRequest: it is not one, or it is zero. The message does not show it.

    Example:
        >>> duration_seconds("30m")
        1800.0
    """
    found = _AGO.fullmatch(text.strip())
    seconds = float(found[1]) * timedelta(**{_UNITS[found[2]]: 1}).total_seconds() if found else 0.0
    if not 0 < seconds < LAST_SECOND:
        raise InvalidRequest(
            'not a duration; give a number of seconds, minutes, hours, days or weeks, such as "30m"'
        )
    return seconds


def iso(seconds: float) -> str:
    """Return epoch seconds as ISO 8601 in UTC, to the second: `2026-11-20T08:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_day(seconds: float) -> str:
    """Return the UTC day of a time, as `2026-11-20`."""
    return _name_of_day(int(seconds // DAY))


@lru_cache(maxsize=8)
def _name_of_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY, UTC).strftime("%Y-%m-%d")


def next_midnight(seconds: float) -> float:
    """Return the first 00:00 UTC after a time, in epoch seconds."""
    return (seconds // DAY + 1) * DAY
