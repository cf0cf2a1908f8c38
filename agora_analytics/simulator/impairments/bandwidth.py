"""Congestion control of one direction: a sender that follows the capacity of its link, and the queue before the link."""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from agora_analytics.simulator.impairments.noise_over_time import Series

_LEAST = 40.0  # kbit/s, that are sent in any case
_QUEUE = 600.0  # ms, the longest queue; a longer one drops packets
_RISE, _PROBE = 1.08, 1.15  # the growth a second, and how far above what is wanted the estimate may be
_LOSSY, _CLEAN = (
    0.10,
    0.02,
)  # congestion control reduces the rate above the first, and increases it below the second


@frozen(eq=False)
class LinkRate:
    """What a sender sends over its link, by second.

    Attributes:
        kbps: the rate that is sent.
        loss: the share of packets lost, on the link and by congestion.
        queue: the delay by the queue, in ms.
    """

    kbps: Series
    loss: Series
    queue: Series


def follow_capacity(wanted: Series, capacity: Series, loss: Series) -> LinkRate:
    """Return what a sender sends that wants `wanted` kbit/s over a link of `capacity` kbit/s with random loss.

    It reduces its rate when packets are lost or the queue grows, and increases it slowly afterwards, as WebRTC's
    congestion control does (RFC 8836 has the requirements).
    """
    most = _PROBE * float(wanted.max(initial=_LEAST))
    estimate, queue = most, 0.0
    rows: list[tuple[float, float, float]] = []
    for want, room, lost in zip(wanted.tolist(), capacity.tolist(), loss.tolist(), strict=True):
        rate = min(want, estimate)
        excess = rate - room
        queue = min(max(queue + 1000 * excess / room, 0.0), _QUEUE)
        dropped = excess / rate if excess > 0 and queue >= _QUEUE else 0.0
        total = 1 - (1 - dropped) * (1 - lost)
        rows.append((rate, total, queue))
        if total > _LOSSY:
            estimate = rate * (1 - 0.5 * total)
        elif excess > 0:
            estimate = 0.9 * room
        elif total < _CLEAN:
            estimate *= _RISE
        estimate = min(max(estimate, _LEAST), most)
    return _columns(rows)


def _columns(rows: Sequence[tuple[float, float, float]]) -> LinkRate:
    kbps, loss, queue = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return LinkRate(kbps, loss, queue)
