"""What a server forwards to one receiver: it selects streams and layers so that the downlink can carry them.

A server cannot encode a video again. It has the stream of low quality, if the sender sends one, and the frames that no
other frame needs, which it can leave out. If neither is enough, it stops the video.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.impairments.bandwidth import LinkRate
from agora_analytics.simulator.impairments.media_sent import LOW_FPS, SentMedia
from agora_analytics.simulator.impairments.noise_over_time import Series

_SWITCHED = 0.6  # below this share of the video's rate, the stream of low quality is better
_BASE_LAYER = 0.5  # the share of the rate that remains without the frames that no other needs
_LEAST_VIDEO = 5.0  # kbit/s


@frozen(eq=False)
class Downlink:
    """The downlink of one receiver, by second, and which shares of all streams fit into it, from 0 to 1."""

    link: LinkRate
    audio_share: Series
    video_share: Series
    low_share: Series


@frozen(eq=False)
class ForwardedVideo:
    """One video as a server forwards it. `is_low` is whether it is the stream of low quality."""

    kbps: Series
    fps: Series
    is_low: NDArray[np.bool_]

    @classmethod
    def all_of(cls, sent: SentMedia) -> Self:
        """Return a video that is forwarded as it is sent."""
        return cls(sent.video_kbps, sent.fps, np.zeros(len(sent.fps), dtype=np.bool_))


def divide(link: LinkRate, streams: Sequence[SentMedia], present: Sequence[NDArray[np.bool_]]) -> Downlink:
    """Return how the streams share a downlink: first the audio, then the videos in proportion to their rates."""
    audio, video, low = (
        sum(
            (getattr(sent, name) * here for sent, here in zip(streams, present, strict=True)),
            np.zeros(len(link.kbps)),
        )
        for name in ("audio_kbps", "video_kbps", "low_kbps")
    )
    left = np.maximum(link.kbps - audio, 0)
    return Downlink(link, _share(link.kbps, audio), _share(left, video), _share(left, low))


def _share(room: Series, wanted: Series) -> Series:
    share: Series = np.minimum(1, room / np.maximum(wanted, 1))
    return share


def forwarded_video(sent: SentMedia, downlink: Downlink) -> ForwardedVideo:
    """Return what a receiver gets of a video that other receivers get too."""
    share = downlink.video_share
    is_low = (share < _SWITCHED) & (sent.low_kbps > 0)
    thinned = np.where(share >= _BASE_LAYER, share, 0.0)
    low_kbps = sent.low_kbps * downlink.low_share
    low_fps = np.minimum(LOW_FPS, sent.fps) * np.minimum(1, 1.3 * downlink.low_share)
    low_fps *= low_kbps >= np.minimum(_LEAST_VIDEO, 0.5 * sent.low_kbps)
    return ForwardedVideo(
        kbps=np.where(is_low, low_kbps, sent.video_kbps * thinned),
        fps=np.where(is_low, low_fps, sent.fps * np.minimum(1, 1.3 * thinned)),
        is_low=is_low,
    )
