"""When a user's connection was lost.

A user who is offline reports nothing, and the others see the user's streams frozen. A report can also get lost, and a user can
leave: then nothing is frozen. A user who comes back in the same session reports at once how long the received streams stood
still.
"""

from itertools import pairwise

import numpy as np

from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds

_GAP = 6  # s without a report; sessions report every 2 to 6 s
_FROZEN = 2.0  # s of a gap that the others saw the stream frozen
_SHARE, _SHARE_OF_NEW = 0.35, 0.5  # of a gap within a session, and of one between two sessions
_COUNTED = 15  # s; the SDK then no longer counts a sender who is offline as frozen
_OWN = 0.9  # s of freeze in the first report after a gap
_LATE = 4  # s until the report of a receiver after the gap
_PEERS = 6


def offline_seconds(timeline: CallTimeline, uid: str) -> Seconds:
    """Return in which seconds a user had no connection, between two reports of the user."""
    offline = np.zeros(timeline.seconds, dtype=np.bool_)
    for last, first in pairwise(timeline.reports(uid).tolist()):
        if first - last < _GAP:
            continue
        frozen = _frozen(timeline, uid, last, first)
        if frozen:
            length = min(first - last - 1, int(frozen) + 1)
            offline[first - length : first] = True
    return offline


def _frozen(timeline: CallTimeline, uid: str, last: int, first: int) -> float:
    """Return for how many seconds a gap between two reports was an outage; 0: it was none."""
    seen = [
        _freeze(timeline, receiver, uid, last, first + _LATE)
        for receiver in timeline.receivers(uid)
        if receiver != uid
    ]
    frozen = [each for each in seen if each is not None]
    same = any(stay.join <= last and stay.leave >= first for stay in timeline.stays[uid])
    if same:
        own = [_freeze(timeline, uid, sender, first - 1, first) for sender in timeline.senders(uid)[:_PEERS]]
        known = [each for each in own if each is not None]
        if known and float(np.median(known)) < _OWN:
            return 0.0
        # A report has the freezes of at most two intervals.
        frozen = frozen or [each if first - last < 9 else 2 * each for each in known]
    if not frozen:
        return 0.0
    most = float(np.percentile(frozen, 75))
    share = _SHARE if same else _SHARE_OF_NEW
    return most if most >= max(_FROZEN, share * min(first - last, _COUNTED)) else 0.0


def _freeze(timeline: CallTimeline, receiver: str, sender: str, after: int, until: int) -> float | None:
    """Return the seconds that a received audio stood still, in reports of (after, until]; None without a report."""
    ts, value, _ = timeline.samples(receiver, "audio_render_freeze", sender)
    first, last = np.searchsorted(ts, [after, until], side="right")
    return float(value[first:last].sum()) / 1000 if last > first else None
