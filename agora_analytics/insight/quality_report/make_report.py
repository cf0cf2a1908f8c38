"""Makes the report of a store: reads the roll-ups once, adds them up, and compares groups and periods."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.comparison import LEVEL, difference, holm
from agora_analytics.insight.quality_report.group_differences import (
    CallBootstrap,
    GroupDifference,
    GroupSums,
    WilsonEstimate,
)
from agora_analytics.insight.quality_report.panels import MeasuredLimits
from agora_analytics.insight.quality_report.report_limits import report_limits
from agora_analytics.insight.quality_report.report_missing import missing_data
from agora_analytics.insight.quality_report.report_records import (
    GroupVerdict,
    MeasureRate,
    MediaScore,
    PanelGroup,
    QualityReport,
    ReportChange,
    ReportPanel,
    TimeInterval,
    WorstCall,
)
from agora_analytics.insight.quality_report.report_rows import (
    GROUPS,
    UNKNOWN,
    GroupCount,
    ReportRows,
    bin_seconds,
)
from agora_analytics.insight.quality_report.report_selection import ReportSelection
from agora_analytics.insight.quality_report.report_text import summary
from agora_analytics.instants import Instant
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, PROFILES
from agora_analytics.store.stream import reader

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

SEED = 20_261_130
MOST_GROUPS = 12
"""A panel shows the groups with the most calls; the others are part of the rest only."""
MOST_INTERVALS = 60
_CALLS_EACH = 30
"""Fewer calls in an interval of a chart would often leave it without a band."""
ALPHA = 1 - LEVEL
_ALL = "'all'"
_NO_REGION = (
    "No vendor sends the region of a user, so the store has none. `compare` can use groups of your own."
)


def report(
    store: "ParquetStore | BucketStore",
    *,
    since: Instant,
    until: Instant = "now",
    channels: Sequence[str] = (),
    profile: str = DEFAULT_PROFILE,
    vendor: str | None = None,
    app_id: str | None = None,
    seed: int = SEED,
) -> QualityReport:
    """Report how good the stored calls of a time range were: in words, over time, by group, and the worst calls.

    The rates are shares of measured time beyond the limits of a profile, from the roll-ups of the store. Intervals are from
    a bootstrap over calls. A group is called worse or better than the rest only if its interval says so, corrected for all
    groups of the report. The page "Report" of the documentation has the definitions.

    Args:
        store: the store.
        since: start of the time range, as for `harvest`, in UTC. The report has the whole hours that contain the range.
        until: end of the time range, excluded.
        channels: only these channels, exactly as they are named. Nothing of other channels is in the report.
        profile: the name of a threshold profile, such as `agora` or `teams-cqd`.
        vendor: `agora` or `opentok`, if the store has calls of both.
        app_id: only this app.
        seed: of the bootstrap. The same store, range and seed give the same report.

    Raises:
        InvalidRequest: an argument is wrong, or the store has no calls in the range.
        StoreError: the store cannot be read.

    Example::

        from pathlib import Path

        from agora_analytics import open_store
        from agora_analytics.insight import report

        week = report(open_store("calls.store"), since="7d")
        print("\\n".join(week.summary))
        Path("week.html").write_text(week.to_html(), encoding="utf-8")
    """
    if seed < 0:
        raise InvalidRequest(f"seed={seed} is negative; give 0 or more")
    limits = MeasuredLimits.of(profile)
    selection = ReportSelection.of(
        since, until, now=time.time(), channels=channels, vendor=vendor, app_id=app_id
    )
    fetch = reader(store)
    with closing(ReportRows(fetch, selection, limits)) as rows:
        _check_vendors(rows)
        if not rows.calls:
            raise _no_calls(store, rows)
        found = _ReportParts(rows, seed).report()
        earlier = evolve(selection, vendor=found.vendor).before
        with closing(ReportRows(fetch, earlier, limits, with_scores=False)) as before:
            days_before = before.days_without_calls() if before.calls else ()
            found = evolve(
                found,
                changes=tuple(_changes(before, rows, found.measures, seed)),
                calls_before=before.calls,
                missing=evolve(missing_data(store, rows), days_before_without_calls=days_before),
                limits=tuple(report_limits(limits, rows)),
            )
    return evolve(found, summary=tuple(summary(found)))


class _ReportParts:
    """The parts of a report about one period."""

    def __init__(self, rows: ReportRows, seed: int) -> None:
        self.rows = rows
        self.measures = rows.measures
        self.bootstrap = CallBootstrap(rows.calls, seed)

    def report(self) -> QualityReport:
        rows = self.rows
        panels, comparisons = self._panels()
        poor_users, poor_calls = self._poor()
        (total,) = self._groups(
            _ALL, [GroupCount(group="all", calls=rows.calls, users=rows.users)], self._rates(_ALL, ["all"])
        )
        selection = rows.selection
        return QualityReport(
            since=selection.start,
            until=selection.end,
            profile=rows.limits.profile,
            source=PROFILES[rows.limits.profile].source,
            vendor=rows.vendors[0],
            channels=selection.channels,
            calls=rows.calls,
            users=rows.users,
            poor_users=poor_users,
            poor_calls=poor_calls,
            total=total,
            over_time=tuple(self._over_time()),
            panels=panels,
            comparisons=comparisons,
            worst_calls=tuple(map(_worst_call, rows.worst_calls())),
        )

    def _poor(self) -> tuple[MeasureRate, MeasureRate]:
        users = self.rows.poor_users()
        calls = np.arange(len(users))
        one = GroupSums(calls, np.zeros_like(calls), users.numerator, users.denominator)
        (found,) = self.bootstrap.rates(one, 1)
        share = float((users.numerator > 0).mean())
        low, high = WilsonEstimate(share, len(users)).limits(ALPHA)
        return _rate("users", found), MeasureRate(
            measure="calls", calls=len(users), rate=share, low=low, high=high
        )

    def _over_time(self) -> Iterator[TimeInterval]:
        selection = self.rows.selection
        length = bin_seconds(selection, self.rows.calls, most=MOST_INTERVALS, calls_each=_CALLS_EACH)
        group = f"(epoch(hour)::BIGINT // {length} * {length})"
        counts = sorted(self.rows.counts(group), key=lambda each: int(each.group))
        # A wide interval of each hour with a rate of 0 would hide the line.
        rates = self._rates(group, [each.group for each in counts], only_bootstrap=True)
        for place, found in enumerate(counts):
            start = int(found.group)
            yield TimeInterval(
                start=max(start, selection.start),
                end=min(start + length, selection.end),
                calls=found.calls,
                users=found.users,
                rates=tuple(_rate(measure, rates[measure][place]) for measure in self.measures),
            )

    def _rates(
        self, group: str, names: Sequence[Any], *, only_bootstrap: bool = False
    ) -> Mapping[str, list[GroupDifference]]:
        sums = {measure: self.rows.sums(measure, group, names) for measure in self.measures}
        return {
            measure: self.bootstrap.rates(each, len(names), only_bootstrap=only_bootstrap)
            for measure, each in sums.items()
        }

    def _panels(self) -> tuple[tuple[ReportPanel, ...], int]:
        """Return the panels, and the number of comparisons. All groups are compared together."""
        counts = {by: self._counted(by) for by in GROUPS}
        jobs = [
            (by, measure, self.rows.sums(measure, GROUPS[by], names), len(names))
            for by, (chosen, _) in counts.items()
            if (names := [each.group for each in chosen])
            for measure in self.measures
        ]
        compared = self.bootstrap.differences([(sums, groups) for *_, sums, groups in jobs])
        corrected = iter(holm(each.p_value for found in compared for each in found))
        rates = {
            (by, measure): [_judged(measure, each, next(corrected)) for each in found]
            for (by, measure, *_), found in zip(jobs, compared, strict=True)
        }
        panels = [self._panel(by, *counts[by], rates) for by in GROUPS]
        panels.insert(len(panels) - 1, ReportPanel(by="region", reason=_NO_REGION))
        return tuple(panels), sum(each.p_value is not None for found in compared for each in found)

    def _counted(self, by: str) -> tuple[list[GroupCount], int]:
        """Return the groups of a panel, and how many are left out; none if the vendor sends no values."""
        counts = self.rows.counts(GROUPS[by])
        if by == "hour_of_day":
            return sorted(counts, key=lambda each: each.group), 0
        if [each.group for each in counts] == [UNKNOWN]:
            return [], 0
        return counts[:MOST_GROUPS], max(0, len(counts) - MOST_GROUPS)

    def _panel(
        self,
        by: str,
        counts: Sequence[GroupCount],
        left_out: int,
        rates: Mapping[tuple[str, str], list[MeasureRate]],
    ) -> ReportPanel:
        if not counts:
            return ReportPanel(by=by, reason=f"The data of {self.rows.vendors[0]} has no such column.")
        by_measure = {measure: rates[by, measure] for measure in self.measures}
        return ReportPanel(
            by=by, groups=tuple(self._groups(GROUPS[by], counts, by_measure)), left_out=left_out
        )

    def _groups(
        self,
        group: str,
        counts: Sequence[GroupCount],
        rates: "Mapping[str, list[MeasureRate]] | Mapping[str, list[GroupDifference]]",
    ) -> Iterator[PanelGroup]:
        scores = self.rows.scores(group)
        for place, found in enumerate(counts):
            each = (rates[measure][place] for measure in self.measures)
            yield PanelGroup(
                group=found.group,
                calls=found.calls,
                users=found.users,
                rates=tuple(
                    rate if isinstance(rate, MeasureRate) else _rate(measure, rate)
                    for measure, rate in zip(self.measures, each, strict=True)
                ),
                scores=tuple(
                    MediaScore(media=media, mean=scores[found.group, media][0], worst_window=scores[found.group, media][1])
                    for media in ("audio", "video")
                    if (found.group, media) in scores
                ),
            )  # fmt: skip


def _rate(measure: str, found: GroupDifference) -> MeasureRate:
    return MeasureRate(measure=measure, calls=found.calls, rate=found.rate, low=found.low, high=found.high)


def _judged(measure: str, found: GroupDifference, p_value: float | None) -> MeasureRate:
    """Return the rate of a group with its verdict; `p_value` is corrected."""
    return evolve(
        _rate(measure, found),
        difference=found.difference,
        difference_low=found.difference_low,
        difference_high=found.difference_high,
        p_value=p_value,
        verdict=_verdict(found.difference_low, found.difference_high, p_value),
    )


def _verdict(low: float | None, high: float | None, p_value: float | None) -> GroupVerdict:
    if low is None or high is None or p_value is None:
        return "unknown"
    if low <= 0 <= high or p_value >= ALPHA:
        return "none"
    return "worse" if low > 0 else "better"


def _changes(
    before: ReportRows, after: ReportRows, measures: Sequence[str], seed: int
) -> Iterator[ReportChange]:
    """Yield the changes against the period before; nothing if the store has no calls of it."""
    if not before.calls:
        return
    pairs = {"users": (before.poor_users(), after.poor_users())}
    pairs |= {measure: (before.call_sums(measure), after.call_sums(measure)) for measure in measures}
    found = {name: difference(*pair, seed=(seed, place)) for place, (name, pair) in enumerate(pairs.items())}
    for (name, each), p_value in zip(
        found.items(), holm(each.p_value for each in found.values()), strict=True
    ):
        yield ReportChange(
            measure=name,
            before=each.before,
            after=each.after,
            difference=each.difference,
            low=each.low,
            high=each.high,
            verdict=_verdict(each.low, each.high, p_value),
        )


def _worst_call(row: Mapping[str, Any]) -> WorstCall:
    return WorstCall(
        vendor=row["vendor"],
        app_id=row["app_id"],
        call_id=row["call_id"],
        channel=row["channel"],
        start=row["start"],
        end=row["end"],
        finished=row["finished"],
        users=row["users"],
        poor_users=row["poor_users"],
        uid=row["uid"],
        shares=tuple(sorted(row["shares"].items())),
        scores=tuple(
            MediaScore(media=media, mean=each["score"], worst_window=each["low"])
            for media, each in sorted((row["scores"] or {}).items())
        ),
    )


def _check_vendors(rows: ReportRows) -> None:
    """Refuse rows that cannot be added up."""
    if len(vendors := rows.vendors) > 1:
        raise InvalidRequest(
            f"{' and '.join(vendors)} have calls in this time range, and measure them differently; choose one with vendor"
        )


def _no_calls(store: "ParquetStore | BucketStore", rows: ReportRows) -> InvalidRequest:
    """Return the error about a range without calls, with what the store has instead."""
    selection = rows.selection
    of = f" of the channels {', '.join(map(repr, selection.channels))}" if selection.channels else ""
    missing = (
        f"the store has no samples{of} with a limit of the profile {rows.limits.profile} in {selection.text}"
    )
    if selection.channels:
        return InvalidRequest(f"{missing}; check the names of the channels, which are compared exactly")
    if vendors := rows.vendors_without_calls():
        return InvalidRequest(
            f"{missing}; {' and '.join(vendors)} sends totals of all users, without calls, which a report cannot count. "
            "Query the view quality with `agora-analytics sql`"
        )
    days = sorted({str(day) for day in store.completeness()["day"].to_pylist()})
    stored = f"the store has days from {days[0]} to {days[-1]}" if days else "the store is empty"
    return InvalidRequest(f"{missing}; {stored}")
