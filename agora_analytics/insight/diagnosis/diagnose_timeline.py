"""The verdict over a call's timeline: the cause that explains the most, if it explains more than healthy calls have."""

import math

import numpy as np

from agora_analytics.insight.diagnosis.attribution import Attribution, Explanation, attribute, signals_of
from agora_analytics.insight.diagnosis.bitrate_signals import BitrateSignals
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds
from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis, Evidence, Side
from agora_analytics.insight.diagnosis.evidence import evidence_against, evidence_for
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.moving import around, runs
from agora_analytics.insight.diagnosis.rules import CAUSES
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, Profile

_APART = 60  # s between two parts of one cause
AROUND = 60
"""Seconds before and after the time of a complaint that a diagnosis looks at."""


def diagnose_timeline(
    timeline: CallTimeline,
    call_id: str,
    uid: str,
    *,
    at: float | None = None,
    profile: str | Profile = DEFAULT_PROFILE,
    requests: int = 0,
    omitted: int = 0,
    signals: BitrateSignals | None = None,
) -> CallDiagnosis:
    """Return why a user's call was poor.

    Args:
        timeline: of the call.
        call_id: of the call.
        uid: the user who complains; one of `timeline.uids`.
        at: only the minute before and after this time, in UTC epoch seconds; None: the whole call.
        profile: whose limits of loss and delay are applied.
        requests: that the samples took.
        omitted: sessions of the call without their samples.
        signals: of the timeline with the limits of the profile, if they serve several users; None: computed.

    Raises:
        InvalidRequest: there is no such profile.
    """
    signals = signals_of(timeline, DiagnosisLimits.of(profile)) if signals is None else signals
    attribution = attribute(signals, uid, within=_within(timeline, at))
    chosen = next((each for each in attribution.explanations if each.is_enough), None)
    side, evidence = _verdict(attribution, chosen)
    if omitted:
        text = f"the samples of {omitted} sessions were not read"
        evidence = (*evidence, Evidence(speaks="against", text=text))
    since, until = (None, None) if chosen is None else _when(timeline, chosen)
    return CallDiagnosis(
        call_id=call_id,
        uid=uid,
        side=side,
        cause=chosen.cause if chosen is not None else "unknown" if side == "unknown" else "none",
        party=None if chosen is None else chosen.party,
        confidence=_confidence(attribution, chosen) if side != "unknown" else 0.0,
        since=since,
        until=until,
        evidence=evidence,
        requests=requests,
        profile=profile if isinstance(profile, str) else profile.name,
    )


def _when(timeline: CallTimeline, chosen: Explanation) -> tuple[float, float]:
    """Return when a cause acted: from the first to the last of its seconds that belong together with those that count."""
    parts = [
        (first, last)
        for first, last in runs(around(chosen.seconds, _APART // 2))
        if (chosen.seconds & chosen.counted)[first:last].any()
    ]
    seconds = np.flatnonzero(chosen.seconds[parts[0][0] : parts[-1][1]]) + parts[0][0]
    return float(timeline.start + seconds[0]), float(timeline.start + seconds[-1] + 1)


def _verdict(attribution: Attribution, chosen: Explanation | None) -> tuple[Side, tuple[Evidence, ...]]:
    """Return whose side it was, and the evidence."""
    against = evidence_against(attribution, chosen)
    if chosen is not None:
        evidence = (*evidence_for(attribution, chosen), *against)
        return _side(chosen, attribution.uid), evidence
    if not len(attribution.timeline.reports(attribution.uid)):
        return "unknown", (Evidence(text=f"no session of {attribution.uid} has a sample"),)
    return "none", (_nothing(attribution), *against)


def _side(chosen: Explanation, uid: str) -> Side:
    if chosen.party is None:
        return "server"
    return "receiver" if chosen.party == uid else "sender"


def _within(timeline: CallTimeline, at: float | None) -> Seconds | None:
    if at is None:
        return None
    seconds = np.zeros(timeline.seconds, dtype=np.bool_)
    middle = int(at) - timeline.start
    seconds[max(0, middle - AROUND) : max(0, middle + AROUND + 1)] = True
    return seconds


def _nothing(attribution: Attribution) -> Evidence:
    poor = int(attribution.poor.sum())
    return Evidence(
        text=f"{poor} s of the received media were poor, and no cause explains more than healthy calls have"
    )


def _confidence(attribution: Attribution, chosen: Explanation | None) -> float:
    """Return the share that the cause explains of all that is explained, reduced if it is little more than the least.

    For no cause: less, the nearer any cause is to the least.
    """
    if chosen is None:
        nearest = max(
            (each.weight / CAUSES[each.cause].least for each in attribution.explanations), default=0.0
        )
        return round(1 - 0.5 * min(nearest, 1.0), 2)
    others = max(
        (each.weight for each in attribution.explanations if each is not chosen and each.is_enough),
        default=0.0,
    )
    excess = chosen.weight / CAUSES[chosen.cause].least - 1
    return round(chosen.weight / (chosen.weight + others) * (1 - 0.5 * math.exp(-excess)), 2)
