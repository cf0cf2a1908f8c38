"""A comparison as text: values with their units, and the sentences below a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agora_analytics.core.record_text import visible
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.core.windows import Window
    from agora_analytics.insight.compare_periods import Comparison, GroupComparison
    from agora_analytics.insight.mix import MixChange

NO_VALUE = "-"
_MIX_LINES = 3


def titles(unit: str) -> tuple[str, ...]:
    """Return the titles of the columns after that of the group. Shares are in percent, their changes in percentage points.

    Example:
        >>> titles("ratio")[:3]
        ('before %', 'after %', 'change pp')
    """
    value, change = ("%", "pp") if unit == "ratio" else (unit, unit)
    named = (f"before {value}", f"after {value}", f"change {change}")
    return (*(title.rstrip() for title in named), "95 % interval", "verdict", "calls", "users")


def value_text(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Return a value without its unit, which the title of the column has.

    Example:
        >>> value_text(0.0231, "ratio"), value_text(0.0179, "ratio", signed=True), value_text(82.26, "ms")
        ('2.31', '+1.79', '82.3')
    """
    return NO_VALUE if value is None else _number(value, unit, signed=signed)


def interval_text(low: float | None, high: float | None, unit: str) -> str:
    """Return the interval of a difference without its unit.

    Example:
        >>> interval_text(-0.001, 0.0354, "ratio")
        '-0.10 to +3.54'
    """
    if low is None or high is None:
        return NO_VALUE
    return f"{_number(low, unit, signed=True)} to {_number(high, unit, signed=True)}"


def _number(value: float, unit: str, *, signed: bool) -> str:
    decimals = 2 if unit == "ratio" else 1
    number = round(value * 100 if unit == "ratio" else value, decimals)
    return f"{number or 0.0:{'+' if signed and number else ''},.{decimals}f}"


def count_text(before: int, after: int) -> str:
    """Return two counts.

    Example:
        >>> count_text(1200, 87)
        '1,200/87'
    """
    return f"{before:,}/{after:,}"


def cells(group: "GroupComparison", unit: str) -> tuple[str, ...]:
    """Return the texts of a row, for `titles`."""
    return (
        value_text(group.before, unit),
        value_text(group.after, unit),
        value_text(group.difference, unit, signed=True),
        interval_text(group.low, group.high, unit),
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
        yield mix_text(change, result.unit)
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


def mix_text(change: "MixChange", unit: str) -> str:
    """Return the warning about a changed mix."""
    shares = ", ".join(
        f"{visible(share.value)} {100 * share.before:.0f} to {100 * share.after:.0f} %"
        for share in change.shares[:_MIX_LINES]
    )
    text = f"Warning: the mix by {change.column} changed ({visible(change.group)}): {shares} of the time."
    if change.difference is None:
        return f"{text} No change with the mix before: {change.reason}."
    interval = f" ({interval_text(change.low, change.high, unit)})" if change.low is not None else ""
    difference = (
        f"{value_text(change.difference, unit, signed=True)} {'pp' if unit == 'ratio' else unit}".rstrip()
    )
    return f"{text} With the mix before, the change is {difference}{interval}."


def comparison_text(result: "Comparison") -> str:
    """Return a comparison as a table of text with its notes."""
    rows = [
        (result.by or "", *titles(result.unit)),
        *((visible(group.group), *cells(group, result.unit)) for group in (*result.groups, result.total)),
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
