"""The bootstrap-t interval of a ratio of sums, and the interval of the difference of two ratios. Pure numpy.

A ratio is the sum of the numerators of its units, such as calls, divided by the sum of their denominators. Sources: Efron
1981 and Hall 1988 (bootstrap-t), Cochran 1977 (ratio estimates), Zou and Donner 2008 (MOVER); docs/compare.md has the formulas.
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import frozen

Floats: TypeAlias = npt.NDArray[np.float64]

_CHUNK = 200_000  # drawn units at a time, which take about 5 MB


class RatioEstimate(Protocol):
    """A ratio with an interval at any level."""

    @property
    def value(self) -> float:
        """The ratio."""
        ...

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return the interval at the level 1 - alpha."""
        ...


@frozen(eq=False)
class BootstrapT:
    """The bootstrap-t interval of one ratio.

    Attributes:
        value: the ratio.
        error: its standard error, linearized.
        pivots: (ratio of a resample - ratio) / standard error of the resample, sorted.
        least: the smallest possible ratio.
        most: the largest possible ratio.
    """

    value: float
    error: float
    pivots: Floats
    least: float
    most: float

    @classmethod
    def of(cls, sums: Floats, resampled: Floats, count: int, *, bounds: tuple[float, float]) -> "BootstrapT":
        """Return the interval of a ratio.

        Args:
            sums: the sums of `moments` over the units; shape (5,).
            resampled: the sums over the units of each resample; shape (resamples, 5).
            count: the number of units.
            bounds: the smallest and the largest possible ratio.
        """
        value, error = ratios(sums[None], count)
        with np.errstate(divide="ignore", invalid="ignore"):
            values, errors = ratios(resampled, count)
            pivots = (values - value) / errors
        # All drawn units have the same ratio: the resample has no standard error.
        pivots[errors == 0] = np.copysign(np.inf, values - value)[errors == 0]
        pivots[np.isnan(pivots)] = 0.0  # no drawn unit was measured
        return cls(float(value[0]), float(error[0]), np.sort(pivots), *bounds)

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return the bootstrap-t interval of the ratio at the level 1 - alpha."""
        count = len(self.pivots)
        place = max(0, math.floor((count + 1) * alpha / 2) - 1)
        low = self.value - max(0.0, float(self.pivots[count - 1 - place])) * self.error
        high = self.value - min(0.0, float(self.pivots[place])) * self.error
        return max(low, self.least), min(high, self.most)


def moments(x: Floats, y: Floats) -> Floats:
    """Return x, y, x², xy and y² in the last axis, whose sums give a ratio and its standard error."""
    return np.stack([x, y, x * x, x * y, y * y], axis=-1)


def ratios(sums: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the ratios and their standard errors, from sums of `moments` (Cochran 1977, on ratio estimates)."""
    x, y, xx, xy, yy = sums.T
    ratio = x / y
    squares = xx - 2 * ratio * xy + ratio * ratio * yy
    # The difference of sums that are equal but for their rounding is not a variance.
    squares = np.where(squares > 1e-12 * (xx + ratio * ratio * yy), squares, 0.0)
    return ratio, np.sqrt(squares * count / (count - 1)) / y


def resample_counts(count: int, rng: np.random.Generator, resamples: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield how often each of `count` units is in each resample, some resamples at a time."""
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, count, (rows, count)) + np.arange(0, rows * count, count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)


def merged(units: Floats, rng: np.random.Generator, most: int) -> Floats:
    """Return sums over random bins of units if there are more than `most`, so that the cost is bounded.

    The bins are independent as the units are, and their sums have the same variance.
    """
    if len(units) <= most:
        return units
    order = rng.permutation(len(units))
    starts = np.linspace(0, len(units), most, endpoint=False).astype(np.intp)
    return np.asarray(np.add.reduceat(units[order], starts, axis=0), dtype=np.float64)


def difference_limits(
    first: RatioEstimate, second: RatioEstimate, alpha: float, correlation: float = 0.0
) -> tuple[float, float]:
    """Return the limits of `second` - `first` at the level 1 - alpha (MOVER).

    Args:
        first: a ratio.
        second: another ratio.
        alpha: 1 - the level.
        correlation: of the two estimates; 0 if they are of different units.
    """
    (low_first, high_first), (low_second, high_second) = first.limits(alpha), second.limits(alpha)
    change = second.value - first.value
    return (
        change - _distance(second.value - low_second, high_first - first.value, correlation),
        change + _distance(high_second - second.value, first.value - low_first, correlation),
    )


def _distance(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one + other * other - 2 * correlation * one * other))


def smallest_alpha(limits: Callable[[float], tuple[float, float]], smallest: float) -> float:
    """Return the smallest alpha at which an interval excludes zero, to 1 %; at least `smallest`."""

    def excludes_zero(alpha: float) -> bool:
        low, high = limits(alpha)
        return not low <= 0 <= high

    if excludes_zero(smallest):
        return smallest
    inside, outside = smallest, 1.0
    while outside > inside * 1.01:
        middle = math.sqrt(inside * outside)
        inside, outside = (inside, middle) if excludes_zero(middle) else (middle, outside)
    return outside
