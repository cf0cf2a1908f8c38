"""What the devices of a call do, by second: camera, microphone, encoder and processor."""

from typing import Any

import numpy as np
from attrs import define, field

from agora_analytics.insight.diagnosis.call_timeline import Seconds, Values
from agora_analytics.insight.diagnosis.microphone import silent_seconds
from agora_analytics.insight.diagnosis.moving import above, around, below, lasting, moving_mean
from agora_analytics.insight.diagnosis.network_signals import MEAN, NetworkSignals
from agora_analytics.insight.diagnosis.remembered import remembered

LASTS = 8
"""Seconds that a condition must last. Shorter ones are disturbances that every device and network has."""
_INFERRED = 20  # s that a busy processor must last if it is not measured
_STOPPED = 6  # s without frames
_USUAL = 85  # percentile
_SCREEN_WIDTH, _SCREEN_FPS = 1900, 6.5
_SLOW_CAMERA, _SLOW_ENCODER = 0.8, 0.85  # shares of the usual frame rate, and of the camera's
_FREEZE = 120  # ms of audio in a report
_LITTLE_LOSS, _LITTLE_DELAY = 0.03, 300  # ms


@define(eq=False)
class DeviceSignals:
    """What the device of each user does."""

    network: NetworkSignals
    results: dict[tuple[Any, ...], Any] = field(factory=dict, init=False, repr=False)

    @remembered
    def camera(self, uid: str) -> Values:
        """Return the frames a second of a user's camera, smoothed."""
        return moving_mean(self._own(uid, "video_capture_frame_rate"), MEAN)

    @remembered
    def encoded_share(self, uid: str) -> Values:
        """Return the share of the camera's frames that a user sends, smoothed."""
        sent = moving_mean(self._own(uid, "video_send_frame_rate"), MEAN)
        share: Values = sent / np.maximum(self.camera(uid), 0.1)
        return share

    @remembered
    def quantisation(self, uid: str) -> Values:
        """Return the quantisation parameter of a user's video, smoothed."""
        return moving_mean(self._own(uid, "video_qp"), MEAN)

    @remembered
    def usual_frame_rate(self, uid: str) -> Values:
        """Return the usual frame rate of the camera in use; NaN without a video."""
        return self._usual(uid, "video_capture_frame_rate", _USUAL)

    @remembered
    def usual_bitrate(self, uid: str) -> Values:
        """Return the usual bitrate of a user's video, in kbit/s, with the device in use; NaN without a video."""
        return self._usual(uid, "video_send_bitrate", _USUAL)

    @remembered
    def shares_screen(self, uid: str) -> Seconds:
        """Return when a user sends a screen, which has few frames and phases without any."""
        wide = above(self._usual(uid, "sent_video_width", 100), _SCREEN_WIDTH)
        return wide & ~above(self.usual_frame_rate(uid), _SCREEN_FPS)

    @remembered
    def camera_stopped(self, uid: str) -> Seconds:
        """Return when a published video has hardly any frames, and the processor is not the reason."""
        frames = moving_mean(self._own(uid, "video_capture_frame_rate"), 3)
        stopped = below(frames, self.network.limits.camera) & ~self.shares_screen(uid) & ~self.busy(uid)
        return lasting(stopped & self.network.timeline.present(uid), _STOPPED)

    @remembered
    def silent(self, uid: str) -> Seconds:
        """Return when a user's microphone delivers silence although it should not."""
        return silent_seconds(self.network.timeline, uid, self.network.limits.silence)

    @remembered
    def measures_processor(self, uid: str) -> bool:
        """Return whether a user's device reports its load. Browsers do not."""
        return any(
            len(self.network.timeline.samples(uid, metric)[0])
            for metric in ("system_cpu", "task_scheduling_delay")
        )

    @remembered
    def busy(self, uid: str) -> Seconds:
        """Return when a user's processor is too busy: as measured, else as the media show it."""
        limits = self.network.limits
        if self.measures_processor(uid):
            usage = moving_mean(self._own(uid, "system_cpu"), MEAN) / 100
            delay = moving_mean(self._own(uid, "task_scheduling_delay"), MEAN)
            busy = above(usage, limits.processor) | above(delay, limits.scheduling_delay)
            least = LASTS
        else:
            busy, least = self._drops_frames(uid) | self._hangs(uid), _INFERRED
        return lasting(busy & ~around(self.network.offline(uid), MEAN // 2), least)

    def _drops_frames(self, uid: str) -> Seconds:
        """Return when camera and encoder deliver fewer frames, which are not compressed harder either."""
        fewer = below(self.camera(uid), _SLOW_CAMERA * self.usual_frame_rate(uid))
        fewer |= below(self.encoded_share(uid), _SLOW_ENCODER)
        compressed = above(self.quantisation(uid), self.network.limits.quantisation)
        return (
            fewer
            & ~compressed
            & ~self.shares_screen(uid)
            & above(self.camera(uid), self.network.limits.camera)
        )

    def _hangs(self, uid: str) -> Seconds:
        """Return when received audio stands still although hardly anything is lost or late."""
        network, timeline = self.network, self.network.timeline
        hangs = np.zeros(timeline.seconds, dtype=np.bool_)
        late = above(network.round_trip(uid), _LITTLE_DELAY)
        for sender in timeline.senders(uid):
            freeze = moving_mean(timeline.received(uid, sender, "audio_render_freeze"), MEAN)
            lost = above(moving_mean(network.loss_after_uplink(uid, sender), MEAN), _LITTLE_LOSS)
            lost |= above(moving_mean(network.uplink_loss(sender), MEAN), _LITTLE_LOSS)
            gone = around(network.offline(sender), MEAN)
            hangs |= (
                above(freeze, _FREEZE) & ~lost & ~gone & ~above(network.round_trip(sender), _LITTLE_DELAY)
            )
        return hangs & ~late

    def _own(self, uid: str, metric: str) -> Values:
        return self.network.timeline.own(uid, metric)

    def _usual(self, uid: str, metric: str, percentile: float) -> Values:
        """Return a percentile of a metric over all sessions with the same device."""
        timeline = self.network.timeline
        values, usual = self._own(uid, metric), np.full(timeline.seconds, np.nan)
        found: dict[tuple[str, str], float] = {}
        for stay in timeline.stays[uid]:
            part = values[stay.join : stay.leave + 1]
            known = part[~np.isnan(part)]
            if len(known):
                device = (stay.platform, stay.device)
                found[device] = max(float(np.percentile(known, percentile)), found.get(device, 0.0))
        for stay in timeline.stays[uid]:
            usual[stay.join : stay.leave + 1] = found.get((stay.platform, stay.device), np.nan)
        return usual
