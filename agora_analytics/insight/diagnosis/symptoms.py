"""What a user notices of each received stream, by second."""

from enum import Enum

import numpy as np
from attrs import define

from agora_analytics.insight.diagnosis.bitrate_signals import BitrateSignals
from agora_analytics.insight.diagnosis.call_timeline import Seconds
from agora_analytics.insight.diagnosis.moving import above, below, moving_mean
from agora_analytics.insight.diagnosis.network_signals import first_known

# A report covers 2 to 6 s, so these are freezes of some 3 and 10 % of the time: the limits that Agora shows in red, rounded.
_AUDIO_FREEZE, _VIDEO_FREEZE = 200, 600  # ms in a report
_FRAMES, _RATE = 0.5, 0.35  # of what the sender usually sends
_MEAN = 5  # s


class Symptom(Enum):
    """What a user can notice of a received stream."""

    AUDIO = "audio"
    """The audio stands still."""
    VIDEO = "video"
    """The video stands still, or has few frames or a low rate."""
    DELAY = "delay"
    """The stream arrives late."""
    PUBLISHED = "published"
    """No symptom: the sender has a video, which a stopped camera makes useless."""


@define(eq=False)
class Symptoms:
    """What users notice of the streams that they receive."""

    signals: BitrateSignals

    def of(self, receiver: str, sender: str) -> dict[Symptom, Seconds]:
        """Return in which seconds each symptom is there. A stream that is gone with a connection has no other symptom."""
        network, devices = self.signals.network, self.signals.devices
        timeline = network.timeline
        audio_freeze = timeline.received(receiver, sender, "audio_render_freeze")
        video_freeze = timeline.received(receiver, sender, "video_render_freeze")
        frames = first_known(
            timeline.received(receiver, sender, "video_receive_frame_rate"),
            timeline.received(receiver, sender, "video_low_stream_receive_frame_rate"),
        )
        rate = first_known(
            timeline.received(receiver, sender, "video_receive_bitrate"),
            timeline.received(receiver, sender, "video_low_stream_receive_bitrate"),
        )
        slow = below(moving_mean(frames, _MEAN), _FRAMES * devices.usual_frame_rate(sender))
        thin = below(moving_mean(rate, _MEAN), _RATE * devices.usual_bitrate(sender))
        gone = network.offline(sender) | network.offline(receiver)
        one_way = (
            np.nan_to_num(network.round_trip(receiver)) + np.nan_to_num(network.round_trip(sender))
        ) / 2
        present = ~np.isnan(first_known(audio_freeze, video_freeze))
        return {
            Symptom.AUDIO: above(audio_freeze, _AUDIO_FREEZE) & ~gone,
            Symptom.VIDEO: (
                above(video_freeze, _VIDEO_FREEZE) | ((slow | thin) & ~devices.shares_screen(sender))
            )
            & ~gone,
            Symptom.DELAY: above(one_way, network.limits.one_way_delay) & present,
            Symptom.PUBLISHED: ~np.isnan(frames),
        }
