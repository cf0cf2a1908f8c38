"""Whole numbers as servers send them: as an integer, as text, or as a float."""

from typing import Any

_MOST = 2**63
"""No count and no time is as large as this."""
_EXACT = 2**53
"""A float holds every integer up to this one exactly."""


def whole_number(value: Any) -> int | None:
    """Return a whole number; None for anything else, true and false included.

    Example:
        >>> whole_number("250"), whole_number(250.0), whole_number("many"), whole_number(True)
        (250, 250, None, None)
    """
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    fraction = isinstance(value, float) and number != value
    return None if fraction or not -_MOST <= number < _MOST else number


def exact_float(value: float | str) -> float | None:
    """Return a number, sent as a number or as text, as a float; None if a float cannot hold the integer exactly.

    Example:
        >>> exact_float("66.67"), exact_float(2**53), exact_float(2**53 + 1), exact_float("many")
        (66.67, 9007199254740992.0, None, None)
    """
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if isinstance(value, float) or abs(number) < _EXACT:
        return number
    try:
        exact = int(value)
    except ValueError:  # a text with a fraction or an exponent
        return number
    return number if number == exact else None
