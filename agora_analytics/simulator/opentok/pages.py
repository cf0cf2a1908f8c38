"""Pages of a list: `first`, `endCursor`, and what they come to."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

from agora_analytics.opentok.spec import most, usual
from agora_analytics.simulator.opentok.refusals import Refused
from agora_analytics.simulator.opentok.rules import Rules

_OFFSET = re.compile(r"insights-resource:(\d+)")


def cursor(offset: int) -> str:
    """Return the cursor of the page that begins at an offset.

    Example:
        >>> cursor(10)
        'aW5zaWdodHMtcmVzb3VyY2U6MTA='
    """
    return b64encode(f"insights-resource:{offset}".encode()).decode()


def offset_of(end_cursor: str | None) -> int:
    """Return the offset that a cursor names; none and an empty one name the beginning.

    Raises:
        Refused: it is no cursor.
    """
    if not end_cursor:
        return 0
    try:  # the guide's own example has one = too many, which the decoder lets pass
        named = _OFFSET.fullmatch(b64decode(end_cursor).decode())
    except ValueError:
        named = None
    if named is None:
        raise Refused(1009, "endCursor is no cursor.")
    return int(named[1])


def page_size(collection: str, first: int | None, rules: Rules) -> int:
    """Return how many rows a page may have.

    Raises:
        Refused: `first` is no page size.
    """
    if first is None:
        return usual(collection)
    if first < 1 or (first > most(collection) and rules.excess == "refuse"):
        raise Refused(1005, f"first is 1 to {most(collection)} for {collection}.")
    return min(first, most(collection))


def page(
    collection: str,
    total: int,
    cut: Callable[[int, int], list[Any]],
    asked: Mapping[str, Any],
    rules: Rules,
) -> dict[str, Any]:
    """Return one page of a collection as the schema's `ResourceCollection`; `cut` gives the rows from one to another."""
    begin = offset_of(asked.get("endCursor"))
    end = begin + page_size(collection, asked.get("first"), rules)
    more = end < total
    return {
        "resources": cut(begin, end),
        "totalCount": total,
        "pageInfo": {"hasNextPage": more, "endCursor": cursor(end) if more else None},
    }
