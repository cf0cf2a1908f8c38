"""Fuzzes the readers of responses: `python -m tests.fuzz.responses --seconds 300 --seed 1`.

A conversation with damaged responses either returns records, or raises a typed error. Nothing else may be raised, by the
conversation, by `to_arrow()` of what it returned, or by the properties of a record. Every member of a list that is not
among the records is named as skipped, itself or an object around it.
"""

import argparse
import json
import pickle
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from attrs import fields, has

from agora_analytics.errors import AgoraAnalyticsError, DecodeError
from agora_analytics.signaling import EventBatch
from tests.fuzz.conversations import CONVERSATIONS, Conversation
from tests.fuzz.mutations import mutate

_KEYS = (
    "call_id", "sid", "mid", "peer_uid", "ts", "Timestamp", "dimension_value", "bucket", "os", "windowStartTs", "sessionId", "connectionId",
)  # fmt: skip
"""A listing returns records with the same values of these once."""


def check(conversation: Conversation, seed: str) -> str:
    """Run a conversation with damage from a seed, and return the outcome's name. Raises what should not be raised."""
    dice = Random(seed)
    bodies: list[bytes] = []

    def change(body: bytes) -> bytes:
        bodies.append(mutate(body, dice))
        return bodies[-1]

    try:
        read = conversation.run(change)
    except AgoraAnalyticsError as error:
        raised = error
    else:
        look_at(read)
        if conversation.members and len(bodies) == conversation.requests:
            count_records(read, bodies[-1], conversation.members)
        return "read"
    assert str(raised)
    assert type(pickle.loads(pickle.dumps(raised))) is type(raised)
    return type(raised).__name__


def count_records(read: Any, body: bytes, members: str) -> None:
    """Assert that each member of the lists of a body is a record, or is named as skipped."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return
    answers = [one for one in _flat(read) if hasattr(one, "skipped") or isinstance(one, EventBatch)]
    if not answers:
        return  # an empty listing
    (answer,) = answers
    if isinstance(answer, EventBatch):
        named, count = set[str](), answer.returned
    else:
        named = {skipped.path for skipped in answer.skipped}
        count = len(getattr(answer, "columns", None).mid if hasattr(answer, "columns") else answer.records)
    expected = [member for path, member in _members(content, members) if not named & set(_prefixes(path))]
    distinct = {str([member.get(name) for name in _KEYS]) for member in expected if isinstance(member, dict)}
    found = f"{count} records of {len(expected)}, {len(distinct)} distinct; skipped: {named}"
    assert len(distinct) <= count <= len(expected), found


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for member in value:
            yield from _flat(member)
    else:
        yield value


def _members(content: Any, members: str) -> Iterator[tuple[str, Any]]:
    """Yield each member of the lists with its path. Null is not one, and neither is anything in another container."""
    found = [("$", content)]
    for name in members.replace("[*]", ".[*]").split(".")[1:]:
        if name == "[*]":
            lists = [(path, value) for path, value in found if isinstance(value, list)]
            found = [(f"{path}[{i}]", member) for path, value in lists for i, member in enumerate(value)]
        else:
            found = [(f"{path}.{name}", value.get(name)) for path, value in found if isinstance(value, dict)]
    yield from ((path, value) for path, value in found if value is not None)


def _prefixes(path: str) -> Iterator[str]:
    yield path
    yield from (path[: mark.start()] for mark in re.finditer(r"[.\[]", path))


def look_at(value: Any) -> None:
    """Use everything that a caller may use of a result."""
    repr(value)
    if isinstance(value, (list, tuple)):
        for member in value:
            look_at(member)
        return
    if not has(type(value)):
        return
    if hasattr(value, "to_arrow"):
        with suppress(DecodeError):  # an integer above 2^53 in a column of rates
            value.to_arrow()
    for name in dir(type(value)):
        if isinstance(getattr(type(value), name), property):
            getattr(value, name)
    for field in fields(type(value)):
        if field.name in ("records", "events", "columns"):
            look_at(getattr(value, field.name))


def main() -> None:
    """Fuzz until the time is up; print what was found, with the seed that repeats it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes, found = Counter[tuple[str, str]](), Counter[str]()
    ends = time.monotonic() + arguments.seconds
    number = 0
    while time.monotonic() < ends:
        conversation = CONVERSATIONS[number % len(CONVERSATIONS)]
        seed = f"{arguments.seed}/{number}"
        number += 1
        try:
            outcomes[conversation.name, check(conversation, seed)] += 1
        except Exception as error:  # noqa: BLE001 - it is what the fuzzer looks for
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
            key = f"{conversation.name}: {type(error).__name__} at {where.rpartition('agora_analytics/')[2]}"
            found[key] += 1
            if found[key] == 1:
                print(f"{key}  seed {seed!r}  {str(error)[:120]!r}", flush=True)
    print(f"{number} conversations, {sum(found.values())} with an error that is not typed")
    for (name, outcome), count in sorted(outcomes.items()):
        print(f"  {name:30} {outcome:20} {count}")


if __name__ == "__main__":
    main()
