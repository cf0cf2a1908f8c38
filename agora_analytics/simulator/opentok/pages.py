"""Pages of a list: page sizes (`first`), cursors (`endCursor`) and the schema's `ResourceCollection`."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

from agora_analytics.opentok.spec import most, usual
from agora_analytics.simulator.opentok.rules import OpenTokRefused, Rules

_OFFSET = re.compile(r"insights-resource:(\d+)")


def cursor(offset: int) -> str:
    """Return the cursor of the page that begins at an offset.

    Example:
        >>> cursor(10)
        'aW5zaWdodHMtcmVzb3VyY2U6MTA='
    """
    return b64encode(f"insights-resource:{offset}".encode()).decode()


def offset_of(end_cursor: str | None) -> int:
    """Return the offset of a cursor. None and an empty cursor are the first page."""
    if not end_cursor:
        return 0
    try:  # the guide's example has one = too many, which the decoder accepts
        match = _OFFSET.fullmatch(b64decode(end_cursor).decode())
    except ValueError:
        match = None
    if match is None:
        raise OpenTokRefused(1009, "endCursor is not a cursor.")
    return int(match[1])


def page_size(collection: str, first: int | None, rules: Rules) -> int:
    """Return the most rows of a page."""
    if first is None:
        return usual(collection)
    if first < 1 or (first > most(collection) and rules.excess == "refuse"):
        raise OpenTokRefused(1005, f"first is 1 to {most(collection)} for {collection}.")
    return min(first, most(collection))


def page(
    collection: str,
    total: int,
    cut: Callable[[int, int], list[Any]],
    args: Mapping[str, Any],
    rules: Rules,
) -> dict[str, Any]:
    """Return one page of a collection as a `ResourceCollection`. `cut` returns the rows between two offsets."""
    begin = offset_of(args.get("endCursor"))
    end = begin + page_size(collection, args.get("first"), rules)
    more = end < total
    return {
        "resources": cut(begin, end),
        "totalCount": total,
        "pageInfo": {"hasNextPage": more, "endCursor": cursor(end) if more else None},
    }
