"""The difference between two periods: ratios of sums over calls, with intervals from a bootstrap over calls. Pure numpy.

The value of a period is the sum of the calls' numerators divided by the sum of their denominators. Calls are the sampling
unit, because the users of one call are not independent. Each period is resampled, and its value gets a bootstrap-t
interval (Efron 1981; Hall 1988). The interval of the difference combines the limits of both periods (MOVER: Zou and
Donner 2008), so it can be asymmetric. docs/compare.md has the formulas and the measured coverage.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from agora_analytics.insight.ratio_bootstrap import (
    BootstrapT,
    Floats,
    difference_limits,
    merged,
    moments,
    ratios,
    resample_counts,
    smallest_alpha,
)

LEVEL = 0.95
"""The confidence level of intervals, and of all differences of a comparison together."""
FEWEST_CALLS = 20
"""A period with fewer calls has no interval."""
FEWEST_DIFFERENT = 10
"""A period has no interval if fewer of its calls differ from the most frequent value, such as from no freeze at all."""
RESAMPLES = 2_000
_MOST_UNITS = 5_000


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
    pair = _bootstrap(before, rng, resamples), _bootstrap(after, rng, resamples)
    low, high = difference_limits(*pair, 1 - LEVEL)
    p_value = smallest_alpha(lambda alpha: difference_limits(*pair, alpha), 2 / (resamples + 1))
    return Difference(first, second, change, low, high, p_value)


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
        ratios(moments(each.numerator, each.denominator).sum(axis=0, keepdims=True), len(each))
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


def _bootstrap(calls: CallSums, rng: np.random.Generator, resamples: int) -> BootstrapT:
    numerator, denominator = calls.numerator, calls.denominator
    least = 0.0 if numerator.min() >= 0 else -math.inf
    most = 1.0 if least == 0 and bool((numerator <= denominator * (1 + 1e-9)).all()) else math.inf
    # Dividing by the mean keeps the squares of sums in the range where doubles are exact enough.
    unit = float(denominator.mean())
    units = merged(np.stack([numerator, denominator], axis=1) / unit, rng, _MOST_UNITS)
    values = moments(*units.T)
    drawn = [counts @ values for counts in resample_counts(len(units), rng, resamples)]
    return BootstrapT.of(values.sum(axis=0), np.concatenate(drawn), len(units), bounds=(least, most))


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
