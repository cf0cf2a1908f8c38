"""Checks, before anything is committed, that records can be stored and that a response covers its window."""

from collections.abc import Sequence

from agora_analytics.agora.call_arguments import is_call_id
from agora_analytics.agora.records import Call
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import IncompleteListing
from agora_analytics.instants import LAST_SECOND


def split_calls(calls: Sequence[Call]) -> tuple[list[Call], list[SkippedRecord]]:
    """Return the calls that can be stored, and the others with the reason."""
    usable, skipped = list[Call](), list[SkippedRecord]()
    for index, call in enumerate(calls):
        if reason := _problem(call):
            skipped.append(
                SkippedRecord(path=f"$.call_lists[{index}]", key=call.call_id or None, reason=reason)
            )
        else:
            usable.append(call)
    return usable, skipped


def last_second(sent: Sequence[Meta], end: int) -> int:
    """Return the last second of a window that its requests included, `end` at most."""
    return min(end, max((meta.window.end for meta in sent if meta.window is not None), default=end))


def require_whole_window(sent: Sequence[Meta], end: int) -> None:
    """Check that the requests of a window included its last second, `end`.

    The window is cut again when the request is sent. If the local clock was ahead, the end is still in the future, or
    the listing is empty because nothing is available yet.

    Raises:
        IncompleteListing: they ended earlier, or there was no request.
    """
    if not sent:
        raise IncompleteListing("the data is not available yet; the next run fetches it")
    if (last := last_second(sent, end)) < end:
        raise IncompleteListing(
            f"the request ended {end - last} s before the end of its window, which is too recent; "
            "the next run fetches it again"
        )


def _problem(call: Call) -> str:
    if not is_call_id(call.call_id):
        return "its id is empty or too long, or has a space or an invisible character"
    for name, value in (("created_ts", call.created_ts), ("destroyed_ts", call.destroyed_ts)):
        if not 0 <= value <= LAST_SECOND:
            return f"{name} {value} is not a time in seconds between 1970 and 2100"
    return ""
