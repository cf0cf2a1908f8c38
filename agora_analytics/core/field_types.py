"""The types of record fields that have bounds.

The bounds are msgspec constraints. The fast reader checks them as it parses, and the lenient reader checks them value
by value, so both accept the same values.
"""

from typing import Annotated

from msgspec import Meta

from agora_analytics.instants import LAST_SECOND

LONGEST_ID = 1_024
"""Characters of the longest id. A request can name 20 of them, and the store shortens them to a file name."""

Seconds = Annotated[int, Meta(ge=1, le=LAST_SECOND)]
"""A time in UTC epoch seconds. Zero means that it is not set."""
Milliseconds = Annotated[int, Meta(ge=LAST_SECOND + 1, le=LAST_SECOND * 1000 + 999)]
"""A time in UTC epoch milliseconds. A smaller number is a time in seconds."""
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of 64 bits, which is what a table can hold."""
Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
"""An id that names an object in requests, and in the store a file."""
