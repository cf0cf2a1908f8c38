"""Dates of OpenTok Insights: the schema's `Date` scalar, and the Pacific days of daily rows."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from agora_analytics.simulator.opentok.rules import OpenTokRefused

_PACIFIC = ZoneInfo("America/Los_Angeles")
_DIGITS = re.compile(r"\d+")


def epoch_ms(value: str | int) -> int:
    """Convert a date to epoch milliseconds: ISO 8601, seconds of up to 10 digits, or milliseconds, quoted or not."""
    if isinstance(value, int) or _DIGITS.fullmatch(value):
        number = int(value)
        return number if number >= 10**10 else number * 1000
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise OpenTokRefused(1002, f"{value} is not a date.") from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def format_date(ms: int) -> str:
    """Format epoch milliseconds as the API writes them.

    Example:
        >>> format_date(1_584_879_845_407)
        '2020-03-22T12:24:05.407Z'
    """
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def pacific_day(ms: int) -> date:
    """Return the Pacific day of a timestamp in epoch milliseconds.

    Example:
        >>> pacific_day(1_703_919_600_000)  # 2023-12-30 07:00 UTC is 23:00 of the day before
        datetime.date(2023, 12, 29)
    """
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(_PACIFIC).date()


def midnight_ms(day: date) -> int:
    """Return the start of a Pacific day in epoch milliseconds: 08:00 UTC, or 07:00 in summer."""
    return int(datetime.combine(day, time(), _PACIFIC).timestamp() * 1000)


def days_between(first: date, last: date) -> list[date]:
    """Return the days from first to last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
