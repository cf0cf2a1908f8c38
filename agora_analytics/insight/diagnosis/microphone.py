"""Whether a microphone delivers silence: a sequential probability ratio test on its volume.

A noise gate makes the pauses of a healthy user silent, too. So silence alone proves nothing: each silent sample is evidence
for a dead microphone, and each other sample evidence against it. A user without any silent sample elsewhere has no gate, so
a few silent samples suffice then. Wald's test (1945) with a cumulative sum (Page 1954) has the same form.
"""

import numpy as np
from numpy.typing import NDArray

from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds

# Natural logarithms of probability ratios. A dead microphone is silent in 85 % of the samples, for it may come back for some
# seconds; a gate is in 33 %.
_SILENT, _LOUD = 0.95, -1.5
# The samples elsewhere: without a gate 2 % are silent, with a gate 35 %. More than 11 samples add nothing.
_NO_GATE, _GATE, _MOST = 0.43, -2.9, 4.7
_EVIDENCE = 9.2  # a false alarm for two or three healthy users in a thousand
_SAMPLES = 3


def silent_seconds(timeline: CallTimeline, uid: str, silence: float) -> Seconds:
    """Return in which seconds a user's microphone delivers silence although it should not.

    Args:
        timeline: of the call.
        uid: the user.
        silence: the volume, 0 to 255, of a microphone that delivers nothing.
    """
    seconds = np.zeros(timeline.seconds, dtype=np.bool_)
    ts, value, covers = timeline.samples(uid, "capture_volume")
    silent = value <= silence
    evidence, first, last = _strongest(silent)
    if last - first < _SAMPLES:
        return seconds
    elsewhere = np.delete(silent, np.arange(first, last))
    without_gate = _NO_GATE * float((~elsewhere).sum()) + _GATE * float(elsewhere.sum())
    if evidence + min(max(without_gate, 0.0), _MOST) < _EVIDENCE:
        return seconds
    for at in range(first, last):
        if silent[at]:
            seconds[max(0, int(ts[at] - covers[at]) + 1) : int(ts[at]) + 1] = True
    return seconds


def _strongest(silent: NDArray[np.bool_]) -> tuple[float, int, int]:
    """Return the part of the samples with the most evidence: the evidence, the first sample, and the one after the last."""
    best = (0.0, 0, 0)
    evidence, first = 0.0, 0
    for at, is_silent in enumerate(silent.tolist()):
        if evidence <= 0:
            evidence, first = 0.0, at
        evidence += _SILENT if is_silent else _LOUD
        if evidence > best[0]:
            best = (evidence, first, at + 1)
    return best
