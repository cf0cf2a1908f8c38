"""The check of the text that a caller passes, before it becomes part of a request. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agora_analytics.errors import InvalidRequest


def check_text(parameters: Iterable[tuple[str, str]]) -> None:
    """Check that parameters, as pairs of name and value, can be encoded.

    Raises:
        InvalidRequest: a value contains half of a surrogate pair, as it remains of a character that was cut in two.
    """
    for name, value in parameters:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"{name}={value!r} contains half of a surrogate pair, which is not text; pass the whole character"
            ) from None


def json_body(fields: Any) -> bytes:
    """Return the body of a request.

    Raises:
        InvalidRequest: the fields cannot be sent as JSON.
    """
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the parameters cannot be sent as JSON: {error}") from None
