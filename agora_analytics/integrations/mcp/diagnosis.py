"""The tool `why`: why a user's call was poor."""

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight.diagnosis.diagnose import diagnose
from agora_analytics.insight.diagnosis.diagnosis import Side
from agora_analytics.insight.diagnosis.rules import Cause
from agora_analytics.insight.diagnosis.words import verdict
from agora_analytics.integrations.mcp.arguments import TIME_TEXT, CallId, Profile, UserId
from agora_analytics.integrations.mcp.opened_store import OpenedStore, equals
from agora_analytics.integrations.mcp.results import ResultModel, tool_result


class Fact(ResultModel):
    """One fact for or against the cause."""

    speaks: Literal["for", "against"]
    text: str
    metric: str | None = None
    unit: str | None = None
    user: str | None = Field(default=None, description="User id whose device measured it.")
    peer: str | None = Field(
        default=None, description="User id whose stream was measured; absent: the own one."
    )
    during: float | None = Field(default=None, description="Mean while the cause acted.")
    otherwise: float | None = Field(default=None, description="Mean in the rest of the call.")
    limit: float | None = Field(default=None, description="Limit that the rule applies.")


class CallVerdict(ResultModel):
    """Why a user's call was poor."""

    verdict: str = Field(description="The answer as a sentence.")
    side: Side = Field(
        description="receiver: the own device or network of the user who complains, in both directions; sender: of another "
        "participant; server: between servers; none: nothing that a person would notice; unknown: not enough data."
    )
    cause: Cause
    party: str | None = Field(default=None, description="User id at fault.")
    confidence: float = Field(description="0 to 1. State it with the cause.")
    begin: str | None = Field(default=None, alias="from", description="UTC.")
    end: str | None = Field(default=None, alias="to", description="UTC.")
    evidence: list[Fact]
    profile: str = Field(description="Whose published limits were applied.")


def why(
    opened: OpenedStore,
    *,
    call_id: CallId,
    user: UserId,
    at: Annotated[
        str | None,
        Field(
            description=f"When the user complained; only the minute before and after counts: {TIME_TEXT}. Default: the whole call."
        ),
    ] = None,
    profile: Profile = "agora",
) -> Annotated[CallToolResult, CallVerdict]:
    """Say why one user's call was poor: whose side it was, the cause, from when to when, and the evidence.

    Use it for complaints: find the call with list_calls and the user with list_users first. "none" and "unknown" are answers;
    do not replace them by a guess. Agora only.
    Example: {"call_id": "5ca4f3b1d2e8", "user": "42", "at": "2026-11-20T14:05:00Z"}
    """
    if not opened.rows(f"SELECT 1 FROM calls WHERE {equals('call_id', call_id)}"):
        raise InvalidRequest(
            "the store has no such Agora call; find call ids with list_calls. Calls of other vendors cannot be diagnosed, "
            "because they send no samples of all participants; use score and sql for them"
        )
    found = diagnose(opened.store, call_id, user, at=at, profile=profile)
    values = found.to_dict()
    facts = [{name: value for name, value in each.items() if name != "chart"} for each in values["evidence"]]
    result = CallVerdict(
        **{name: values[name] for name in ("side", "cause", "party", "from", "to")},
        verdict=verdict(found),
        confidence=round(found.confidence, 3),
        evidence=[Fact(**each) for each in facts],
        profile=found.profile,
    )
    return tool_result(
        result, f"Side: {found.side}; cause: {found.cause}; confidence {found.confidence:.2f}."
    )
