"""The evidence of a diagnosis: means while the cause acted and otherwise, charts, and what speaks against it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.insight.diagnosis.attribution import Attribution, Explanation, failed_attempts
from agora_analytics.insight.diagnosis.call_timeline import Seconds, Values
from agora_analytics.insight.diagnosis.diagnosis import Evidence
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.moving import runs
from agora_analytics.insight.diagnosis.rules import CAUSES
from agora_analytics.insight.diagnosis.words import cause_in_words


def _within_sentence(label: str) -> str:
    """Return a label with a small first letter, unless its first word is a name or an abbreviation such as WebRTC."""
    word = label.split(maxsplit=1)[0]
    return label if word[1:] != word[1:].lower() else label[0].lower() + label[1:]


CHART = 60
"""The most intervals of a chart."""
_STREAMS = 2  # streams that are shown as an example
_NOTED = 5  # s; a cause that explains less is not mentioned
_CLEAR = 0.25  # of the larger mean
_LOW = {"video_capture_frame_rate", "capture_volume"}
"""Metrics that are bad below their limit."""
_UNITS = {metric.name: metric.unit for metric in METRIC_IDS.values()}
# No document names the unit of a browser's losses; their values are percent.
_UNITS |= {name: "%" for name in _UNITS if name.startswith("webrtc_")}
_LABELS = {metric.name: _within_sentence(metric.label) for metric in METRIC_IDS.values()}


def evidence_for(attribution: Attribution, chosen: Explanation) -> Iterator[Evidence]:
    """Yield what speaks for a cause."""
    party = chosen.party
    count = int((chosen.seconds & chosen.counted).sum())
    if chosen.cause == "join_failure" and party is not None:
        attempts = len(failed_attempts(attribution.timeline, party))
        yield Evidence(
            text=f"{attempts} attempt{'s' * (attempts > 1)} of {party} to join had no media and no report"
        )
    elif chosen.cause == "reconnects":
        outages = len(runs(chosen.seconds & chosen.counted))
        yield Evidence(
            text=f"{party} was offline {outages} time{'s' * (outages > 1)}, for {count} s: no report, and frozen streams"
        )
    else:
        yield Evidence(
            text=f"{cause_in_words(chosen.cause, party)}, which explains {count} s of poor quality"
        )
    if party is not None:
        for metric in CAUSES[chosen.cause].own:
            yield from _compared(attribution, chosen, metric, party, None)
    if chosen.cause == "reconnects" and party == attribution.uid:
        streams = [(receiver, party) for receiver in attribution.timeline.receivers(party)]
    else:
        streams = [(attribution.uid, sender) for sender in chosen.senders]
    for receiver, sender in streams[:_STREAMS]:
        for metric in CAUSES[chosen.cause].received:
            yield from _compared(attribution, chosen, metric, receiver, sender)


def evidence_against(attribution: Attribution, chosen: Explanation | None) -> Iterator[Evidence]:
    """Yield what speaks against a cause: other causes, poor seconds that it does not explain, and what is inferred."""
    devices = attribution.signals.devices
    if (
        chosen is not None
        and chosen.party
        and chosen.cause == "cpu"
        and not devices.measures_processor(chosen.party)
    ):
        text = f"{chosen.party} reports no load of the processor; it is inferred from frames and freezes"
        yield Evidence(speaks="against", text=text)
    for other in attribution.explanations:
        if other is not chosen and other.weight >= _NOTED:
            text = f"{cause_in_words(other.cause, other.party)}, which explains {other.weight:.0f} s"
            if not other.is_enough:
                text += f"; healthy calls have up to {CAUSES[other.cause].least:.0f} s"
            yield Evidence(speaks="against", text=text)
    if (left := attribution.unexplained) >= _NOTED:
        yield Evidence(speaks="against", text=f"{left} s of poor quality have no explanation")


def _compared(
    attribution: Attribution, chosen: Explanation, metric: str, uid: str, sender: str | None
) -> Iterator[Evidence]:
    """Yield the means of a metric while the cause acted and otherwise, if there are samples."""
    timeline = attribution.timeline
    values = timeline.own(uid, metric) if sender is None else timeline.received(uid, sender, metric)
    during, otherwise = _mean(values, chosen.seconds & chosen.counted), _mean(values, ~chosen.seconds)
    limit = metric_limit(metric, attribution.signals.network.limits)
    if during is None or not _differs(metric, during, otherwise, limit):
        return
    unit = _UNITS[metric]
    label = _LABELS[metric] + (f" of {uid}" if sender is None else f" of {sender} at {uid}")
    text = f"{label}: {during:.4g} {unit}".rstrip()
    if otherwise is not None:
        text += f", otherwise {otherwise:.4g} {unit}".rstrip()
    if limit is not None:
        text += f"; limit {limit:.4g} {unit}".rstrip()
    yield Evidence(
        text=text,
        metric=metric,
        unit=unit or None,
        user=uid,
        peer=sender,
        during=during,
        otherwise=otherwise,
        limit=limit,
        chart=chart(values),
    )


def _differs(metric: str, during: float, otherwise: float | None, limit: float | None) -> bool:
    """Return whether a metric was beyond its limit while the cause acted, or clearly different from otherwise."""
    if limit is not None and (during < limit if metric in _LOW else during > limit):
        return True
    return otherwise is not None and abs(during - otherwise) >= _CLEAR * max(abs(during), abs(otherwise))


def metric_limit(metric: str, limits: DiagnosisLimits) -> float | None:
    """Return the limit of a metric in its own unit; None if no rule compares it with one."""
    if metric.endswith("_loss"):
        return 100 * limits.loss
    return {
        "router_round_trip": limits.round_trip,
        "task_scheduling_delay": limits.scheduling_delay,
        "system_cpu": 100 * limits.processor,
        "video_capture_frame_rate": limits.camera,
        "video_qp": limits.quantisation,
        "capture_volume": limits.silence,
    }.get(metric)


def chart(values: Values) -> tuple[float | None, ...]:
    """Return the means of at most `CHART` equal intervals.

    Example:
        >>> chart(np.array([1.0, 3.0, np.nan]))
        (1.0, 3.0, None)
    """
    edges = np.linspace(0, len(values), min(CHART, len(values)) + 1).round().astype(np.int64)
    parts: Sequence[Values] = [values[first:last] for first, last in pairwise(edges.tolist())]
    return tuple(_mean(part, np.ones(len(part), dtype=np.bool_)) for part in parts)


def _mean(values: Values, seconds: Seconds) -> float | None:
    known = values[seconds & ~np.isnan(values)]
    return round(float(known.mean()), 4) if len(known) else None
