"""Whole numbers as servers send them: as an integer, as text, or as a float."""

from typing import Any

_MOST = 2**63
"""No count and no time is as large as this."""


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
