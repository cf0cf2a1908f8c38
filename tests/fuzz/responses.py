"""Fuzzes the readers of responses: `python -m tests.fuzz.responses --seconds 300 --seed 1`.

A conversation with damaged responses either returns records, or raises a typed error. Nothing else may be raised, by the
conversation, by `to_arrow()` of what it returned, or by the properties of a record.
"""

import argparse
import pickle
import time
from collections import Counter
from random import Random
from typing import Any

from attrs import fields, has

from agora_analytics.errors import AgoraAnalyticsError
from tests.fuzz.conversations import CONVERSATIONS, Conversation
from tests.fuzz.mutations import mutate


def check(conversation: Conversation, seed: str) -> str:
    """Run a conversation with damage from a seed, and return the outcome's name. Raises what should not be raised."""
    dice = Random(seed)
    try:
        read = conversation.run(lambda body: mutate(body, dice))
    except AgoraAnalyticsError as error:
        raised = error
    else:
        look_at(read)
        return "read"
    assert str(raised)
    assert type(pickle.loads(pickle.dumps(raised))) is type(raised)
    return type(raised).__name__


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
