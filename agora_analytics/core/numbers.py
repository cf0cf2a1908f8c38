"""Numbers and truth values as servers send them: as themselves, as text, or as one another."""

import re
from math import isfinite
from typing import Any

INT64 = range(-(2**63), 2**63)
"""No count and no time is outside of this range."""
_NUMBER = re.compile(r"\s*[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?\s*", re.ASCII)
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def number_of(value: Any) -> int | float | None:
    """Return a finite number, as an integer where one was sent; None for anything else, true and false included.

    Example:
        >>> number_of("250"), number_of("6.50"), number_of("1e999"), number_of("many"), number_of(True)
        (250, 6.5, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value):  # Python would accept more, such as "1_000", "nan" and "٣"
                return None
            value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        return value if isfinite(value) else None
    except (ValueError, OverflowError):  # thousands of digits, or an integer that is too large for a float
        return None


def whole_number(value: Any) -> int | None:
    """Return an integer of 64 bits; None for anything else, true and false included.

    Example:
        >>> whole_number("250"), whole_number(250.0), whole_number(2.5), whole_number(2**63), whole_number(True)
        (250, 250, None, None, None)
    """
    number = number_of(value)
    if number is None or number != int(number):
        return None
    return int(number) if int(number) in INT64 else None


def exact_float(value: Any) -> float | None:
    """Return a number as a float; None for anything else, and for an integer that a float cannot hold exactly.

    Example:
        >>> exact_float("66.67"), exact_float(2**53), exact_float(2**53 + 1), exact_float("many")
        (66.67, 9007199254740992.0, None, None)
    """
    number = number_of(value)
    return None if number is None or int(number) != int(float(number)) else float(number)


def truth_of(value: Any) -> bool | None:
    """Return a truth value, which may be sent as a number or as text; None for anything else.

    Example:
        >>> truth_of(1), truth_of("False"), truth_of("no")
        (True, False, None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _TRUTHS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None
