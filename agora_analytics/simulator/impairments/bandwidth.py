"""Congestion control of one direction: a sender that follows the capacity of its link, and the queue before the link."""

import numpy as np
from attrs import frozen

from agora_analytics.simulator.impairments.noise_over_time import Series

_LEAST = 40.0  # kbit/s, the lowest estimate
_QUEUE = 600.0  # ms, the longest queue; a longer one drops packets
# The growth of the estimate in a second, and how far it may exceed what the sender wants to send.
_RISE, _PROBE = 1.08, 1.15
# The estimate falls if the loss is above the first, and grows if it is below the second.
_LOSSY, _CLEAN = 0.10, 0.02
_LEAST_BY_LOSS = 150.0  # kbit/s; loss that does not fall with the rate is not taken for congestion below it


@frozen(eq=False)
class LinkRate:
    """What a sender sends over its link, by second.

    Attributes:
        kbps: the rate that is sent.
        loss: the share of packets lost, on the link and by congestion.
        queue: the delay by the queue, in ms.
        carried: the share of the rate that the link has the capacity for; the rest waits in the queue or is lost.
    """

    kbps: Series
    loss: Series
    queue: Series
    carried: Series


def follow_capacity(
    wanted: Series, capacity: Series, loss: Series, elsewhere: Series | float = 0.0
) -> LinkRate:
    """Return what a sender sends that wants `wanted` kbit/s over a link of `capacity` kbit/s with random loss.

    `elsewhere` is loss on the way to the link. It is not the link's, but the receiver's feedback has it too.
    The estimate of the capacity falls when packets are lost or the queue grows, and grows slowly afterwards, as in
    WebRTC's congestion control (RFC 8836 has the requirements). A sender who sends less than the estimate, for example
    while the video is muted, keeps the estimate.
    """
    most = _PROBE * float(wanted.max(initial=_LEAST))
    estimate, queue = most, 0.0
    rows: list[tuple[float, float, float]] = []
    seen = np.broadcast_to(elsewhere, loss.shape)
    for want, room, lost, before in zip(
        wanted.tolist(), capacity.tolist(), loss.tolist(), seen.tolist(), strict=True
    ):
        rate = min(want, estimate)
        excess = rate - room
        queue = min(max(queue + 1000 * excess / room, 0.0), _QUEUE)
        dropped = excess / rate if excess > 0 and queue >= _QUEUE else 0.0
        total = 1 - (1 - dropped) * (1 - lost)
        rows.append((rate, total, queue))
        total = 1 - (1 - total) * (1 - before)
        if total > _LOSSY:
            estimate = max(estimate * (1 - 0.5 * total), min(estimate, _LEAST_BY_LOSS))
        elif excess <= 0 and total < _CLEAN:
            estimate *= _RISE
        if excess > 0:
            # Below the capacity, and further below the longer the queue is, so that it empties.
            estimate = min(estimate, (0.9 - 0.4 * queue / _QUEUE) * room)
        estimate = min(max(estimate, _LEAST), most)
    kbps, total_loss, queues = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return LinkRate(kbps, total_loss, queues, np.minimum(1, capacity / np.maximum(kbps, 1)))
