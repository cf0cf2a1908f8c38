"""The diagnosis of a call from tables of its sessions and samples."""

from typing import TYPE_CHECKING

from agora_analytics.insight.diagnosis.call_timeline import CallTimeline
from agora_analytics.insight.diagnosis.diagnose_timeline import diagnose_timeline
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis


def diagnose_samples(
    sessions: "pa.Table",
    metrics: "pa.Table",
    uid: str,
    *,
    call_id: str = "",
    at: float | None = None,
    profile: str | Profile = DEFAULT_PROFILE,
) -> "CallDiagnosis":
    """Return why a user's call was poor, from tables with the columns of the store's `sessions` and `metrics`.

    The arguments are those of `diagnose_timeline`. All rows must be of one call.
    """
    timeline = CallTimeline.of(sessions, metrics)
    return diagnose_timeline(timeline, call_id, uid, at=at, profile=profile)
