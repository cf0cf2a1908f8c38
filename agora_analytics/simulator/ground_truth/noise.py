"""Stateless random numbers: one for every (key, index), so that any window of a series can be generated alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
Units = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_FIELD = np.uint64(0x1FFFFF)  # one hash holds three independent fields of 21 bits
_FIELD_SCALE = np.float64(1 / (1 << 21))


def bits(keys: Bits, index: NDArray[np.int64]) -> Bits:
    """Return 64 random bits for each pair of key and index (SplitMix64). The two arrays are broadcast.

    Takes arrays only: the algorithm overflows, and numpy warns about that for scalars.
    """
    mixed: Bits = keys + index.astype(np.uint64) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def units(random_bits: Bits) -> tuple[Units, Units, Units]:
    """Return three independent numbers in [0, 1) from each 64 bits."""
    return (
        (random_bits & _FIELD) * _FIELD_SCALE,
        ((random_bits >> np.uint64(21)) & _FIELD) * _FIELD_SCALE,
        ((random_bits >> np.uint64(42)) & _FIELD) * _FIELD_SCALE,
    )


def key_array(*keys: int) -> Bits:
    """Return integers of any size as 64-bit keys."""
    return np.array([key & 0xFFFFFFFFFFFFFFFF for key in keys], dtype=np.uint64)


def busyness(ts: NDArray[Any]) -> NDArray[np.float64]:
    """Return how busy the world is at each UTC time, from about 0.1 (04:00) to 1 (the evening peak at 20:00).

    Example:
        >>> busyness(np.array([4 * 3600, 20 * 3600])).round(2).tolist()
        [0.1, 1.0]
    """
    hour = (ts % 86_400) / 3600
    morning = 0.75 * np.exp(-(((hour - 11) / 2.8) ** 2))
    evening = 0.90 * np.exp(-(((hour - 20) / 2.4) ** 2))
    return np.minimum(0.10 + morning + evening, 1.0)
