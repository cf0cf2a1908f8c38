"""The result of a diagnosis: whose side it was, what, since when, and the evidence."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import asdict, field, frozen

from agora_analytics.insight.diagnosis.rules import Cause
from agora_analytics.instants import iso

Side = Literal["sender", "receiver", "server", "none", "unknown"]
"""Whose side a cause is on. `receiver`: the device or network of the user who complains, in both directions; `sender`: of
another user; `server`: between servers, for several users at once."""


@frozen(kw_only=True)
class Evidence:
    """One fact for or against a diagnosis.

    Attributes:
        speaks: `for` or `against`.
        text: the fact in words.
        metric: the vendor's metric that it is about; None: no single one.
        unit: of its values.
        user: the uid whose device measured it.
        peer: the uid whose stream was measured; None: the own one.
        during: the mean while the cause acted.
        otherwise: the mean in the rest of the call; None: the cause acted all the time.
        limit: the limit that the rule applies; None: none.
        chart: the means of equal intervals of the whole call; None where there is no sample.
    """

    speaks: Literal["for", "against"] = "for"
    text: str
    metric: str | None = None
    unit: str | None = None
    user: str | None = None
    peer: str | None = None
    during: float | None = None
    otherwise: float | None = None
    limit: float | None = None
    chart: tuple[float | None, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are known, for JSON."""
        return asdict(self, filter=lambda _, value: value is not None and value != ())


@frozen(kw_only=True)
class CallDiagnosis:
    """Why a user's call was poor.

    Attributes:
        call_id, uid: the call, and the user who complains.
        side: whose side it was.
        cause: what it was; `none`: nothing that a person would notice; `unknown`: there is not enough data.
        party: the uid at fault; None for `server`, `none` and `unknown`.
        confidence: from 0 to 1; docs/diagnosis.md has how often diagnoses of each confidence are right.
        since: when it began, in UTC epoch seconds; None for `none` and `unknown`.
        until: when it ended.
        evidence: what speaks for it and against it.
        requests: the requests that the diagnosis took, in total.
        profile: the name of the threshold profile.

    Example:
        >>> CallDiagnosis(call_id="c", uid="7", side="none", cause="none", confidence=0.9).to_dict()["from"] is None
        True
    """

    call_id: str
    uid: str
    side: Side
    cause: Cause
    party: str | None = None
    confidence: float
    since: float | None = None
    until: float | None = None
    evidence: Sequence[Evidence] = ()
    requests: int = 0
    profile: str = "agora"

    def to_dict(self) -> Mapping[str, Any]:
        """Return the JSON object of `agora-analytics why --format json`. Times are ISO 8601 in UTC."""
        return {
            "side": self.side,
            "cause": self.cause,
            "party": self.party,
            "confidence": self.confidence,
            "from": None if self.since is None else iso(self.since),
            "to": None if self.until is None else iso(self.until),
            "evidence": [each.to_dict() for each in self.evidence],
            "requests": self.requests,
        }
