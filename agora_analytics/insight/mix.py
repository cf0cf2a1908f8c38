"""Whether the mix of users changed between two periods, and the difference with the mix of the first period.

The share of a value, such as a network, is its part of the metric's denominator: mostly of the measured time.
"""

from collections.abc import Iterator, Mapping
from zlib import crc32

import numpy as np
from attrs import frozen

from agora_analytics.core.record import Record
from agora_analytics.insight.call_sums import PeriodSums
from agora_analytics.insight.comparison import difference, holm, linear_p_value

LEAST_CHANGE = 0.05
"""A share must change by more than this for a warning."""
_LEAST_SHARE = LEAST_CHANGE  # a smaller share cannot change by more
_MOST_LEFT_OUT = 0.2
ALPHA = 0.05


@frozen(kw_only=True)
class ShareChange(Record):
    """A share of the measured time that changed by more than chance and more than 5 percentage points.

    Attributes:
        value: the value, such as `WiFi`.
        before: its share before, 0 to 1.
        after: its share after, 0 to 1.
    """

    value: str
    before: float
    after: float


@frozen(kw_only=True)
class MixChange(Record):
    """The mix of users changed: a difference may come from the mix, and not from a change of quality.

    Attributes:
        group: the group whose users these are; `total` for all.
        column: the column of `sessions` whose mix changed, such as `network`.
        shares: the shares that changed, the largest change first.
        difference: the difference of the metric if the mix after were that before; None if it cannot be computed.
        low: lower limit of its 95 % interval; None without an interval.
        high: its upper limit; None without an interval.
        reason: why there is no difference or no interval; empty if there is one.
    """

    group: str
    column: str
    shares: tuple[ShareChange, ...]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def mix_changes(group: str, columns: Mapping[str, PeriodSums], *, seed: int) -> tuple[MixChange, ...]:
    """Return the columns whose mix changed, with the difference that remains without this change.

    A share counts as changed if it changed by more than `LEAST_CHANGE` and its p-value, corrected for all shares of all
    columns, is below 5 %. Periods with fewer than 20 calls have no changes.

    Args:
        group: the group whose sums these are.
        columns: the sums of a metric by the values of each column.
        seed: of the bootstrap.
    """
    found = [(name, each) for name, sums in columns.items() for each in _shares(sums)]
    corrected = holm(p_value for _, (_, p_value) in found)
    changed: dict[str, list[ShareChange]] = {}
    for (name, (share, _)), p_value in zip(found, corrected, strict=True):
        if p_value is not None and p_value < ALPHA:
            changed.setdefault(name, []).append(share)
    return tuple(
        _adjusted(group, name, columns[name], tuple(sorted(shares, key=_size, reverse=True)), seed)
        for name, shares in changed.items()
    )


def _shares(sums: PeriodSums) -> Iterator[tuple[ShareChange, float | None]]:
    """Yield the shares that are large enough to change, each with the p-value of its change; 1 for a small change."""
    before, after = (_shares_of(sums, period) for period in (0, 1))
    for place, value in enumerate(sums.values):
        share = ShareChange(value=value, before=float(before[place]), after=float(after[place]))
        if max(share.before, share.after) < _LEAST_SHARE:
            continue
        p_value: float | None = 1.0
        if _size(share) > LEAST_CHANGE:
            part = np.where(sums.value == place, sums.denominator, 0.0)
            calls = (sums.calls(period, part, sums.denominator).measured() for period in (0, 1))
            p_value = linear_p_value(*calls)
        yield share, p_value


def _shares_of(sums: PeriodSums, period: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    kept = sums.period == period
    parts = np.bincount(sums.value[kept], sums.denominator[kept], minlength=len(sums.values))
    return parts / max(float(parts.sum()), np.finfo(np.float64).tiny)


def _size(share: ShareChange) -> float:
    return abs(share.after - share.before)


def _adjusted(
    group: str, column: str, sums: PeriodSums, shares: tuple[ShareChange, ...], seed: int
) -> MixChange:
    """Return the difference between the first period and the second one, weighted to the shares of the first.

    The weights count as known (direct standardization). Values that only one period has are left out of both.
    """
    before, after = (_shares_of(sums, period) for period in (0, 1))
    common = (before > 0) & (after > 0)
    left_out = max(float(before[~common].sum()), float(after[~common].sum()))
    if left_out > _MOST_LEFT_OUT:
        reason = f"{100 * left_out:.0f} % of the time has values that only one period has"
        return MixChange(group=group, column=column, shares=shares, reason=reason)
    weights = np.divide(before, after, out=np.zeros_like(before), where=common)[sums.value]
    first = sums.where(common[sums.value]).totals(0)
    second = sums.calls(1, sums.numerator * weights, sums.denominator * weights)
    made = difference(first, second, seed=(seed, crc32(column.encode())))
    return MixChange(
        group=group,
        column=column,
        shares=shares,
        difference=made.difference,
        low=made.low,
        high=made.high,
        reason=made.reason,
    )
