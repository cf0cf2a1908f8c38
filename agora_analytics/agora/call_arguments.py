"""The arguments of methods that are about one call: the call or its id, its time range, and lists of ids in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agora_analytics.agora.records import Call
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.field_types import LONGEST_ID
from agora_analytics.core.resume_tokens import as_asked
from agora_analytics.core.windows import Window, time_range
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant

if TYPE_CHECKING:
    from agora_analytics.agora.plans import Plan
    from agora_analytics.engine.engine import Engine


def call_id_of(call: Call | str) -> str:
    """Return the id of a call, or the id itself."""
    return call if isinstance(call, str) else call.call_id


def is_call_id(text: str) -> bool:
    """Return whether a text can be the id of a call."""
    return 1 <= len(text) <= LONGEST_ID and text.isprintable() and " " not in text


def check_call_id(call_id: str) -> None:
    """Check that a text can be the id of a call.

    Raises:
        InvalidRequest: it is empty, longer than 1,024 characters, or has whitespace or an invisible character.
    """
    if not is_call_id(call_id):
        shown = call_id if len(call_id) <= LONGEST_ID else f"{call_id[:40]}..."
        raise InvalidRequest(f"{shown!r} cannot be a call id; pass the id as the list of calls has it")


def call_window(
    call: Call | str, since: Instant | None, until: Instant | None, *, now: float, validate: bool
) -> Window:
    """Return the seconds of a call; an ongoing call lasts until now. An id needs `since` and `until`.

    Raises:
        InvalidRequest: an id without both of them, and as `time_range`.
    """
    if isinstance(call, Call):
        last = call.destroyed_ts if call.finished else int(now)
        return Window(call.created_ts, max(call.created_ts, last))
    if validate:
        check_call_id(call)
    if since is None or until is None:
        raise InvalidRequest(
            "a call id needs since= and until=, the time range of the call; or pass the Call, which find_call returns"
        )
    return time_range(since, until, now=now, validate=validate)


def is_settled(call: Call | str, endpoint: Endpoint, plan: "Plan", engine: "Engine") -> bool:
    """Return whether a call is finished and its data is complete. Of an id, that is not known."""
    if isinstance(call, str) or not call.finished or endpoint.name not in plan.limits:
        return False
    return call.destroyed_ts <= engine.reach(endpoint).end


def check_ids(name: str, ids: Sequence[object], endpoint: Endpoint, *, most: int | None = None) -> None:
    """Check a list of ids.

    Raises:
        InvalidRequest: a text, which is a sequence of characters, in place of a list; or more than `most` ids.
    """
    if isinstance(ids, str):
        raise InvalidRequest(f"{name}={ids!r} is a string; pass a list, [{ids!r}]", endpoint=endpoint.name)
    if most is not None and len(ids) > most:
        raise InvalidRequest(
            f"a request takes at most {most} {name}, not {len(ids)}; pass fewer", endpoint=endpoint.name
        )


def range_as_asked(call: Call | str, since: Instant | None, until: Instant | None) -> tuple[object, ...]:
    """Return the time range of a call as a part of a listing's question: a `Call` has only one."""
    return () if isinstance(call, Call) else (as_asked(since), as_asked(until))
