"""When a user's connection was lost.

A user who is offline reports nothing, and the others see the user's streams frozen. A report can also get lost, and a user can
leave: then nothing is frozen. A user who comes back in the same session reports at once how long the received streams stood
still. Some SDKs join again with a new session instead.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds, Stay

_GAP = 6  # s without a report; sessions report every 2 to 6 s
_FROZEN = 2.0  # s of a gap that the others saw the stream frozen
_SHARE, _SHARE_OF_ABSENCE = 0.35, 0.5  # of a gap within a session, and of the time between two sessions
_COUNTED = 15  # s; the SDK then no longer counts a sender who is offline as frozen
_OWN = 0.9  # s of freeze in the first report after a gap
_LATE = 4  # s until the report of a receiver after the gap
_PEERS = 6
_REJOINED, _AWAY = 2, 20  # times, and s: nobody leaves voluntarily again and again for so short


def offline_seconds(timeline: CallTimeline, uid: str) -> Seconds:
    """Return in which seconds a user had no connection, between two reports of the user."""
    offline = np.zeros(timeline.seconds, dtype=np.bool_)
    unseen: list[tuple[int, int]] = []
    for last, first in pairwise(timeline.reports(uid).tolist()):
        if first - last < _GAP:
            continue
        absence = _absence(timeline.stays[uid], last, first)
        seen = _seen_frozen(timeline, uid, last, first)
        if absence is None:
            frozen = _frozen_in_session(timeline, uid, last, first, seen)
        elif seen:
            frozen = _most(seen, _SHARE_OF_ABSENCE * min(absence[1] - absence[0], _COUNTED))
        else:
            frozen = 0.0
            unseen += [absence] if 0 < absence[1] - absence[0] <= _AWAY else []
        if frozen:
            offline[first - min(first - last - 1, int(frozen) + 1) : first] = True
    if len(unseen) >= _REJOINED:
        for leave, join in unseen:
            offline[leave:join] = True
    return offline


def _absence(stays: Sequence[Stay], last: int, first: int) -> tuple[int, int] | None:
    """Return the time between two sessions with one device that a gap is about; None for a gap within a session."""
    before = [stay for stay in stays if stay.join <= last <= stay.leave]
    after = [stay for stay in stays if stay.join <= first <= stay.leave]
    if not before or not after or before[-1] is after[-1]:
        return None
    return before[-1].leave, after[-1].join


def _seen_frozen(timeline: CallTimeline, uid: str, last: int, first: int) -> list[float]:
    """Return for how long each receiver saw the user's audio frozen, of those with a report."""
    seen = [_freeze(timeline, receiver, uid, last, first + _LATE) for receiver in timeline.receivers(uid)]
    return [each for each in seen if each is not None]


def _frozen_in_session(timeline: CallTimeline, uid: str, last: int, first: int, seen: list[float]) -> float:
    own = [_freeze(timeline, uid, sender, first - 1, first) for sender in timeline.senders(uid)[:_PEERS]]
    known = [each for each in own if each is not None]
    if known and float(np.median(known)) < _OWN:
        return 0.0
    # A report has the freezes of at most two intervals.
    frozen = seen or [each if first - last < 9 else 2 * each for each in known]
    return _most(frozen, _SHARE * min(first - last, _COUNTED))


def _most(frozen: list[float], least: float) -> float:
    """Return the seconds that most saw at least in part; 0 if there are too few for an outage."""
    most = float(np.percentile(frozen, 75)) if frozen else 0.0
    return most if most >= max(_FROZEN, least) else 0.0


def _freeze(timeline: CallTimeline, receiver: str, sender: str, after: int, until: int) -> float | None:
    """Return the seconds that a received audio stood still, in reports of (after, until]; None without a report."""
    ts, value, _ = timeline.samples(receiver, "audio_render_freeze", sender)
    first, last = np.searchsorted(ts, [after, until], side="right")
    return float(value[first:last].sum()) / 1000 if last > first else None
