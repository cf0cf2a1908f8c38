"""Checks, before anything is committed, that records can be stored and that a response covers its window."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from agora_analytics.agora.records import Call, Session
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import IncompleteListing
from agora_analytics.store.parquet_file import LATEST_TIME

T = TypeVar("T")


def split_calls(calls: Sequence[Call]) -> tuple[list[Call], list[SkippedRecord]]:
    """Return the calls that can be stored, and the others with the reason."""
    return _split(
        "call_lists", calls, lambda call: _problem(call.call_id, _times(call, "created_ts", "destroyed_ts"))
    )


def split_sessions(sessions: Sequence[Session]) -> tuple[list[Session], list[SkippedRecord]]:
    """Return the sessions that can be stored, and the others with the reason."""
    return _split(
        "call_info", sessions, lambda session: _problem(session.sid, _times(session, "join_ts", "leave_ts"))
    )


def require_whole_window(sent: Sequence[Meta], end: int) -> None:
    """Check that the requests of a window included its last second, `end`.

    The window is cut again when the request is sent. If the local clock was ahead, the end is still in the future.

    Raises:
        IncompleteListing: they ended earlier.
    """
    ends = [meta.window.end for meta in sent if meta.window is not None]
    if ends and max(ends) < end:
        raise IncompleteListing(
            f"the request ended {end - max(ends)} s before the end of its window, which is too recent; "
            "the next run fetches it again"
        )


def _split(
    place: str, records: Sequence[T], problem: Callable[[T], tuple[str, str]]
) -> tuple[list[T], list[SkippedRecord]]:
    usable, skipped = list[T](), list[SkippedRecord]()
    for index, record in enumerate(records):
        key, reason = problem(record)
        if reason:
            skipped.append(SkippedRecord(path=f"$.{place}[{index}]", key=key or None, reason=reason))
        else:
            usable.append(record)
    return usable, skipped


def _times(record: object, *names: str) -> list[tuple[str, int]]:
    return [(name, getattr(record, name)) for name in names]


def _problem(key: str, times: Iterable[tuple[str, int]]) -> tuple[str, str]:
    if not key:
        return key, "its id is empty"
    for name, value in times:
        if not 0 <= value <= LATEST_TIME:
            return key, f"{name} {value} is not a time in seconds between 1970 and 2100"
    return key, ""
