"""Compares a metric between two periods, by group, on top of a store."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal
from zlib import crc32

from attrs import asdict, evolve, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.record_list import Records, records_of
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.call_metrics import (
    DERIVED_METRICS,
    CallMetric,
    Worse,
    call_metric,
    known_metrics,
)
from agora_analytics.insight.call_sums import MetricSums, PeriodSums, read_sums, stored_metrics
from agora_analytics.insight.call_sums_sql import NO_GROUP, SESSION_COLUMNS, Selection
from agora_analytics.insight.comparison import RESAMPLES, difference, holm
from agora_analytics.insight.mix import ALPHA, MixChange, mix_changes
from agora_analytics.insight.own_groups import OwnGroups, groups_file
from agora_analytics.instants import Instant, epoch_seconds, iso
from agora_analytics.store.quality import MAPPINGS

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

Verdict = Literal["worse", "better", "higher", "lower", "none", "unknown"]
Period = str | tuple[Instant, Instant]
"""`start..end`, or a pair of times. The start belongs to the period, the end does not."""

GROUP_COLUMNS = (*SESSION_COLUMNS, "channel", "app_id")
KEY_COLUMNS = ("user_id", "call_id")
"""The columns that have too many values to compare each: they need own groups."""
SEED = 20_261_130
MOST_GROUPS = 50
_MOST_ALLOWED = 500
_RESAMPLES_A_GROUP = 80  # so that the smallest p-value is 0.025 after the correction for all groups
TOTAL = "total"


@frozen(kw_only=True)
class GroupComparison(Record):
    """One group before and after. Values and differences are in the unit of the metric.

    Attributes:
        group: the value of the column, or the own group; `total` for all calls.
        before: the value before; None if no call was measured.
        after: the value after; None if no call was measured.
        difference: `after` - `before`; None if one of them is missing.
        low: lower limit of the 95 % interval of the difference; None if there are too few calls.
        high: its upper limit; None if there are too few calls.
        p_value: of the difference; in a group, corrected for the number of groups. None without an interval.
        verdict: `worse` or `better` (`higher` or `lower` if neither is known to be worse) if the interval excludes zero
            and the p-value is below 0.05; `none` if no difference was found; `unknown` if there is no interval.
        reason: why there is no interval; empty if there is one.
        calls_before: the number of calls before that have the metric.
        calls_after: the number of calls after that have the metric.
        users_before: the number of users before, counted once for each app.
        users_after: the number of users after.
    """

    group: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict = "unknown"
    reason: str = ""
    calls_before: int
    calls_after: int
    users_before: int
    users_after: int


@frozen(kw_only=True, repr=False)
class Comparison(Record):
    """The result of `compare`. It prints as a table.

    Attributes:
        metric: the name of the metric.
        unit: its unit; `ratio` for a share, 0 to 1.
        meaning: the metric in words.
        by: the column of the groups; None if there are no groups.
        before: the first period.
        after: the second period.
        total: all calls.
        groups: the groups with the most calls, the largest first.
        left_out: the number of further groups, which are part of the total only.
        mix: how the mix of users changed. It is checked for the total, and for groups with a difference.
        mix_checked: the columns whose mix was checked; empty if the vendor sends none of them.
    """

    metric: str
    unit: str
    meaning: str
    by: str | None
    before: Window
    after: Window
    total: GroupComparison
    groups: Records[GroupComparison]
    left_out: int = 0
    mix: tuple[MixChange, ...] = ()
    mix_checked: tuple[str, ...] = ()

    def __repr__(self) -> str:
        from agora_analytics.insight.comparison_text import comparison_text

        return comparison_text(self)


def compare(
    store: "ParquetStore | BucketStore",
    metric: str,
    *,
    before: Period,
    after: Period,
    by: str | None = None,
    groups: OwnGroups | None = None,
    above: float | None = None,
    below: float | None = None,
    vendor: str | None = None,
    app_id: str | None = None,
    most_groups: int = MOST_GROUPS,
    seed: int = SEED,
) -> Comparison:
    """Compare a metric between two periods: did it get worse, for whom, and is that more than chance?

    The value of a period is a mean over the measured time of all its calls, or the share of time that was frozen. Its
    interval comes from a bootstrap over calls. The page "Did it get worse?" of the documentation has the formulas, the
    measured coverage and the limits. Only the days of the two periods are read.

    Args:
        store: the store.
        metric: a metric of the view `quality`, or `video_freeze_rate` or `audio_freeze_rate`, which are computed from
            freeze times.
        before: the first period, as `2026-11-01..2026-11-08` or a pair of times. Times are as for `harvest`, in UTC. A
            call belongs to the period in which it began.
        after: the second period; it must not overlap with the first.
        by: the column of the groups: `sdk_version`, `network`, `platform`, `device_type` (Agora only), `channel` or
            `app_id`; with `groups` also `user_id` or `call_id`. None: only the total.
        groups: own groups: a mapping from values of the column `by` to groups, or a CSV or Parquet file or DataFrame with
            this column and the column `group`.
        above: compare the share of time in which the metric is above this value.
        below: compare the share of time in which the metric is below this value.
        vendor: `agora` or `opentok`, if both have the metric in the store.
        app_id: only this app.
        most_groups: how many groups are compared, at most 500. The others are part of the total only.
        seed: of the bootstrap. The same store and seed give the same result.

    Raises:
        InvalidRequest: a name is unknown, the periods overlap or are empty, or the store has no data for them.
        StoreError: the store cannot be read.

    Example::

        from agora_analytics import open_store
        from agora_analytics.insight import compare

        result = compare(
            open_store("calls.store"), "video_freeze_rate", by="sdk_version", before="14d..7d", after="7d..now"
        )
        print(result)
        result.groups.to_pandas()
    """
    _check_by(by, groups)
    if not 1 <= most_groups <= _MOST_ALLOWED:
        raise InvalidRequest(f"most_groups={most_groups} is not between 1 and {_MOST_ALLOWED}")
    if vendor not in (None, *MAPPINGS):
        raise InvalidRequest(f"there is no vendor {vendor!r}; use one of {', '.join(MAPPINGS)}")
    if seed < 0:
        raise InvalidRequest(f"seed={seed} is negative; give 0 or more")
    measured = call_metric(metric, above=above, below=below)
    selection = Selection(periods=parse_periods(before, after), vendor=vendor, app_id=app_id)
    with groups_file(groups, by) as file:
        sums = read_sums(store, measured, selection, by, file)
    if sums is not None:
        _check_vendors(measured, by, sums.vendors)
    missing = _periods_without_data(selection, sums)
    if sums is None or missing:
        raise _no_data(store, measured, selection, " or ".join(missing))
    job = _Job(sums, measured.worse, seed)
    names, left_out = _largest(sums.totals, most_groups) if by else ([], 0)
    compared = list(job.groups(names))
    different = [one.group for one in compared if one.verdict not in ("none", "unknown")]
    return Comparison(
        metric=measured.name,
        unit=measured.unit,
        meaning=measured.meaning,
        by=by,
        before=selection.periods[0],
        after=selection.periods[1],
        total=job.judged(job.compared(None, RESAMPLES)),
        groups=records_of(GroupComparison, compared),
        left_out=left_out,
        mix=tuple(change for name in (None, *different) for change in job.mix(name, without=name and by)),
        mix_checked=tuple(job.described),
    )


@frozen
class _Job:
    """Compares the groups of one metric."""

    sums: MetricSums
    worse: Worse
    seed: int

    @property
    def described(self) -> Mapping[str, PeriodSums]:
        """The columns whose mix can be checked. Rows of other vendors have none of them."""
        return self.sums.columns if self.sums.vendors == ("agora",) else {}

    def groups(self, names: Sequence[str]) -> Iterator[GroupComparison]:
        """Yield the groups. The p-values are corrected for their number."""
        resamples = max(RESAMPLES, _RESAMPLES_A_GROUP * len(names))
        compared = [self.compared(name, resamples) for name in names]
        for one, p_value in zip(compared, holm(one.p_value for one in compared), strict=True):
            yield self.judged(evolve(one, p_value=p_value))

    def compared(self, name: str | None, resamples: int) -> GroupComparison:
        """Return a group without its verdict; None: all calls."""
        entries = self.sums.totals.of_group(name)
        before, after = entries.totals(0), entries.totals(1)
        # A seed for each group, so that the order of the groups does not matter.
        seed = (self.seed, crc32((name or "").encode()))
        found = difference(before, after, seed=seed, resamples=resamples)
        return GroupComparison(
            group=TOTAL if name is None else name,
            **asdict(found),
            calls_before=len(before.measured()),
            calls_after=len(after.measured()),
            users_before=self.sums.users.get((0, name), 0),
            users_after=self.sums.users.get((1, name), 0),
        )

    def judged(self, one: GroupComparison) -> GroupComparison:
        """Return a group with its verdict."""
        if one.p_value is None or one.low is None or one.high is None:
            return one
        if one.low <= 0 <= one.high or one.p_value >= ALPHA:
            return evolve(one, verdict="none")
        side: Literal["higher", "lower"] = "higher" if one.low > 0 else "lower"
        if not self.worse:
            return evolve(one, verdict=side)
        return evolve(one, verdict="worse" if side == self.worse else "better")

    def mix(self, name: str | None, *, without: str | None) -> tuple[MixChange, ...]:
        """Return how the mix of a group changed; None: of all calls."""
        columns = {
            column: entries.of_group(name) for column, entries in self.described.items() if column != without
        }
        return mix_changes(TOTAL if name is None else name, columns, seed=self.seed)


def parse_periods(before: Period, after: Period) -> tuple[Window, Window]:
    """Return the two periods, the end of each excluded.

    Raises:
        InvalidRequest: one is not a period or is empty, or they overlap or are in the wrong order.

    Example:
        >>> first, second = parse_periods("2026-11-01..2026-11-08", ("2026-11-08", "2026-11-15"))
        >>> second.start - first.end
        1
    """
    # One present for both: `14d..7d` ends when `7d..now` begins.
    now = math.floor(time.time())
    first, second = _parse_period("before", before, now), _parse_period("after", after, now)
    if first.intersection(second):
        raise InvalidRequest(
            f"before ends at {iso(first.end + 1)}, and after begins at {iso(second.start)}: the periods overlap; "
            "let the first end when the second begins, or earlier"
        )
    if second < first:
        raise InvalidRequest("before is later than after; exchange the two")
    return first, second


def _parse_period(name: str, period: Period, now: int) -> Window:
    ends = period.split("..") if isinstance(period, str) else period
    if len(ends) != 2 or "" in ends:
        raise InvalidRequest(
            f"{name}={period!r} is not a period; give two times, such as 2026-11-01..2026-11-08 or 14d..7d"
        )
    names = f"the start of {name}", f"the end of {name}"
    since, until = (
        math.floor(epoch_seconds(end, now=now, name=title)) for end, title in zip(ends, names, strict=True)
    )
    return Window.half_open(since, until, names=names)


def _check_by(by: str | None, groups: OwnGroups | None) -> None:
    """Refuse a column that has no groups."""
    if by is None and groups is not None:
        raise InvalidRequest("groups needs by: the column whose values the groups name, such as user_id")
    if by is None or by in GROUP_COLUMNS:
        return
    if by in KEY_COLUMNS:
        if groups is None:
            raise InvalidRequest(
                f"by={by!r} has too many values to compare each; pass groups, which name some of them"
            )
        return
    columns = (*GROUP_COLUMNS, *KEY_COLUMNS)
    advice = did_you_mean(by, columns)
    if by in ("region", "country"):
        advice = (
            f"; no vendor sends the {by} of a user. Name the {by} of each user with groups and by='user_id'"
        )
    raise InvalidRequest(f"cannot compare by {by!r}{advice or '; use one of ' + ', '.join(columns)}")


def _check_vendors(metric: CallMetric, by: str | None, vendors: Sequence[str]) -> None:
    """Refuse rows that cannot be added up, or have no groups."""
    if len(vendors) > 1:
        raise InvalidRequest(
            f"{' and '.join(vendors)} have {metric.source} in these periods, and measure it differently; "
            "choose one with vendor"
        )
    if vendors and vendors[0] != "agora" and by in SESSION_COLUMNS:
        raise InvalidRequest(
            f"{vendors[0]} sends no {by}; compare by channel or app_id, or by user_id or call_id with groups"
        )


def _periods_without_data(selection: Selection, sums: MetricSums | None) -> list[str]:
    """Return the periods without a call that has the metric."""
    return [
        f"{name} ({iso(window.start)} to {iso(window.end + 1)})"
        for period, (name, window) in enumerate(zip(("before", "after"), selection.periods, strict=True))
        if sums is None or not (sums.totals.period == period).any()
    ]


def _no_data(
    store: "ParquetStore | BucketStore", metric: CallMetric, selection: Selection, missing: str
) -> InvalidRequest:
    """Return the error about a period without data, with what the store has instead."""
    stored = stored_metrics(store, selection)
    if not stored:
        return InvalidRequest(
            f"the store has no metrics of calls that began {missing}; harvest these days, or choose others"
        )
    if metric.source in stored:
        return InvalidRequest(f"no call that began {missing} has {metric.source!r}; choose another period")
    names = (*stored, *DERIVED_METRICS)
    advice = "" if metric.source in known_metrics() else did_you_mean(metric.source, names)
    return InvalidRequest(
        f"no call of the two periods has {metric.source!r}{advice or '; they have ' + ', '.join(stored)}"
    )


def _largest(totals: PeriodSums, most: int) -> tuple[list[str], int]:
    """Return the groups with the most calls, the largest first, and the number of the others."""
    calls = Counter(totals.groups[place] for place in totals.group.tolist())
    names = sorted(calls, key=lambda name: (name == NO_GROUP, -calls[name], name))
    return names[:most], len(names[most:])
