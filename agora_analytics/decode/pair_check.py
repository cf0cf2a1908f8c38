"""The proof, from the text alone, that every point of an answer is a pair of two numbers.

A list is *plain to see* as a point if the byte 11 places behind its bracket is a comma, as after a timestamp of ten
digits, and up to the byte behind that comma there is no bracket, brace, small letter or white space: then at least
two of its elements are numbers. A list of objects is never plain to see, and no `kvs` whose first element is a list.

Let each `kvs` have n elements, the first one a list, and 2n numbers at any depth. If the text has no lists but the
known ones and one for each element, and as many are plain to see as there are elements, then these are it, and each
holds two numbers or more. A `kvs` with 2n numbers has room for n of them at most, and as the sum over all `kvs` is n
too, it has exactly n with exactly two numbers each. No number is left for the `kvs` itself, so its n elements are
these n lists.
"""

from collections.abc import Iterable, Sized
from typing import Final

import numpy as np

_BLOCK: Final = 131_072  # bytes looked at together; a block and its masks stay in the cache
_COMMA_AT: Final = 11  # from the bracket, over ten digits
_SEEN: Final = _COMMA_AT + 1  # how far behind its bracket a point is looked at
_OPEN, _COMMA, _FIRST_MARK = ord("["), ord(","), ord("!")


def plain_pairs(text: bytes) -> tuple[int, int]:
    """Return how many lists open in the text, and how many of them are plain to see as points.

    >>> plain_pairs(b'{"kvs":[[1548670255,215],[1548670257,0]]}')
    (3, 2)
    >>> plain_pairs(b'{"kvs":[[1548670255,215,1548670257],[0]]}')
    (3, 1)
    """
    codes = np.frombuffer(text, np.uint8)
    opened = plain = 0
    block = min(_BLOCK, len(text))
    shifted = np.empty(block + _SEEN, np.uint8)
    no_number, in_2, in_4, in_8, in_12, opens, commas = (np.empty(block + _SEEN, np.bool_) for _ in range(7))
    for start in range(0, len(text), _BLOCK):
        n = min(block, len(text) - start)
        seen = codes[start : start + n + _SEEN]
        if len(seen) < n + _SEEN:  # zeros behind the end: the last lists need no care of their own
            seen = np.concatenate((seen, np.zeros(n + _SEEN - len(seen), np.uint8)))
        # White space is what stands before "!"; brackets, braces and small letters are the bytes from "[" on.
        np.subtract(seen, _FIRST_MARK, out=shifted[: n + 12])
        np.greater_equal(shifted[: n + 12], _OPEN - _FIRST_MARK, out=no_number[: n + 12])
        # in_k[i]: one of them is in i : i + k.
        np.logical_or(no_number[: n + 11], no_number[1 : n + 12], out=in_2[: n + 11])
        np.logical_or(in_2[: n + 9], in_2[2 : n + 11], out=in_4[: n + 9])
        np.logical_or(in_4[: n + 5], in_4[4 : n + 9], out=in_8[: n + 5])
        np.logical_or(in_8[1 : n + 1], in_4[9 : n + 9], out=in_12[:n])
        np.equal(seen[:n], _OPEN, out=opens[:n])
        opened += int(np.count_nonzero(opens[:n]))
        np.equal(seen[_COMMA_AT : _COMMA_AT + n], _COMMA, out=commas[:n])
        np.logical_and(opens[:n], commas[:n], out=opens[:n])
        plain += int(np.count_nonzero(np.greater(opens[:n], in_12[:n], out=opens[:n])))
    return opened, plain


def all_pairs(
    text: bytes, kvs: Iterable[Iterable[Sized]], *, points: int, containers: int, unknown: int
) -> bool:
    """Whether each element of each `kvs` is a list of two numbers.

    Args:
        text: the JSON text; it has no bracket in a string.
        kvs: the lists of points as parsed: the first element of each is a list, all leaves are numbers.
        points: how many elements they have together; the leaves are twice as many.
        containers: how many lists there are of sessions, of series and of points.
        unknown: how many lists stand under unknown keys.
    """
    opened, plain = plain_pairs(text)
    if opened != points + containers + unknown:
        return False
    if plain == points and not unknown:
        return True
    return all({*map(len, series)} <= {2} for series in kvs)
