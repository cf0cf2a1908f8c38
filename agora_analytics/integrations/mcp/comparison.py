"""The tool `compare`: a metric in two periods."""

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.insight.compare_periods import Verdict
from agora_analytics.insight.compare_periods import compare as compare_periods
from agora_analytics.insight.comparison_text import notes
from agora_analytics.instants import iso
from agora_analytics.integrations.mcp.arguments import TIME_TEXT, AppId, Vendor
from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.results import ResultModel, tool_result


class ComparedGroup(ResultModel):
    """One group before and after, in the unit of the metric."""

    group: str
    before: float | None = None
    after: float | None = None
    difference: float | None = Field(default=None, description="after - before.")
    low: float | None = Field(default=None, description="Lower limit of the 95 % interval of the difference.")
    high: float | None = Field(default=None, description="Its upper limit.")
    p_value: float | None = Field(default=None, description="Corrected for the number of groups.")
    verdict: Verdict = Field(
        description="worse or better (higher or lower if neither is known to be worse): more than chance. none: no "
        "difference was found. unknown: too few calls."
    )
    reason: str | None = Field(default=None, description="Why there is no interval.")
    calls_before: int
    calls_after: int
    users_before: int
    users_after: int


class ComparedPeriods(ResultModel):
    """A metric in two periods."""

    metric: str
    unit: str = Field(description="ratio: a share, 0 to 1.")
    meaning: str
    by: str | None = None
    before: str = Field(description="The first period, UTC, without its end.")
    after: str = Field(description="The second period.")
    total: ComparedGroup = Field(description="All calls.")
    groups: list[ComparedGroup] = Field(description="The groups with the most calls first.")
    left_out: int = Field(description="Further groups, which are part of the total only.")
    notes: list[str] = Field(
        description="What to be careful about: changed mixes of users, groups with too few calls."
    )


def compare(
    opened: OpenedStore,
    *,
    metric: Annotated[
        str,
        Field(
            description="video_freeze_rate, audio_freeze_rate, audio_score, video_score, or a metric of the view quality such "
            "as round_trip_time or video_packet_loss_received; schema with table=quality lists them."
        ),
    ],
    before: Annotated[
        str,
        Field(description=f"First period, START..END without its end, such as 14d..7d. Times: {TIME_TEXT}."),
    ],
    after: Annotated[str, Field(description="Second period; it must not overlap with the first.")],
    by: Annotated[
        Literal["sdk_version", "network", "platform", "device_type", "channel", "app_id"] | None,
        Field(description="Compare each group too. The first four: Agora only. Default: only the total."),
    ] = None,
    above: Annotated[
        float | None, Field(description="Compare the share of time in which the metric is above this value.")
    ] = None,
    below: Annotated[float | None, Field(description="The same below this value.")] = None,
    vendor: Vendor = None,
    app_id: AppId = None,
    most_groups: Annotated[int, Field(ge=1, le=50, description="Groups of the result.")] = 20,
) -> Annotated[CallToolResult, ComparedPeriods]:
    """Compare a metric between two periods: did it get worse, for whom, and is that more than chance?

    Use it for "did quality change after the release". Report a difference only if its verdict is not none or unknown, with
    its interval. Units: loss and freezes as a ratio 0 to 1, times in ms.
    Example: {"metric": "video_freeze_rate", "before": "14d..7d", "after": "7d..now", "by": "sdk_version"}
    """
    found = compare_periods(
        opened.store,
        metric,
        before=before,
        after=after,
        by=by,
        above=above,
        below=below,
        vendor=vendor,
        app_id=app_id,
        most_groups=most_groups,
    )
    result = ComparedPeriods(
        **{name: getattr(found, name) for name in ("metric", "unit", "meaning", "by", "left_out")},
        before=f"{iso(found.before.start)}..{iso(found.before.end + 1)}",
        after=f"{iso(found.after.start)}..{iso(found.after.end + 1)}",
        total=_group(found.total.to_dict()),
        groups=[_group(each.to_dict()) for each in found.groups],
        notes=list(notes(found))[2:],
    )
    return tool_result(result, f"All calls: {found.total.verdict}. {len(result.groups)} groups.")


def _group(values: dict[str, object]) -> ComparedGroup:
    rounded = {name: round(each, 6) if isinstance(each, float) else each for name, each in values.items()}
    return ComparedGroup.model_validate(rounded | {"reason": rounded["reason"] or None})
