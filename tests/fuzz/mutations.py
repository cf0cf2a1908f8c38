"""Damage to a JSON body: bytes flipped, cut, doubled or inserted, and values exchanged for unexpected ones."""

import json
from random import Random
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, -0.0, 1e300, float("nan"),
    float("inf"), "", " ", "0", "1", "1.5", "true", "null", "NaN", "x" * 300, "é\x00", "\ud83d", "\u202e", "../..", "2026-11-19",
    1_795_000_000_000, "1795000000", [], {}, [[]], [None], {"": None}, [1, 2, 3],
)  # fmt: skip
_BYTES = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\xbd",
    b'"',
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b"\\u",
    b"\\ud83d",
    b"1e999",
    b"NaN",
    b"\xef\xbb\xbf",
)
_DEEP = b"[" * 5_000


def mutate(body: bytes, dice: Random) -> bytes:
    """Return a body with one to three changes."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        body = dice.choice(_MUTATIONS)(body, dice)
    return body


def _flip(body: bytes, dice: Random) -> bytes:
    position = dice.randrange(len(body) + 1)
    return body[:position] + bytes([dice.randrange(256)]) + body[position + 1 :]


def _cut(body: bytes, dice: Random) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def _insert(body: bytes, dice: Random) -> bytes:
    position = dice.randrange(len(body) + 1)
    return body[:position] + dice.choice((*_BYTES, _DEEP)) + body[position:]


def _repeat(body: bytes, dice: Random) -> bytes:
    begin, end = sorted(dice.randrange(len(body) + 1) for _ in range(2))
    return body[:end] + body[begin:]


def _exchange_value(body: bytes, dice: Random) -> bytes:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    places = list(_places(content))
    if not places:
        return body
    parent, key = dice.choice(places)
    if isinstance(parent, dict) and dice.random() < 0.2:
        del parent[key]
    else:
        parent[key] = dice.choice(_VALUES)
    return json.dumps(content).encode()


def _places(content: Any) -> Any:
    """Yield (list or object, index or name) of every value, without recursion."""
    pending = [content]
    while pending:
        value = pending.pop()
        members = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value))
            if isinstance(value, list)
            else []
        )
        for key, member in members:
            yield value, key
            pending.append(member)


_MUTATIONS = (_flip, _cut, _insert, _repeat, *(_exchange_value,) * 8)
