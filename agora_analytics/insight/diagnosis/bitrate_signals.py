"""Which link of a call is too narrow for the media, by second."""

from typing import Any

import numpy as np
from attrs import define, field

from agora_analytics.insight.diagnosis.call_timeline import Seconds, Values
from agora_analytics.insight.diagnosis.device_signals import LASTS, DeviceSignals
from agora_analytics.insight.diagnosis.moving import above, below, lasting, moving_mean
from agora_analytics.insight.diagnosis.network_signals import MEAN, NetworkSignals, first_known
from agora_analytics.insight.diagnosis.remembered import remembered

_STARVED = 0.25  # share of the camera's frames that is sent
_LOSSY, _BEFORE = 0.03, 31  # after a loss, congestion control needs half a minute to grow again
_BEFORE_RECEIVER = 61
_THINNED = 0.6  # share of the sent rate that a receiver gets
_SENDS = 30  # kbit/s


@define(eq=False)
class BitrateSignals:
    """Which users have an uplink or a downlink without the capacity for their media."""

    devices: DeviceSignals
    results: dict[tuple[Any, ...], Any] = field(factory=dict, init=False, repr=False)

    @property
    def network(self) -> NetworkSignals:
        """The signals of the networks."""
        return self.devices.network

    @remembered
    def starved(self, uid: str) -> Seconds:
        """Return when a user's encoder has less rate than the picture needs, which is not the result of loss."""
        network, devices, limits = self.network, self.devices, self.network.limits
        compressed = above(devices.quantisation(uid), limits.quantisation)
        # Without frames there is no quantisation parameter.
        dropped = below(devices.encoded_share(uid), _STARVED) & above(devices.camera(uid), limits.camera)
        dropped &= ~below(devices.quantisation(uid), limits.quantisation)
        lossy = above(moving_mean(network.uplink_loss(uid), _BEFORE), _LOSSY) & ~network.congested(uid)
        return lasting((compressed | dropped) & ~lossy, LASTS)

    @remembered
    def narrow_uplink(self, uid: str) -> Seconds:
        """Return when a user's encoder is starved by the user's uplink."""
        starved = self.starved(uid)
        return starved if self._limits_itself(uid) else np.zeros_like(starved)

    @remembered
    def narrow_downlink(self, receiver: str, sender: str) -> Seconds:
        """Return when a receiver gets much less than the sender sends, or makes the sender send less."""
        network, timeline = self.network, self.network.timeline
        sent = moving_mean(timeline.own(sender, "video_send_bitrate"), MEAN)
        got = moving_mean(self._received_video(receiver, sender), MEAN)
        thinned = below(got, _THINNED * sent) & above(sent, _SENDS)
        lost = moving_mean(network.loss_after_uplink(receiver, sender), MEAN)
        thinned = lasting(thinned & ~above(lost, 2 * network.limits.loss), LASTS)
        if timeline.receivers(sender) == [receiver] and not self._limits_itself(sender):
            thinned = thinned | self.starved(sender)
        lossy = above(moving_mean(network.loss_after_uplink(receiver, sender), _BEFORE_RECEIVER), _LOSSY)
        return thinned & ~(lossy & ~network.congested(receiver))

    def _limits_itself(self, uid: str) -> bool:
        """Return whether the user's own uplink is the limit, not the downlink of the only receiver.

        A sender with one receiver sends what the receiver's downlink can carry. Packets wait at the narrower of the two.
        """
        receivers = self.network.timeline.receivers(uid)
        starved = self.starved(uid)
        if len(receivers) != 1 or not starved.any():
            return True
        queue = self.network.queue(uid, starved)
        return queue > max(self.network.limits.queue, self.network.queue(receivers[0], starved))

    def _received_video(self, receiver: str, sender: str) -> Values:
        received = self.network.timeline.received
        return first_known(
            received(receiver, sender, "video_receive_bitrate"),
            received(receiver, sender, "video_low_stream_receive_bitrate"),
        )
