"""The result of a report: its numbers as records, which become a page or JSON."""

from typing import Literal

from attrs import field, frozen

from agora_analytics.core.record import Record

GroupVerdict = Literal["worse", "better", "none", "unknown"]


@frozen(kw_only=True)
class MeasureRate(Record):
    """A share of time or of users, with its 95 % interval.

    Attributes:
        measure: `freeze`, `loss` or `delay` (measured time beyond a limit), `users` (users of a call with a mean beyond a
            limit), or `calls` (calls with such a user).
        calls: the number of calls that have the measure.
        rate: the share, 0 to 1; None if nothing was measured.
        low: lower limit of the interval; None if there are fewer than 20 calls.
        high: its upper limit.
        difference: in a group, the rate minus that of all other users; None without both.
        difference_low: lower limit of the interval of the difference; None if there are too few calls.
        difference_high: its upper limit.
        p_value: of the difference, corrected for all comparisons of the report; None without an interval.
        verdict: `worse` or `better` than the rest if the interval excludes zero and the corrected p-value is below 0.05;
            `none` if no difference was found; `unknown` if there are too few calls.
    """

    measure: str
    calls: int
    rate: float | None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    verdict: GroupVerdict = "unknown"


@frozen(kw_only=True)
class MediaScore(Record):
    """The scores of received audio or video, 1 to 4.5.

    Attributes:
        media: `audio` or `video`.
        mean: the mean over the scored time; None if no interval has all inputs.
        worst_window: the lowest mean of 30 s of one stream; None likewise.
    """

    media: str
    mean: float | None
    worst_window: float | None


@frozen(kw_only=True)
class PanelGroup(Record):
    """One group of a panel, or all users.

    Attributes:
        group: the value of the column, such as `WiFi`; `(unknown)` for rows without one.
        calls: the number of calls.
        users: the number of users, counted once for each app.
        rates: one for each measure of the report.
        scores: one for each medium with scores.
    """

    group: str
    calls: int
    users: int
    rates: tuple[MeasureRate, ...]
    scores: tuple[MediaScore, ...] = ()

    def rate(self, measure: str) -> MeasureRate | None:
        """Return the rate of a measure; None if the report has no data for it."""
        return next((each for each in self.rates if each.measure == measure), None)


@frozen(kw_only=True)
class ReportPanel(Record):
    """Quality by the values of one column.

    Attributes:
        by: `network`, `platform`, `sdk_version`, `region` or `hour_of_day` (UTC).
        groups: the groups with the most calls first; hours in the order of time.
        left_out: further groups, which are part of the rest only.
        reason: why the panel has no data; empty if it has.
    """

    by: str
    groups: tuple[PanelGroup, ...] = ()
    left_out: int = 0
    reason: str = ""


@frozen(kw_only=True)
class TimeInterval(Record):
    """One interval of the charts over time. `start` and `end` are UTC epoch seconds."""

    start: int
    end: int
    calls: int
    users: int
    rates: tuple[MeasureRate, ...]


@frozen(kw_only=True)
class ReportChange(Record):
    """How a share changed against the period before, as long and directly before.

    Attributes:
        measure: as in `MeasureRate`.
        before: the share before, 0 to 1; None if nothing was measured.
        after: the share in the period of the report.
        difference: `after` - `before`.
        low: lower limit of its 95 % interval; None if there are too few calls.
        high: its upper limit.
        verdict: `worse`, `better`, `none` or `unknown`, as in `MeasureRate`. The p-values are corrected for all measures.
    """

    measure: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: GroupVerdict


@frozen(kw_only=True)
class WorstCall(Record):
    """One call with a large share of time beyond a limit.

    Attributes:
        vendor, call_id, channel: which call, of the app with the id `app_id`.
        start: when it began, UTC epoch seconds; for OpenTok, the first hour with data.
        end: when it ended; None for OpenTok.
        finished: False if it was ongoing when it was stored.
        users: the number of users with data.
        poor_users: those with a mean beyond a limit.
        uid: the user with the largest share of time beyond a limit.
        shares: the share of each measure, 0 to 1, as pairs.
        scores: one for each medium with scores.
    """

    vendor: str
    app_id: str
    call_id: str
    channel: str | None
    start: int
    end: int | None
    finished: bool
    users: int
    poor_users: int
    uid: str
    shares: tuple[tuple[str, float], ...]
    scores: tuple[MediaScore, ...] = ()


@frozen(kw_only=True)
class NamedCalls(Record):
    """Some calls: how many, and the ids of the first."""

    count: int = 0
    named: tuple[str, ...] = ()


@frozen(kw_only=True)
class MissingData(Record):
    """What the numbers of a report leave out.

    Attributes:
        days_without_calls: the UTC days of the period without any data.
        days_before_without_calls: those of the period before, if the store has calls of it.
        ongoing: calls that were ongoing when they were stored.
        without_samples: calls that began in the period and have no sample of a measured metric.
        without_measure: the number of calls without samples of a measure, as pairs.
        pending_days: days whose harvest is not complete. Unknown, and empty, if channels are selected.
        vendors_without_calls: vendors that send totals of all calls only. Empty if channels are selected.
    """

    days_without_calls: tuple[str, ...] = ()
    days_before_without_calls: tuple[str, ...] = ()
    ongoing: NamedCalls = NamedCalls()
    without_samples: NamedCalls = NamedCalls()
    without_measure: tuple[tuple[str, int], ...] = ()
    pending_days: tuple[str, ...] = ()
    vendors_without_calls: tuple[str, ...] = ()


@frozen(kw_only=True)
class ReportLimit(Record):
    """One limit of the profile.

    Attributes:
        metric: the metric.
        limit: the limit in words.
        measure: the measure that counts it; None if the report does not evaluate it.
        note: how it is applied, or why it is not evaluated.
    """

    metric: str
    limit: str
    measure: str | None
    note: str = ""


@frozen(kw_only=True)
class QualityReport(Record):
    """The result of `report`. `to_html()` returns the page.

    Attributes:
        since: the beginning of the first hour, UTC epoch seconds.
        until: the end of the last hour.
        profile: the name of the threshold profile.
        source: where its limits were published.
        vendor: the vendor of the calls.
        channels: the selected channels; empty: all.
        calls: the number of calls with data.
        users: the number of users, counted once for each app.
        summary: the result in sentences.
        poor_users: the share of the users of a call with a mean beyond a limit.
        poor_calls: the share of the calls with such a user.
        total: the rates of all users.
        changes: against the period before; empty if the store has no calls of it.
        calls_before: the number of calls of the period before.
        over_time: the rates in intervals of hours or days.
        panels: the rates by group.
        comparisons: the number of comparisons that the p-values of the panels are corrected for.
        worst_calls: at most 20, the worst first.
        missing: what the numbers leave out.
        limits: the limits of the profile.
    """

    since: int
    until: int
    profile: str
    source: str
    vendor: str
    channels: tuple[str, ...] = ()
    calls: int
    users: int
    summary: tuple[str, ...] = ()
    poor_users: MeasureRate
    poor_calls: MeasureRate
    total: PanelGroup
    changes: tuple[ReportChange, ...] = ()
    calls_before: int = 0
    over_time: tuple[TimeInterval, ...] = ()
    panels: tuple[ReportPanel, ...] = ()
    comparisons: int = 0
    worst_calls: tuple[WorstCall, ...] = ()
    missing: MissingData = field(factory=MissingData)
    limits: tuple[ReportLimit, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures with data."""
        return tuple(each.measure for each in self.total.rates)

    def to_html(self) -> str:
        """Return the report as one HTML file with charts, which loads nothing.

        Raises:
            ModuleNotFoundError: the extra `[insight]` is not installed.
        """
        from agora_analytics.insight.pages.report_page import report_page

        return report_page(self)
