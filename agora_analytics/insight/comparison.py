"""The difference between two periods: ratios of sums over calls, with intervals from a bootstrap over calls. Pure numpy.

The value of a period is the sum of the calls' numerators divided by the sum of their denominators. Calls are the sampling
unit, because the users of one call are not independent. Each period is resampled, and its value gets a bootstrap-t
interval (Efron 1981; Hall 1988). The interval of the difference combines the limits of both periods (MOVER: Zou and
Donner 2008), so it can be asymmetric. docs/compare.md has the formulas and the measured coverage.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
"""The confidence level of intervals, and of all differences of a comparison together."""
FEWEST_CALLS = 20
"""A period with fewer calls has no interval."""
FEWEST_DIFFERENT = 10
"""A period has no interval if fewer of its calls differ from the most frequent value, such as from no freeze at all."""
RESAMPLES = 2_000
_MOST_UNITS = 5_000
_CHUNK = 200_000  # drawn calls at a time, which take about 5 MB


def _as_floats(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


@frozen(eq=False)
class CallSums:
    """The calls of one period.

    Attributes:
        numerator: one number for each call, such as its seconds of freezes.
        denominator: one number for each call, such as its measured seconds; 0 or more.
    """

    numerator: Floats = field(converter=_as_floats)
    denominator: Floats = field(converter=_as_floats)

    @property
    def value(self) -> float | None:
        """The value of the period; None without a positive denominator."""
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if total > 0 else None

    def measured(self) -> "CallSums":
        """Return the calls with a positive denominator."""
        kept = self.denominator > 0
        return CallSums(self.numerator[kept], self.denominator[kept])

    def __len__(self) -> int:
        return len(self.denominator)


@frozen
class Difference:
    """The difference between two periods, in the unit of the metric.

    Attributes:
        before: the value before; None if no call was measured.
        after: the value after; None if no call was measured.
        difference: `after` - `before`; None if one of them is missing.
        low: lower limit of the 95 % interval of the difference; None if there are too few calls.
        high: its upper limit; None if there are too few calls.
        p_value: the smallest significance level at which the interval excludes zero; None without an interval. It is
            never smaller than 2 / (resamples + 1).
        reason: why there is no interval; empty if there is one.
    """

    before: float | None
    after: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str = ""

    @property
    def excludes_zero(self) -> bool:
        """Whether there is a 95 % interval, and it does not contain zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def difference(
    before: CallSums, after: CallSums, *, seed: int | Sequence[int], resamples: int = RESAMPLES
) -> Difference:
    """Return the difference between two periods with its 95 % interval.

    Args:
        before: the calls of the first period.
        after: the calls of the second period.
        seed: of the bootstrap; the same calls in the same order and the same seed give the same interval.
        resamples: the number of bootstrap samples of each period.

    Example:
        >>> calls = CallSums([0.0] * 30 + [5.0, 9.0, 7.0, 8.0, 6.0] * 2, [100.0] * 40)
        >>> worse = CallSums([20.0, 25.0, 30.0, 35.0] * 10, [100.0] * 40)
        >>> found = difference(calls, worse, seed=1)
        >>> round(found.difference, 3), found.excludes_zero
        (0.258, True)
    """
    before, after = before.measured(), after.measured()
    first, second = before.value, after.value
    if first is None or second is None:
        return Difference(first, second, reason=_missing(first, second))
    change = second - first
    if reason := _too_few(before, "before") or _too_few(after, "after"):
        return Difference(first, second, change, reason=reason)
    rng = np.random.default_rng(seed)
    pair = _Bootstrap.of(before, rng, resamples), _Bootstrap.of(after, rng, resamples)
    low, high = _limits(*pair, 1 - LEVEL)
    return Difference(first, second, change, low, high, _p_value(*pair, 2 / (resamples + 1)))


def linear_p_value(before: CallSums, after: CallSums) -> float | None:
    """Return the p-value of a difference by its linearized standard error; None for fewer than 20 calls in a period.

    It needs no resampling and is defined if all calls of a period are equal, such as before a new version is used at all.
    It suits shares that are not rare; `difference` suits skewed metrics.

    Example:
        >>> linear_p_value(CallSums([0] * 30, [60] * 30), CallSums([30] * 30, [60] * 30))
        0.0
    """
    if min(len(before), len(after)) < FEWEST_CALLS:
        return None
    (first, first_error), (second, second_error) = (
        _ratios(_moments(each.numerator, each.denominator).sum(axis=0, keepdims=True), len(each))
        for each in (before, after)
    )
    change, error = float(second[0] - first[0]), math.hypot(float(first_error[0]), float(second_error[0]))
    if change == 0:
        return 1.0
    return math.erfc(abs(change) / error / math.sqrt(2)) if error else 0.0


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """Return the p-values of several groups, adjusted so that they hold for all groups together (Holm 1979).

    If no group differs, the probability that any adjusted p-value is below 0.05 is at most 5 %. None stays None.

    Example:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    adjusted = list(p_values)
    tested = sorted((p_value, place) for place, p_value in enumerate(adjusted) if p_value is not None)
    largest = 0.0
    for rank, (p_value, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_value))
        adjusted[place] = largest
    return adjusted


@frozen(eq=False)
class _Bootstrap:
    """The bootstrap of one period.

    Attributes:
        value: the value of the period.
        error: its standard error, linearized.
        pivots: (value of a resample - value) / standard error of the resample, sorted.
        least: the smallest possible value.
        most: the largest possible value.
    """

    value: float
    error: float
    pivots: Floats
    least: float
    most: float

    @classmethod
    def of(cls, calls: CallSums, rng: np.random.Generator, resamples: int) -> "_Bootstrap":
        numerator, denominator = calls.numerator, calls.denominator
        least = 0.0 if numerator.min() >= 0 else -math.inf
        most = 1.0 if least == 0 and bool((numerator <= denominator * (1 + 1e-9)).all()) else math.inf
        # Dividing by the mean keeps the squares of sums in the range where doubles are exact enough.
        unit = float(denominator.mean())
        units = _merged(np.stack([numerator, denominator], axis=1) / unit, rng)
        moments = _moments(*units.T)
        value, error = _ratios(moments.sum(axis=0, keepdims=True), len(units))
        values, errors = _ratios(_resampled(moments, rng, resamples), len(units))
        with np.errstate(divide="ignore", invalid="ignore"):
            pivots = (values - value) / errors
        # All drawn calls have the same value: the resample has no standard error.
        pivots[errors == 0] = np.copysign(np.inf, values - value)[errors == 0]
        return cls(float(value[0]), float(error[0]), np.sort(pivots), least, most)

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return the bootstrap-t interval of the value at the level 1 - alpha."""
        count = len(self.pivots)
        place = max(0, math.floor((count + 1) * alpha / 2) - 1)
        low = self.value - max(0.0, float(self.pivots[count - 1 - place])) * self.error
        high = self.value - min(0.0, float(self.pivots[place])) * self.error
        return max(low, self.least), min(high, self.most)


def _merged(units: Floats, rng: np.random.Generator) -> Floats:
    """Return sums over random bins of calls if there are very many calls, so that the cost is bounded.

    The bins are independent as the calls are, and their sums have the same variance.
    """
    if len(units) <= _MOST_UNITS:
        return units
    order = rng.permutation(len(units))
    starts = np.linspace(0, len(units), _MOST_UNITS, endpoint=False).astype(np.intp)
    return np.asarray(np.add.reduceat(units[order], starts, axis=0), dtype=np.float64)


def _moments(x: Floats, y: Floats) -> Floats:
    return np.stack([x, y, x * x, x * y, y * y], axis=1)


def _resampled(moments: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return the sums of the moments over `resamples` samples with replacement, one row for each sample."""
    count = len(moments)
    sums = np.empty((resamples, moments.shape[1]))
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, count, (rows, count)) + np.arange(0, rows * count, count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        sums[start : start + rows] = weights @ moments
    return sums


def _ratios(sums: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the values and their standard errors, from sums of x, y, x², xy and y² (Cochran 1977, on ratio estimates)."""
    x, y, xx, xy, yy = sums.T
    ratio = x / y
    squares = xx - 2 * ratio * xy + ratio * ratio * yy
    # The difference of sums that are equal but for their rounding is not a variance.
    squares = np.where(squares > 1e-12 * (xx + ratio * ratio * yy), squares, 0.0)
    return ratio, np.sqrt(squares * count / (count - 1)) / y


def _limits(before: _Bootstrap, after: _Bootstrap, alpha: float) -> tuple[float, float]:
    """Return the limits of the difference at the level 1 - alpha (MOVER)."""
    (low_before, high_before), (low_after, high_after) = before.limits(alpha), after.limits(alpha)
    change = after.value - before.value
    return (
        change - math.hypot(after.value - low_after, high_before - before.value),
        change + math.hypot(high_after - after.value, before.value - low_before),
    )


def _p_value(before: _Bootstrap, after: _Bootstrap, smallest: float) -> float:
    """Return the smallest alpha at which the interval excludes zero, to 1 %; at least `smallest`."""

    def excludes_zero(alpha: float) -> bool:
        low, high = _limits(before, after, alpha)
        return not low <= 0 <= high

    if excludes_zero(smallest):
        return smallest
    inside, outside = smallest, 1.0
    while outside > inside * 1.01:
        middle = math.sqrt(inside * outside)
        inside, outside = (inside, middle) if excludes_zero(middle) else (middle, outside)
    return outside


def _missing(before: float | None, after: float | None) -> str:
    if before is None and after is None:
        return "no data"
    return "no data before" if before is None else "no data after"


def _too_few(calls: CallSums, when: str) -> str:
    """Return why a period has too few calls for an interval; empty if it has enough."""
    if len(calls) < FEWEST_CALLS:
        return f"fewer than {FEWEST_CALLS} calls {when}"
    _, counts = np.unique((calls.numerator / calls.denominator).round(12), return_counts=True)
    if len(calls) - int(counts.max()) < FEWEST_DIFFERENT:
        return f"fewer than {FEWEST_DIFFERENT} calls {when} differ from the others"
    return ""
