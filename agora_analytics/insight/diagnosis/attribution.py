"""Which cause explains how many seconds of a user's call."""

import numpy as np
from attrs import define, field

from agora_analytics.insight.diagnosis.bitrate_signals import BitrateSignals
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds, Stay
from agora_analytics.insight.diagnosis.device_signals import DeviceSignals
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.network_signals import NetworkSignals
from agora_analytics.insight.diagnosis.rules import ALWAYS, CAUSES, RECEIVED, SENT, Cause, Rule
from agora_analytics.insight.diagnosis.symptoms import Symptom, Symptoms

_FAILED = 12  # s, the longest session of a failed attempt to join
_AT_ONCE = 8  # s that a failed attempt counts more than its length


@define(eq=False)
class Explanation:
    """One cause of one party.

    Attributes:
        cause: what.
        party: the uid at fault; None for the servers.
        seconds: when it explains what the user noticed, in the whole call.
        counted: those of them that count.
        senders: the users of whose streams it explains symptoms.
        extra: seconds that count in addition.
    """

    cause: Cause
    party: str | None
    seconds: Seconds
    counted: Seconds
    senders: list[str] = field(factory=list)
    extra: float = 0.0

    @property
    def weight(self) -> float:
        """The seconds that a person notices."""
        noticed = float((self.seconds & self.counted).sum())
        return noticed * CAUSES[self.cause].weight + (self.extra if noticed else 0.0)

    @property
    def is_enough(self) -> bool:
        """Whether it explains more than healthy calls have."""
        return self.weight >= CAUSES[self.cause].least


@define(eq=False)
class Attribution:
    """What explains a user's call.

    Attributes:
        poor: the seconds in which a received stream is poor, explained or not.
        explanations: all causes that explain a second, the one with the most first.
    """

    timeline: CallTimeline
    signals: BitrateSignals
    uid: str
    poor: Seconds
    explanations: list[Explanation]

    @property
    def unexplained(self) -> int:
        """The poor seconds without an explanation."""
        left = self.poor.copy()
        for each in self.explanations:
            left &= ~each.seconds
        return int(left.sum())


def signals_of(timeline: CallTimeline, limits: DiagnosisLimits) -> BitrateSignals:
    """Return the signals of a call. They compute each result once, so one object serves all users of a call."""
    return BitrateSignals(DeviceSignals(NetworkSignals(timeline, limits)))


def attribute(signals: BitrateSignals, uid: str, *, within: Seconds | None = None) -> Attribution:
    """Return which causes explain what a user noticed.

    Args:
        signals: of the call.
        uid: the user; one of `timeline.uids`.
        within: only these seconds count; None: the whole call.
    """
    timeline = signals.network.timeline
    counted = np.ones(timeline.seconds, dtype=np.bool_) if within is None else within
    found = _Found(signals, uid, timeline.present(uid), counted)
    for sender in timeline.senders(uid):
        found.add_received(sender)
    if any(receiver != uid for receiver in timeline.receivers(uid)):
        for rule in SENT:
            found.add(rule, uid, rule.holds(signals, uid, uid) & found.here)
    for explanation in (_reconnects(signals, uid, counted), _join_failures(timeline, uid, counted)):
        if explanation is not None:
            found.explanations[explanation.cause, uid] = explanation
    ordered = sorted(found.explanations.values(), key=lambda each: -each.weight)
    return Attribution(timeline, signals, uid, found.poor & counted, ordered)


@define(eq=False)
class _Found:
    """The explanations that were found so far, and the seconds that are judged."""

    signals: BitrateSignals
    uid: str
    here: Seconds
    counted: Seconds
    poor: Seconds = field(init=False)
    explanations: dict[tuple[Cause, str | None], Explanation] = field(factory=dict, init=False)

    @poor.default
    def _nothing_yet(self) -> Seconds:
        return np.zeros_like(self.here)

    def add_received(self, sender: str) -> None:
        """Add what explains the symptoms of one received stream. Each is explained by the first rule that holds."""
        symptoms = Symptoms(self.signals).of(self.uid, sender)
        left = {symptom: seconds & self.here for symptom, seconds in symptoms.items()}
        self.poor = self.poor | left[Symptom.AUDIO] | left[Symptom.VIDEO] | left[Symptom.DELAY]
        for rule in RECEIVED:
            holds = rule.holds(self.signals, self.uid, sender)
            for symptom in rule.explains:
                self.add(rule, sender, left[symptom] & holds)
                left[symptom] = left[symptom] & ~holds
        for rule in ALWAYS:
            self.add(rule, sender, rule.holds(self.signals, self.uid, sender) & self.here)

    def add(self, rule: Rule, sender: str, seconds: Seconds) -> None:
        """Add the seconds that a rule explains."""
        if not seconds.any():
            return
        party = {"receiver": self.uid, "sender": sender, "server": None}[rule.whose]
        new = Explanation(rule.cause, party, np.zeros_like(self.here), self.counted)
        known = self.explanations.setdefault((rule.cause, party), new)
        known.seconds = known.seconds | seconds
        if sender not in known.senders and sender != self.uid:
            known.senders.append(sender)


def _reconnects(signals: BitrateSignals, uid: str, counted: Seconds) -> Explanation | None:
    offline = signals.network.offline(uid)
    return Explanation("reconnects", uid, offline, counted) if offline.any() else None


def _join_failures(timeline: CallTimeline, uid: str, counted: Seconds) -> Explanation | None:
    seconds = np.zeros(timeline.seconds, dtype=np.bool_)
    for stay in failed_attempts(timeline, uid):
        seconds[stay.join : stay.leave + 1] = True
    return Explanation("join_failure", uid, seconds, counted, extra=_AT_ONCE) if seconds.any() else None


def failed_attempts(timeline: CallTimeline, uid: str) -> list[Stay]:
    """Return the sessions of a user that are failed attempts to join: short, without media and without samples.

    If a longer session has no samples either, the reports of the user are missing, which says nothing about an attempt.
    """
    silent = [stay for stay in timeline.stays[uid] if not timeline.has_samples(stay.sid)]
    if any(stay.leave - stay.join > _FAILED for stay in silent):
        return []
    return [stay for stay in silent if not stay.speaker]
