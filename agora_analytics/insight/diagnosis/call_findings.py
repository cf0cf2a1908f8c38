"""What was wrong in a call, for all of its users: each cause once, with the users who noticed it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from agora_analytics.insight.diagnosis.attribution import signals_of
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline
from agora_analytics.insight.diagnosis.diagnose_timeline import diagnose_timeline
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.words import cause_in_words
from agora_analytics.scoring.profiles import DEFAULT_PROFILE

if TYPE_CHECKING:
    from agora_analytics.agora.records import Session
    from agora_analytics.core.columns import Series
    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis

MOST_SESSIONS = 60
"""The most sessions of a call whose users are all diagnosed; more would need much memory and time."""


@frozen(kw_only=True)
class CallFinding:
    """One cause, and who noticed it.

    Attributes:
        text: what it is, as a sentence.
        since, until: when, in UTC epoch seconds, for all who noticed it.
        uids: the users who noticed it.
    """

    text: str
    since: float
    until: float
    uids: tuple[str, ...]


@frozen(kw_only=True)
class CallFindings:
    """What was wrong in a call.

    Attributes:
        found: the causes, the one that most users noticed first.
        healthy: the users without a cause.
        unknown: the users without samples.
    """

    found: Sequence[CallFinding] = ()
    healthy: Sequence[str] = field(factory=tuple)
    unknown: Sequence[str] = field(factory=tuple)


def call_findings(sessions: "Sequence[Session]", series: "Iterable[Series]") -> CallFindings:
    """Return what was wrong in a call, with the rules of `diagnose` and the default profile.

    Args:
        sessions: of the call, at most `MOST_SESSIONS`.
        series: their metrics.
    """
    timeline = CallTimeline.of_records(sessions, series)
    signals = signals_of(timeline, DiagnosisLimits.of(DEFAULT_PROFILE))
    diagnoses = [diagnose_timeline(timeline, "", uid, signals=signals) for uid in timeline.uids]
    by_cause: dict[tuple[str, str | None], list[CallDiagnosis]] = {}
    for each in diagnoses:
        if each.since is not None:
            by_cause.setdefault((each.cause, each.party), []).append(each)
    found = [_finding(same) for same in by_cause.values()]
    return CallFindings(
        found=sorted(found, key=lambda each: (-len(each.uids), each.since)),
        healthy=tuple(each.uid for each in diagnoses if each.side == "none"),
        unknown=tuple(each.uid for each in diagnoses if each.side == "unknown"),
    )


def _finding(same: "Sequence[CallDiagnosis]") -> CallFinding:
    words = cause_in_words(same[0].cause, same[0].party)
    return CallFinding(
        text=f"{words[0].upper()}{words[1:]}",
        since=min(each.since for each in same if each.since is not None),
        until=max(each.until for each in same if each.until is not None),
        uids=tuple(each.uid for each in same),
    )
