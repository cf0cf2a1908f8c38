"""Pacific days: what daily rows are counted by."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_PACIFIC = ZoneInfo("America/Los_Angeles")


def pacific_day(ms: int) -> date:
    """Return the Pacific day of a moment in epoch milliseconds.

    Example:
        >>> pacific_day(1_703_919_600_000)  # 2023-12-30 07:00 UTC is 23:00 of the day before
        datetime.date(2023, 12, 29)
    """
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(_PACIFIC).date()


def midnight_ms(day: date) -> int:
    """Return the first moment of a Pacific day in epoch milliseconds: 08:00 UTC, or 07:00 in summer."""
    return int(datetime.combine(day, time(), _PACIFIC).timestamp() * 1000)


def days_between(first: date, last: date) -> list[date]:
    """Return the days from first to last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
