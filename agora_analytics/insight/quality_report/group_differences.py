"""The rate of each group of users, and its difference from all other users, from a bootstrap over calls. Pure numpy.

A rate is time beyond a limit divided by measured time. Users of one call may be in several groups, so a group and the rest
are not independent. Both are taken from the same resamples of calls, and the interval of their difference uses their
correlation (MOVER with a correlation: Zou 2007; Zou and Donner 2008). A call counts as a whole, because its users share a
room. docs/report.md has the formulas and the measured rate of false alarms.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import define, evolve, field, frozen

from agora_analytics.insight.comparison import FEWEST_CALLS, FEWEST_DIFFERENT, LEVEL, RESAMPLES
from agora_analytics.insight.ratio_bootstrap import (
    BootstrapT,
    Floats,
    RatioEstimate,
    difference_limits,
    moments,
    resample_counts,
    smallest_alpha,
)

Integers: TypeAlias = npt.NDArray[np.int64]

MOST_UNITS = 1_000
"""If there are more calls, they are merged at random into so many sums before the resampling."""
_RESAMPLES_A_TEST = 200  # so that the smallest p-value is 0.01 after the correction for all groups
_TESTS_AT_A_TIME = 16
_TINY = 1e-9


def summed(place: Integers, values: Floats, count: int) -> Floats:
    """Return the sums of the values that have the same place, for the places 0 to `count` - 1."""
    return np.bincount(place, values, count).astype(np.float64, copy=False)


@frozen(eq=False)
class GroupSums:
    """A measure by call and group: at most one entry for each call and group, in seconds.

    Attributes:
        call: the number of the call, from 0.
        group: the number of the group, from 0.
        numerator: seconds beyond a limit, at most `denominator`.
        denominator: measured seconds, more than 0.
    """

    call: Integers
    group: Integers
    numerator: Floats
    denominator: Floats

    def of_calls(self, calls: int) -> tuple[Floats, Floats]:
        """Return the sums of each call over all groups."""
        return summed(self.call, self.numerator, calls), summed(self.call, self.denominator, calls)


@frozen(kw_only=True)
class GroupDifference:
    """The rate of a group, and its difference from the rest of the users.

    Attributes:
        rate: 0 to 1; None without measured time.
        low, high: the 95 % interval of the rate; None if there are too few calls.
        calls: the calls in which the group was measured.
        difference: the rate - the rate of the rest; None if one of them is missing.
        difference_low, difference_high: its 95 % interval; None if there are too few calls.
        p_value: the smallest level at which the interval of the difference excludes zero; not corrected. None without one.
    """

    rate: float | None
    low: float | None = None
    high: float | None = None
    calls: int = 0
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None


@frozen
class WilsonEstimate:
    """The interval of a rate that is the same in nearly all calls, such as 0: a bootstrap would not vary.

    Each call is treated as if all its time was either beyond the limit or not, which is the largest variance that a rate
    can have (Wilson 1927, with the effective number of calls of Kish 1965).

    Attributes:
        value: the rate.
        count: the effective number of calls: (sum of seconds)² / sum of squared seconds.
    """

    value: float
    count: float

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return the interval at the level 1 - alpha.

        Example:
            >>> [round(limit, 3) for limit in WilsonEstimate(0.0, 30).limits(0.05)]
            [0.0, 0.114]
        """
        z = NormalDist().inv_cdf(1 - alpha / 2)
        weight = z * z / self.count
        middle = (self.value + weight / 2) / (1 + weight)
        half = z * ((self.value * (1 - self.value) + weight / 4) / self.count) ** 0.5 / (1 + weight)
        return max(0.0, middle - half), min(1.0, middle + half)


@define(eq=False)
class CallBootstrap:
    """Resamples of the calls of a report, which all its rates share.

    Attributes:
        calls: the number of calls.
        seed: of the resamples; the same calls and the same seed give the same intervals.
    """

    calls: int
    seed: int
    _units: Integers = field(init=False)

    def __attrs_post_init__(self) -> None:
        order = np.random.default_rng((self.seed, 0)).permutation(self.calls)
        self._units = order * self.count // max(1, self.calls) if self.calls > self.count else order

    @property
    def count(self) -> int:
        """The number of resampled units: calls, or sums over random bins of calls."""
        return min(self.calls, MOST_UNITS)

    def rates(self, sums: GroupSums, groups: int, *, only_bootstrap: bool = False) -> list[GroupDifference]:
        """Return the rate of each group, without differences.

        Args:
            sums: the sums of the measure.
            groups: the number of groups.
            only_bootstrap: give no interval where nearly all calls have the same rate.
        """
        jobs = [_Test(self, sums, group, None) for group in range(groups)]
        self._resampled(jobs, RESAMPLES)
        found = [each.result() for each in jobs]
        if not only_bootstrap:
            return found
        return [
            each if job.group.is_resampled else evolve(each, low=None, high=None)
            for job, each in zip(jobs, found, strict=True)
        ]

    def differences(self, measures: Sequence[tuple[GroupSums, int]]) -> list[list[GroupDifference]]:
        """Return each group of some measures: its rate, and its difference from all other users.

        Args:
            measures: the sums of each measure, and the number of its groups that are compared. Further groups belong to
                the rest only.
        """
        jobs = []
        for sums, groups in measures:
            totals = sums.of_calls(self.calls)
            jobs.append([_Test(self, sums, group, totals) for group in range(groups)])
        tests = [test for each in jobs for test in each if test.is_compared]
        self._resampled(tests, RESAMPLES)
        self._resampled([test for each in jobs for test in each if not test.is_compared], RESAMPLES)
        # The smallest p-values need more resamples than the other numbers.
        smallest = 2 / (RESAMPLES + 1) * (1 + _TINY)
        needed = _RESAMPLES_A_TEST * len(tests)
        if needed > RESAMPLES:
            close = [test for test in tests if test.p_value is not None and test.p_value <= smallest]
            self._resampled(close, needed)
        return [[test.result() for test in each] for each in jobs]

    def _resampled(self, tests: list["_Test"], resamples: int) -> None:
        """Add the resamples to some tests."""
        needing = [test for test in tests if test.needs_resamples]
        for start in range(0, len(needing), _TESTS_AT_A_TIME):
            some = needing[start : start + _TESTS_AT_A_TIME]
            columns = np.concatenate([test.columns for test in some], axis=1)
            rng = np.random.default_rng((self.seed, 1))  # the same resamples for all tests
            drawn = np.concatenate([each @ columns for each in resample_counts(self.count, rng, resamples)])
            place = 0
            for test in some:
                width = test.columns.shape[1]
                test.add(drawn[:, place : place + width])
                place += width

    def unit_sums(self, call: Integers, values: Floats) -> Floats:
        """Return the sums of some values of calls for each unit."""
        return summed(self._units[call], values, self.count)


@define(eq=False)
class _Side:
    """The calls of a group, or of the rest.

    Attributes:
        numerator, denominator: one sum for each unit.
        calls: the number of measured calls.
        different: how many of them have both time beyond the limit and other time, or differ from most others.
        effective: the effective number of calls.
    """

    numerator: Floats
    denominator: Floats
    calls: int
    different: int
    effective: float
    estimate: RatioEstimate | None = None

    @property
    def value(self) -> float | None:
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if self.calls and total > 0 else None

    @property
    def has_enough(self) -> bool:
        return self.calls >= FEWEST_CALLS

    @property
    def is_resampled(self) -> bool:
        return self.has_enough and self.different >= FEWEST_DIFFERENT

    @property
    def influence(self) -> Floats:
        """How much each unit adds to the rate, linearized."""
        value = self.value or 0.0
        return np.asarray((self.numerator - value * self.denominator) / self.denominator.sum())

    @property
    def columns(self) -> Floats:
        unit = float(self.denominator.mean()) or 1.0
        return moments(self.numerator / unit, self.denominator / unit)

    def add(self, drawn: Floats) -> None:
        self.estimate = BootstrapT.of(
            self.columns.sum(axis=0),
            drawn,
            max(2, int((self.denominator > 0).sum())),
            bounds=(0.0, 1.0),
        )

    @classmethod
    def of(cls, units: tuple[Floats, Floats], numerator: Floats, denominator: Floats) -> "_Side":
        """Return a side from its sums by unit, and those of its calls."""
        measured = denominator > _TINY
        x, y = numerator[measured], denominator[measured]
        poor, not_poor = int((x > _TINY).sum()), int((x < y - _TINY).sum())
        squares = float((y * y).sum())
        side = cls(
            *units,
            calls=len(y),
            different=min(poor, not_poor),
            effective=float(y.sum()) ** 2 / squares if squares else 0.0,
        )
        if side.has_enough and not side.is_resampled and side.value is not None:
            side.estimate = WilsonEstimate(side.value, side.effective)
        return side


class _Test:
    """One group of one measure and the rest."""

    def __init__(
        self, bootstrap: CallBootstrap, sums: GroupSums, group: int, totals: tuple[Floats, Floats] | None
    ) -> None:
        kept = sums.group == group
        call, x, y = sums.call[kept], sums.numerator[kept], sums.denominator[kept]
        units = bootstrap.unit_sums(call, x), bootstrap.unit_sums(call, y)
        self.group = _Side.of(units, x, y)
        self.rest: _Side | None = None
        if totals is not None:
            rest_x, rest_y = totals[0].copy(), totals[1].copy()
            rest_x[call] -= x
            rest_y[call] -= y
            every = np.arange(bootstrap.calls)
            rest_units = bootstrap.unit_sums(every, rest_x), bootstrap.unit_sums(every, rest_y)
            self.rest = _Side.of(rest_units, rest_x, rest_y)

    @property
    def sides(self) -> Iterator[_Side]:
        yield self.group
        if self.rest is not None:
            yield self.rest

    @property
    def is_compared(self) -> bool:
        return self.rest is not None and self.group.has_enough and self.rest.has_enough

    @property
    def needs_resamples(self) -> bool:
        return any(side.is_resampled for side in self.sides)

    @property
    def columns(self) -> Floats:
        return np.concatenate([side.columns for side in self.sides if side.is_resampled], axis=1)

    def add(self, drawn: Floats) -> None:
        place = 0
        for side in self.sides:
            if side.is_resampled:
                side.add(drawn[:, place : place + 5])
                place += 5

    def limits(self, alpha: float) -> tuple[float, float]:
        assert self.rest is not None  # noqa: S101 - only for compared groups
        assert self.group.estimate is not None and self.rest.estimate is not None  # noqa: S101, PT018
        return difference_limits(self.rest.estimate, self.group.estimate, alpha, self.correlation)

    @cached_property
    def correlation(self) -> float:
        if self.rest is None or not (self.group.is_resampled and self.rest.is_resampled):
            return 0.0
        one, other = self.group.influence, self.rest.influence
        scale = float(np.sqrt((one @ one) * (other @ other)))
        return float(one @ other) / scale if scale else 0.0

    @property
    def p_value(self) -> float | None:
        if not self.is_compared:
            return None
        estimates = [side.estimate for side in self.sides]
        counts = [len(each.pivots) for each in estimates if isinstance(each, BootstrapT)]
        smallest = 2 / (min(counts) + 1) if counts else 1e-6
        return smallest_alpha(self.limits, smallest)

    def result(self) -> GroupDifference:
        rate = self.group.value
        low, high = self.group.estimate.limits(1 - LEVEL) if self.group.estimate else (None, None)
        rest = self.rest.value if self.rest else None
        is_compared = self.is_compared
        change = self.limits(1 - LEVEL) if is_compared else (None, None)
        return GroupDifference(
            rate=rate,
            low=low,
            high=high,
            calls=self.group.calls,
            difference=None if rate is None or rest is None else rate - rest,
            difference_low=change[0],
            difference_high=change[1],
            p_value=self.p_value if is_compared else None,
        )
