"""Random series with a memory: slow changes, bursts and intermittent faults, a value for each second."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Series: TypeAlias = NDArray[np.float64]
"""A value for each second of a call."""


def wander(rng: np.random.Generator, seconds: int, memory: float) -> Series:
    """Return a series with mean 0 and variance 1 and an autocorrelation time of about `memory` seconds."""
    tail = int(4 * memory) + 1
    weights = np.exp(-np.arange(tail) / memory)
    white = rng.standard_normal(seconds + tail - 1)
    smooth: Series = np.convolve(white, weights / np.sqrt((weights**2).sum()), mode="valid")
    return smooth


def bursts(rng: np.random.Generator, seconds: int, *, an_hour: float, longest: float) -> Series:
    """Return the strength, from 0 to 1, of short events at random times; 0 between them."""
    strength = np.zeros(seconds)
    for _ in range(rng.poisson(an_hour * seconds / 3600)):
        start = int(rng.integers(0, seconds))
        end = start + 1 + int(rng.random() * longest)
        strength[start:end] = np.maximum(strength[start:end], rng.random())
    return strength


def active(
    rng: np.random.Generator, seconds: int, start: float, end: float, *, intermittent: bool, rise: float = 2
) -> Series:
    """Return how active a fault is in each second, from 0 to 1.

    It rises within `rise` seconds. An intermittent fault is then on for 6 to 18 s, off for 5 to 12 s, and rises again.
    """
    at = np.arange(seconds, dtype=np.float64)
    if not intermittent:
        return np.clip((at - start) / rise, 0, 1) * (at <= end)
    level = np.zeros(seconds)
    second = start
    while second < end:
        on, off = rise + rng.uniform(6, 18), rng.uniform(5, 12)
        now = (at >= second) & (at < min(second + on, end + 1))
        level[now] = np.clip((at[now] - second) / rise, 0, 1)
        second += on + off
    return level


def alternating(rng: np.random.Generator, seconds: int, *, on: float, off: float) -> NDArray[np.bool_]:
    """Return a series that is true and false for random times with these means, in seconds."""
    state = np.zeros(seconds, dtype=np.bool_)
    second = -rng.exponential(off)
    while second < seconds:
        talk = 1 + rng.exponential(on)
        state[max(0, int(second)) : max(0, int(second + talk))] = True
        second += talk + 1 + rng.exponential(off)
    return state
