"""The tool `report`: how good the calls of a time range were."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.insight.quality_report.make_report import report as report_of
from agora_analytics.insight.quality_report.report_records import GroupVerdict, MeasureRate, PanelGroup
from agora_analytics.instants import iso
from agora_analytics.integrations.mcp.arguments import TIME_TEXT, AppId, Profile, Until, Vendor
from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.results import ResultModel, tool_result

_WORST_CALLS = 10


class ShareOfTime(ResultModel):
    """A share with its 95 % interval."""

    measure: str = Field(
        description="freeze, loss or delay: measured time beyond a limit of the profile; users: users of a call with a mean "
        "beyond a limit; calls: calls with such a user."
    )
    rate: float | None = Field(default=None, description="0 to 1.")
    low: float | None = None
    high: float | None = None
    verdict: GroupVerdict | None = Field(
        default=None,
        description="In a group: worse or better than the rest, or none; unknown: too few calls.",
    )


class ReportedGroup(ResultModel):
    """One group of users."""

    group: str
    calls: int
    users: int
    rates: list[ShareOfTime]


class ReportedPanel(ResultModel):
    """Quality by one column."""

    by: str
    groups: list[ReportedGroup] = Field(description="The groups with the most calls first.")


class ReportedCall(ResultModel):
    """One of the worst calls."""

    call_id: str
    channel: str | None = None
    start: str = Field(description="UTC.")
    users: int
    poor_users: int = Field(description="Users with a mean beyond a limit.")
    user_id: str = Field(description="The user with the largest share; pass it to why.")
    shares: dict[str, float] = Field(description="Share of the time beyond a limit, 0 to 1, by measure.")


class CallReport(ResultModel):
    """How good the calls of a time range were."""

    since: str
    until: str
    vendor: str
    profile: str
    summary: list[str] = Field(description="The result in sentences.")
    total: list[ShareOfTime]
    panels: list[ReportedPanel]
    worst_calls: list[ReportedCall]
    days_without_calls: list[str] = Field(description="UTC days of the range without any data.")
    ongoing_calls: int = Field(description="Calls that had not ended when they were stored.")
    calls_without_samples: int


def report(
    opened: OpenedStore,
    *,
    since: Annotated[str, Field(description=f"Start of the time range: {TIME_TEXT}.")],
    until: Until = "now",
    channels: Annotated[list[str] | None, Field(description="Only these channels, exactly as named.")] = None,
    profile: Profile = "agora",
    vendor: Vendor = None,
    app_id: AppId = None,
) -> Annotated[CallToolResult, CallReport]:
    """Report how good the calls of a time range were: in words, by network, platform, SDK version and hour, and the worst calls.

    Use it for "how was last week". A group is worse only if its verdict says so. Use coverage for the days without data.
    Example: {"since": "7d"} or {"since": "2026-11-01", "until": "2026-11-08", "channels": ["standup"]}
    """
    found = report_of(
        opened.store,
        since=since,
        until=until or "now",
        channels=channels or (),
        profile=profile,
        vendor=vendor,
        app_id=app_id,
    )
    result = CallReport(
        since=iso(found.since),
        until=iso(found.until),
        vendor=found.vendor,
        profile=found.profile,
        summary=list(found.summary),
        total=[_share(each) for each in (*found.total.rates, found.poor_users, found.poor_calls)],
        panels=[
            ReportedPanel(by=panel.by, groups=[_group(each) for each in panel.groups])
            for panel in found.panels
            if panel.groups
        ],
        worst_calls=[
            ReportedCall(
                call_id=each.call_id,
                channel=each.channel,
                start=iso(each.start),
                users=each.users,
                poor_users=each.poor_users,
                user_id=each.uid,
                shares={name: round(share, 4) for name, share in each.shares},
            )
            for each in found.worst_calls[:_WORST_CALLS]
        ],
        days_without_calls=list(found.missing.days_without_calls),
        ongoing_calls=found.missing.ongoing.count,
        calls_without_samples=found.missing.without_samples.count,
    )
    return tool_result(result, f"{found.calls:,} calls with {found.users:,} users.")


def _group(found: PanelGroup) -> ReportedGroup:
    rates = [_share(each, is_group=True) for each in found.rates]
    return ReportedGroup(group=found.group, calls=found.calls, users=found.users, rates=rates)


def _share(found: MeasureRate, *, is_group: bool = False) -> ShareOfTime:
    rate, low, high = (
        None if each is None else round(each, 4) for each in (found.rate, found.low, found.high)
    )
    verdict = found.verdict if is_group else None
    return ShareOfTime(measure=found.measure, rate=rate, low=low, high=high, verdict=verdict)
