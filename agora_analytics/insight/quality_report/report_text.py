"""The sentences at the top of a report: how good the calls were, what changed, and who had it worst."""

from collections.abc import Iterator, Mapping, Sequence

from agora_analytics.insight.quality_report.report_records import (
    MeasureRate,
    PanelGroup,
    QualityReport,
    ReportChange,
)
from agora_analytics.instants import iso

TITLES: Mapping[str, str] = {
    "users": "users with a mean beyond a limit",
    "freeze": "freeze",
    "loss": "packet loss",
    "delay": "delay",
    "network": "network",
    "platform": "platform",
    "sdk_version": "SDK version",
    "region": "region",
    "hour_of_day": "hour of day (UTC)",
}
"""The words for measures and columns."""


def summary(report: QualityReport) -> Iterator[str]:
    """Yield the result of a report in sentences."""
    yield f"{count(report.calls, 'call')} with {count(report.users, 'user')}, {time_range(report.since, report.until)}."
    yield _how_good(report)
    rates = ", ".join(f"{TITLES[each.measure]} {with_interval(each)}" for each in report.total.rates)
    yield f"Share of the measured time beyond a limit: {rates}."
    yield _changed(report)
    yield _worst_group(report)


def _how_good(report: QualityReport) -> str:
    users, calls = report.poor_users, report.poor_calls
    *most, last = (TITLES[measure] for measure in report.measures)
    measures = f"{', '.join(most)} or {last}" if most else last
    return (
        f"{_sentence_start(users)} of the users of a call had a mean {measures} beyond a limit of the profile "
        f"{report.profile}. "
        f"{_sentence_start(calls)} of the calls had such a user."
    )


def _sentence_start(rate: MeasureRate) -> str:
    if rate.low is None or rate.high is None:
        return f"{percent(rate.rate)} (too few calls for an interval)"
    return f"{percent(rate.rate)} (95 % interval {interval(rate.low, rate.high)})"


def _changed(report: QualityReport) -> str:
    if not report.changes:
        return "The store has no calls of the period before, so no change is shown."
    before = f"the period before, of the same length, with {count(report.calls_before, 'call')}"
    changed = [each for each in report.changes if each.verdict in ("worse", "better")]
    if all(each.verdict == "unknown" for each in report.changes):
        return f"There are too few calls to compare with {before}."
    if not changed:
        return f"No change against {before} is more than chance."
    return f"Against {before}: {'; '.join(map(change_text, changed))}."


def change_text(change: ReportChange) -> str:
    """Return one change in words, without a full stop."""
    return (
        f"{TITLES[change.measure]} got {change.verdict}, {percent(change.before)} to {percent(change.after)} "
        f"({points(change.difference)}, {points_interval(change.low, change.high)})"
    )


def _worst_group(report: QualityReport) -> str:
    if not report.comparisons:
        return "There are too few calls to compare groups of users."
    worse = [
        (rate.difference_low or 0.0, panel.by, group, rate)
        for panel in report.panels
        for group in panel.groups
        for rate in group.rates
        if rate.verdict == "worse"
    ]
    if not worse:
        return "No network, platform, SDK version or hour of day is worse than the rest by more than chance."
    _, by, group, rate = max(worse, key=lambda each: each[0])
    return f"The group that differs most from the rest: {group_text(by, group, rate)}."


def group_text(by: str, group: PanelGroup, rate: MeasureRate) -> str:
    """Return what a group has more or less of than the rest, without a full stop."""
    return (
        f"{TITLES[by]} {group.group} ({count(group.calls, 'call')}, {count(group.users, 'user')}): {TITLES[rate.measure]} "
        f"beyond the limit in {percent(rate.rate)} of the time, {points(rate.difference)} against all others "
        f"(95 % interval {points_interval(rate.difference_low, rate.difference_high)})"
    )


def rate_words(rate: MeasureRate) -> str:
    """Return the verdict of one measure of a group in words.

    Example:
        >>> rate_words(MeasureRate(measure="loss", calls=3, rate=0.1))
        'packet loss: too few calls'
    """
    title = TITLES[rate.measure]
    if rate.verdict == "unknown":
        return f"{title}: too few calls"
    if rate.verdict == "none":
        return f"{title}: no difference found"
    return f"{title} {rate.verdict}: {points(rate.difference)}"


def group_words(group: PanelGroup) -> str:
    """Return the verdicts of a group in words: the differences, or why there is none."""
    different = [each for each in group.rates if each.verdict in ("worse", "better")]
    if different:
        return "; ".join(map(rate_words, different))
    if all(each.verdict == "unknown" for each in group.rates):
        return "too few calls"
    return "no difference found"


def time_range(start: int, end: int) -> str:
    """Return a time range in UTC."""
    return f"{minute(start)} to {minute(end)} UTC"


def minute(ts: int) -> str:
    """Return a time in UTC to the minute.

    Example:
        >>> minute(1_795_161_600)
        '2026-11-20 08:00'
    """
    return iso(ts)[:16].replace("T", " ")


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> count(1, "call"), count(1200, "user")
        ('1 call', '1,200 users')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_interval(rate: MeasureRate) -> str:
    """Return a share with its interval."""
    if rate.low is None or rate.high is None:
        return percent(rate.rate)
    return f"{percent(rate.rate)} ({interval(rate.low, rate.high)})"


def percent(share: float | None) -> str:
    """Return a share in percent.

    Example:
        >>> percent(0.0312), percent(None)
        ('3.1 %', '-')
    """
    return "-" if share is None else f"{100 * share:.1f} %"


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def points(difference: float | None) -> str:
    """Return a difference in percentage points, with its sign."""
    return "-" if difference is None else f"{100 * difference:+.1f} pp"


def points_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a difference in percentage points."""
    return "-" if low is None or high is None else f"{100 * low:+.1f} to {100 * high:+.1f}"


def missing_sentences(report: QualityReport) -> Iterator[str]:
    """Yield what the numbers of a report leave out; nothing if nothing is missing."""
    missing = report.missing
    of_days = (
        ("No data of calls", missing.days_without_calls),
        (
            "No data of calls in the period before, so a change may have other reasons",
            missing.days_before_without_calls,
        ),
        ("The harvest of these days is not complete; run it again", missing.pending_days),
    )
    yield from (f"{words}: {_some(days, len(days))}." for words, days in of_days if days)
    of_calls = (
        ("had not ended when stored, and may lack later data", missing.ongoing),
        ("without any sample of a counted metric, left out of all numbers", missing.without_samples),
    )
    for words, calls in of_calls:
        if calls.count:
            yield f"{count(calls.count, 'call')} {words}: {_some(calls.named, calls.count)}."
    for measure, number in missing.without_measure:
        if number:
            yield f"{TITLES[measure]}: {number:,} of {count(report.calls, 'call')} have no samples.".capitalize()
    if missing.vendors_without_calls:
        vendors = " and ".join(missing.vendors_without_calls)
        yield f"{vendors} sends totals of all users, without calls; they are not in this report."
    yield from (f"No panel by {TITLES[each.by]}: {each.reason}" for each in report.panels if each.reason)


def _some(names: Sequence[str], number: int) -> str:
    shown = names[:10]
    more = f" and {number - len(shown):,} more" if number > len(shown) else ""
    return f"{', '.join(shown)}{more}"
