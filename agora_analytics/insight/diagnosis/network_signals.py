"""Loss, round trip and outages of the networks of a call, by second."""

from typing import Any

import numpy as np
from attrs import define, field

from agora_analytics.insight.diagnosis.call_timeline import CallTimeline, Seconds, Values
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.moving import above, moving_mean, moving_median
from agora_analytics.insight.diagnosis.outages import offline_seconds
from agora_analytics.insight.diagnosis.remembered import remembered

MEAN = 11
"""Seconds of a moving mean: two or three reports."""
_MEDIAN = 13  # s, so that a disturbance of 6 s, which every network has, does not count
_GROWN = 1.8  # times the usual round trip
_GREW = 100  # ms
_OTHERS = 50  # users of a large call that are looked at
_SHARED, _SHARE = 8, 0.35  # s and share of a user's lossy time in which others lose packets, too
_VARIES = 0.4  # of the usual round trip, which varies without a queue
_LONGEST_QUEUE = 900  # ms; a longer delay is not that of a queue


def first_known(*values: Values) -> Values:
    """Return, for each second, the first of the values that there is."""
    result = values[0]
    for each in values[1:]:
        result = np.where(np.isnan(result), each, result)
    return result


@define(eq=False)
class NetworkSignals:
    """What the network of each user does. Losses are shares from 0 to 1, delays are in ms."""

    timeline: CallTimeline
    limits: DiagnosisLimits
    results: dict[tuple[Any, ...], Any] = field(factory=dict, init=False, repr=False)

    @remembered
    def uplink_loss(self, uid: str) -> Values:
        """Return the loss between a user and the server: of the video, which has more packets, else of the audio."""
        own = self.timeline.own
        return (
            first_known(
                own(uid, "video_uplink_loss"),
                own(uid, "webrtc_video_uplink_loss"),
                own(uid, "audio_uplink_loss"),
                own(uid, "webrtc_audio_uplink_loss"),
            )
            / 100
        )

    @remembered
    def loss_after_uplink(self, receiver: str, sender: str) -> Values:
        """Return the loss from the server to a receiver.

        Browsers report it. Others report the loss of the whole way, from which the sender's uplink loss is taken.
        """
        received = self.timeline.received
        sent = np.nan_to_num(moving_mean(self.uplink_loss(sender), 5))

        def after(whole: Values) -> Values:
            return 1 - (1 - whole / 100) / np.maximum(1 - sent, 0.05)

        return first_known(
            received(receiver, sender, "webrtc_video_downlink_loss") / 100,
            after(received(receiver, sender, "video_end_to_end_loss")),
            after(received(receiver, sender, "audio_end_to_end_loss")),
        )

    @remembered
    def lossy_uplink(self, uid: str) -> Seconds:
        """Return when a user's uplink loses packets for longer than a disturbance."""
        return self._lossy(self.uplink_loss(uid))

    @remembered
    def lossy_after_uplink(self, receiver: str, sender: str) -> Seconds:
        """Return when packets are lost after the sender's uplink for longer than a disturbance."""
        return self._lossy(self.loss_after_uplink(receiver, sender))

    @remembered
    def round_trip(self, uid: str) -> Values:
        """Return the round trip between a user and the server, smoothed."""
        return moving_mean(self.timeline.own(uid, "router_round_trip"), MEAN)

    @remembered
    def usual_round_trip(self, uid: str) -> float:
        """Return the round trip without queues: the tenth percentile; NaN without samples."""
        known = self._round_trips(uid)
        return float(np.percentile(known, 10)) if len(known) else float("nan")

    @remembered
    def congested(self, uid: str) -> Seconds:
        """Return when packets wait at the user's link: the round trip has grown, but not beyond a queue."""
        usual, now = self.usual_round_trip(uid), self.round_trip(uid)
        grown = above(now, max(usual + _GREW, _GROWN * usual))
        return grown & (now < _LONGEST_QUEUE)

    @remembered
    def fills_queue(self, uid: str) -> bool:
        """Return whether a user's downlink loses packets because its queue is full: the round trip is longer then."""
        return self._waits(uid, self._lossy_downlink(uid))

    def queue(self, uid: str, seconds: Seconds) -> float:
        """Return how much a user's round trip exceeds the usual one in these seconds, in ms; 0 without samples."""
        values = self.timeline.own(uid, "router_round_trip")[seconds]
        known = values[~np.isnan(values)]
        return float(known.mean()) - self.usual_round_trip(uid) if len(known) else 0.0

    @remembered
    def offline(self, uid: str) -> Seconds:
        """Return when a user had no connection."""
        return offline_seconds(self.timeline, uid)

    @remembered
    def lossy_receiver(self, uid: str) -> Seconds:
        """Return when a user loses packets of any sender after the sender's uplink, not because of an own queue."""
        return self._lossy_downlink(uid) & ~self.congested(uid)

    @remembered
    def shares_loss(self, uid: str) -> bool:
        """Return whether others lose packets at the same time as a user, which a downlink does not explain."""
        lossy = self.lossy_receiver(uid)
        others = [each for each in self.timeline.uids if each != uid][:_OTHERS]
        if not others or not lossy.any():
            return False
        shared = lossy & np.any([self.lossy_receiver(each) for each in others], axis=0)
        return int(shared.sum()) >= max(_SHARED, _SHARE * int(lossy.sum()))

    def _lossy(self, loss: Values) -> Seconds:
        if not above(loss, self.limits.loss).any():
            return np.zeros(self.timeline.seconds, dtype=np.bool_)
        return above(moving_median(loss, _MEDIAN), self.limits.loss)

    def _waits(self, uid: str, seconds: Seconds) -> bool:
        least = max(self.limits.queue, _VARIES * self.usual_round_trip(uid))
        return least < self.queue(uid, seconds) < _LONGEST_QUEUE

    def _lossy_downlink(self, uid: str) -> Seconds:
        lossy = np.zeros(self.timeline.seconds, dtype=np.bool_)
        for sender in self.timeline.senders(uid):
            lossy |= self.lossy_after_uplink(uid, sender)
        return lossy

    def _round_trips(self, uid: str) -> Values:
        _, values, _ = self.timeline.samples(uid, "router_round_trip")
        return values
