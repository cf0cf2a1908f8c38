"""Reads JSON that is not quite JSON: what a strict parser refuses.

- A byte order mark is dropped. Invalid UTF-8 and lone surrogates, raw or escaped, become U+FFFD.
- NaN, infinities, and numbers too large for a float such as `1e999` become null.
- Control characters in text are kept, NUL included.
- An integer that Python does not convert, of more than 4,300 digits, stays text.
"""

import json
import re
from math import isfinite
from typing import Any

import msgspec

_RAW_SURROGATES = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])+")
"""Surrogates in UTF-8. They are invalid there, so valid text does not match."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of the strict parser: syntax errors, invalid UTF-8, too deep nesting, another type than expected."""

_OBJECT = msgspec.json.Decoder(dict[str, Any])


class NotJson(ValueError):
    """A body is not JSON, or is nested too deeply."""


def load_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        NotJson: with the position of the error.

    Example:
        >>> load_json(b'\\xef\\xbb\\xbf{"name": "party \\\\ud83d", "rate": NaN}')
        {'name': 'party \ufffd', 'rate': None}
    """
    text = decode_text(body)
    try:
        value = json.loads(
            text, strict=False, parse_int=_integer, parse_float=_finite, parse_constant=lambda _: None
        )
        return _clean(value) if "\\ud" in text or "\\uD" in text else value
    except ValueError as error:
        raise NotJson(str(error).partition("\n")[0][:200]) from None
    except RecursionError:
        raise NotJson("the JSON is nested too deeply") from None


def load_object(body: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object. A strict parser, which is faster, reads what it can.

    Raises:
        NotJson: also for any other value.
    """
    try:
        return _OBJECT.decode(body)
    except UNREADABLE:
        value = load_json(body)
    if not isinstance(value, dict):
        raise NotJson(
            f"the body is not a JSON object but {'null' if value is None else type(value).__name__}"
        )
    return value


def decode_text(body: bytes) -> str:
    """Return UTF-8 as text, without its byte order mark. Two surrogates that belong together become their character."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        mended = _RAW_SURROGATES.sub(
            lambda found: without_surrogates(found[0].decode("utf-8", "surrogatepass")).encode(), body
        )
        return mended.decode("utf-8-sig", "replace")


def without_surrogates(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value if value.isascii() else without_surrogates(value)
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_clean(name): _clean(each) for name, each in value.items()}
        case _:
            return value


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None
