"""A comparison as text: values with their units, and the sentences below a table."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from agora_analytics.core.record_text import visible
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.core.windows import Window
    from agora_analytics.insight.compare_periods import Comparison, GroupComparison
    from agora_analytics.insight.mix import MixChange

NO_VALUE = "-"
_MIX_LINES = 3
_MOST_DECIMALS = 6


def titles(unit: str) -> tuple[str, ...]:
    """Return the titles of the columns after that of the group. Shares are in percent, their changes in percentage points.

    Example:
        >>> titles("ratio")[:3]
        ('before %', 'after %', 'change pp')
    """
    value, change = ("%", "pp") if unit == "ratio" else (unit, unit)
    named = (f"before {value}", f"after {value}", f"change {change}")
    return (*(title.rstrip() for title in named), "95 % interval", "verdict", "calls", "users")


@frozen
class Numbers:
    """Formats the values of one comparison without their unit, which the titles have.

    Attributes:
        factor: 100 for shares, which are shown in percent.
        decimals: enough for two digits of the width of every interval.

    Example:
        >>> numbers = Numbers(100, 2)
        >>> numbers.value(0.0231), numbers.value(0.0179, signed=True), numbers.interval(-0.001, 0.0354)
        ('2.31', '+1.79', '-0.10 to +3.54')
    """

    factor: int
    decimals: int

    @classmethod
    def of(cls, result: "Comparison") -> "Numbers":
        """Return the format of the numbers of a comparison."""
        factor, least = (100, 2) if result.unit == "ratio" else (1, 1)
        groups = (*result.groups, result.total)
        widths = [
            factor * (each.high - each.low)
            for each in groups
            if each.low is not None and each.high is not None
        ]
        needed = (1 - math.floor(math.log10(width)) for width in widths if width > 0)
        return cls(factor, min(max([least, *needed]), _MOST_DECIMALS))

    def value(self, value: float | None, *, signed: bool = False) -> str:
        """Return a value, or a difference with its sign."""
        if value is None:
            return NO_VALUE
        number = round(self.factor * value, self.decimals)
        return f"{number or 0.0:{'+' if signed and number else ''},.{self.decimals}f}"

    def interval(self, low: float | None, high: float | None) -> str:
        """Return the interval of a difference."""
        if low is None or high is None:
            return NO_VALUE
        return f"{self.value(low, signed=True)} to {self.value(high, signed=True)}"


def count_text(before: int, after: int) -> str:
    """Return two counts.

    Example:
        >>> count_text(1200, 87)
        '1,200/87'
    """
    return f"{before:,}/{after:,}"


def cells(group: "GroupComparison", numbers: Numbers) -> tuple[str, ...]:
    """Return the texts of a row, for `titles`."""
    return (
        numbers.value(group.before),
        numbers.value(group.after),
        numbers.value(group.difference, signed=True),
        numbers.interval(group.low, group.high),
        group.verdict,
        count_text(group.calls_before, group.calls_after),
        count_text(group.users_before, group.users_after),
    )


def notes(result: "Comparison") -> Iterator[str]:
    """Yield the sentences below a table: the periods, what a verdict means, and what to be careful about."""
    yield f"{result.metric}: {result.meaning}. Calls and users: before/after."
    yield f"Before: {_period(result.before)}. After: {_period(result.after)}."
    if tested := [group for group in result.groups if group.low is not None]:
        yield _corrected(tested)
    if result.left_out:
        yield f"{result.left_out:,} more groups have fewer calls; they are part of the total only."
    reasons: dict[str, list[str]] = {}
    for group in (*result.groups, result.total):
        if group.reason:
            reasons.setdefault(group.reason, []).append(visible(group.group))
    for reason, names in reasons.items():
        yield f"No interval for {_listed(names)}: {reason}."
    for change in result.mix:
        yield mix_text(change, result.unit, Numbers.of(result))
    if not result.mix_checked:
        yield "The mix of users was not checked: the vendor does not send networks, platforms, devices or SDK versions."


def _corrected(tested: "Sequence[GroupComparison]") -> str:
    if len(tested) == 1:
        return "A verdict says worse, better, higher or lower only if the 95 % interval excludes zero."
    unsure = [
        visible(group.group)
        for group in tested
        if group.verdict == "none" and not (group.low or 0) <= 0 <= (group.high or 0)
    ]
    text = f"Verdicts are corrected for {len(tested)} groups (Holm, 5 % together); intervals are 95 % each."
    if unsure:
        text += f" Not enough after the correction: {_listed(unsure)}."
    return text


def mix_text(change: "MixChange", unit: str, numbers: Numbers) -> str:
    """Return the warning about a changed mix."""
    shares = ", ".join(
        f"{visible(share.value)} {100 * share.before:.0f} to {100 * share.after:.0f} %"
        for share in change.shares[:_MIX_LINES]
    )
    text = f"Warning: the mix by {change.column} changed ({visible(change.group)}): {shares} of the time."
    if change.difference is None:
        return f"{text} No change with the mix before: {change.reason}."
    interval = f" ({numbers.interval(change.low, change.high)})" if change.low is not None else ""
    difference = (
        f"{numbers.value(change.difference, signed=True)} {'pp' if unit == 'ratio' else unit}".rstrip()
    )
    return f"{text} With the mix before, the change is {difference}{interval}."


def comparison_text(result: "Comparison") -> str:
    """Return a comparison as a table of text with its notes."""
    numbers = Numbers.of(result)
    rows = [
        (result.by or "", *titles(result.unit)),
        *((visible(group.group), *cells(group, numbers)) for group in (*result.groups, result.total)),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *notes(result)])


def _period(window: "Window") -> str:
    return f"{iso(window.start)}..{iso(window.end + 1)}"


def _listed(names: "Sequence[str]") -> str:
    most = 5
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
