"""The schema's `Date`: what it takes, and how it is written."""

import re
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLError

from agora_analytics.simulator.opentok.refusals import OpenTokRefused

_DIGITS = re.compile(r"\d+")


def taken(value: Any) -> str | int:
    """Take a date as it is written; what it means is for the field that it was given to.

    Raises:
        GraphQLError: it is neither text nor a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError(f"Date cannot represent value: {value!r}")
    return value


def epoch_ms(value: str | int) -> int:
    """Return a date in epoch milliseconds: ISO 8601, or seconds of up to 10 digits, or milliseconds, quoted or not.

    Raises:
        OpenTokRefused: it is none of these.
    """
    if isinstance(value, int) or _DIGITS.fullmatch(value):
        number = int(value)
        return number if number >= 10**10 else number * 1000
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise OpenTokRefused(1002, f"{value} is not a date.") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def written(ms: int) -> str:
    """Return epoch milliseconds as the API writes them.

    Example:
        >>> written(1_584_879_845_407)
        '2020-03-22T12:24:05.407Z'
    """
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
