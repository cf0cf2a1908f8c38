"""The verdict over a call's timeline: the cause that explains the most, if it explains more than healthy calls have."""

import math

import numpy as np

from agora_analytics.insight.diagnosis.attribution import Attribution, Explanation, attribute, signals_of
from agora_analytics.insight.diagnosis.bitrate_signals import BitrateSignals
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds
from agora_analytics.insight.diagnosis.diagnosis import Diagnosis, Evidence, Side
from agora_analytics.insight.diagnosis.evidence import evidence_against, evidence_for
from agora_analytics.insight.diagnosis.limits import Limits
from agora_analytics.insight.diagnosis.rules import CAUSES
from agora_analytics.scoring.profiles import DEFAULT_PROFILE, Profile

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
    signals: BitrateSignals | None = None,
) -> Diagnosis:
    """Return why a user's call was poor.

    Args:
        timeline: of the call.
        call_id: of the call.
        uid: the user who complains; one of `timeline.uids`.
        at: only the minute before and after this time, in UTC epoch seconds; None: the whole call.
        profile: whose limits of loss and delay are applied.
        requests: that the samples took.
        signals: of the timeline with the limits of the profile, if they serve several users; None: computed.

    Raises:
        InvalidRequest: there is no such profile.
    """
    signals = signals_of(timeline, Limits.of(profile)) if signals is None else signals
    attribution = attribute(signals, uid, within=_within(timeline, at))
    chosen = next((each for each in attribution.explanations if each.is_enough), None)
    name = profile if isinstance(profile, str) else profile.name
    if chosen is None and not len(timeline.reports(uid)):
        text = f"no session of {uid} has a sample"
        return Diagnosis(
            call_id=call_id,
            uid=uid,
            side="unknown",
            cause="unknown",
            confidence=0.0,
            evidence=(Evidence(text=text),),
            requests=requests,
            profile=name,
        )
    if chosen is None:
        return Diagnosis(
            call_id=call_id,
            uid=uid,
            side="none",
            cause="none",
            confidence=_confidence_in_none(attribution),
            evidence=(_nothing(attribution), *evidence_against(attribution, None)),
            requests=requests,
            profile=name,
        )
    seconds = np.flatnonzero(chosen.seconds)
    side: Side = "server" if chosen.party is None else "receiver" if chosen.party == uid else "sender"
    return Diagnosis(
        call_id=call_id,
        uid=uid,
        side=side,
        cause=chosen.cause,
        party=chosen.party,
        confidence=_confidence(attribution, chosen),
        since=float(timeline.start + seconds[0]),
        until=float(timeline.start + seconds[-1] + 1),
        evidence=(*evidence_for(attribution, chosen), *evidence_against(attribution, chosen)),
        requests=requests,
        profile=name,
    )


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


def _confidence(attribution: Attribution, chosen: Explanation) -> float:
    """Return the share that the cause explains of all that is explained, reduced if it is little more than the least."""
    others = max(
        (each.weight for each in attribution.explanations if each is not chosen and each.is_enough),
        default=0.0,
    )
    excess = chosen.weight / CAUSES[chosen.cause].least - 1
    return round(chosen.weight / (chosen.weight + others) * (1 - 0.5 * math.exp(-excess)), 2)


def _confidence_in_none(attribution: Attribution) -> float:
    nearest = max((each.weight / CAUSES[each.cause].least for each in attribution.explanations), default=0.0)
    return round(1 - 0.5 * min(nearest, 1.0), 2)
