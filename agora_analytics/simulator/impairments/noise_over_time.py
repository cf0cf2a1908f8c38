"""Random series with a memory: slow changes, bursts and intermittent faults, a value for each second."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Series: TypeAlias = NDArray[np.float64]
"""A value for each second of a call."""


def wander(rng: np.random.Generator, seconds: int, memory: float) -> Series:
    """Return a series with mean 0 and variance 1 whose values forget each other after about `memory` seconds."""
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


def active(rng: np.random.Generator, seconds: int, start: float, end: float, *, intermittent: bool) -> Series:
    """Return how active a fault is in each second, from 0 to 1: it rises within 2 s, and may come and go."""
    at = np.arange(seconds, dtype=np.float64)
    level = np.clip((at - start) / 2, 0, 1) * (at <= end)
    if intermittent:
        second = start
        while second < end:
            on, off = rng.uniform(8, 20), rng.uniform(5, 12)
            level[(at >= second + on) & (at < second + on + off)] = 0
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
