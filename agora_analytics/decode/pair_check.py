"""Proves from the JSON text alone that every point of a response is a pair of two numbers.

A list *looks like a point* if the byte 11 places after its bracket is a comma, as after a timestamp of ten digits, and
the bytes up to one place after that comma have no bracket, brace, small letter or white space. Then at least two of its
elements are numbers. A list of objects never looks like a point, and neither does a `kvs` whose first element is a list.

Let each `kvs` have n elements, the first one a list, and 2n numbers at any depth. Suppose that the text has no lists
but the known ones and one for each element, and that as many lists look like points as there are elements. Then these
lists are the points, and each has at least two numbers. A `kvs` with 2n numbers has at most n of them. The sum over all
`kvs` is n too, so each `kvs` has exactly n lists with exactly two numbers. No number is left for the `kvs` itself, so
its n elements are these n lists.
"""

from collections.abc import Iterable, Sized
from typing import Final

import numpy as np

_BLOCK: Final = 131_072  # bytes processed together; a block and its masks fit into the CPU cache
_COMMA_AT: Final = 11  # distance from the bracket, after ten digits
_CHECKED: Final = _COMMA_AT + 1  # number of bytes after the bracket that are checked
_OPEN, _COMMA, _FIRST_PRINTABLE = ord("["), ord(","), ord("!")


def count_lists(text: bytes) -> tuple[int, int]:
    """Return the number of lists in the text, and the number of those that look like points.

    >>> count_lists(b'{"kvs":[[1548670255,215],[1548670257,0]]}')
    (3, 2)
    >>> count_lists(b'{"kvs":[[1548670255,215,1548670257],[0]]}')
    (3, 1)
    """
    codes = np.frombuffer(text, np.uint8)
    lists = points = 0
    block = min(_BLOCK, len(text))
    shifted = np.empty(block + _CHECKED, np.uint8)
    no_number, in_2, in_4, in_8, in_12, opens, commas = (
        np.empty(block + _CHECKED, np.bool_) for _ in range(7)
    )
    for start in range(0, len(text), _BLOCK):
        n = min(block, len(text) - start)
        window = codes[start : start + n + _CHECKED]
        if len(window) < n + _CHECKED:  # zeros after the end, so that the last lists need no special case
            window = np.concatenate((window, np.zeros(n + _CHECKED - len(window), np.uint8)))
        # White space is below "!". Brackets, braces and small letters are at or above "[".
        np.subtract(window, _FIRST_PRINTABLE, out=shifted[: n + 12])
        np.greater_equal(shifted[: n + 12], _OPEN - _FIRST_PRINTABLE, out=no_number[: n + 12])
        # in_k[i]: such a byte is in i : i + k.
        np.logical_or(no_number[: n + 11], no_number[1 : n + 12], out=in_2[: n + 11])
        np.logical_or(in_2[: n + 9], in_2[2 : n + 11], out=in_4[: n + 9])
        np.logical_or(in_4[: n + 5], in_4[4 : n + 9], out=in_8[: n + 5])
        np.logical_or(in_8[1 : n + 1], in_4[9 : n + 9], out=in_12[:n])
        np.equal(window[:n], _OPEN, out=opens[:n])
        lists += int(np.count_nonzero(opens[:n]))
        np.equal(window[_COMMA_AT : _COMMA_AT + n], _COMMA, out=commas[:n])
        np.logical_and(opens[:n], commas[:n], out=opens[:n])
        points += int(np.count_nonzero(np.greater(opens[:n], in_12[:n], out=opens[:n])))
    return lists, points


def all_pairs(
    text: bytes, kvs: Iterable[Iterable[Sized]], *, points: int, containers: int, unknown: int
) -> bool:
    """Return whether each element of each `kvs` is a list of two numbers.

    `text` is the JSON text, without brackets in strings. The parsed lists `kvs` have `points` elements, the first one of
    each is a list, and there are twice as many leaves, all of them numbers. `containers` is the number of lists of
    sessions, of series and of points; `unknown` is the number of lists in unknown keys.
    """
    lists, point_lists = count_lists(text)
    if lists != points + containers + unknown:
        return False
    if point_lists == points and not unknown:
        return True
    return all({*map(len, series)} <= {2} for series in kvs)
