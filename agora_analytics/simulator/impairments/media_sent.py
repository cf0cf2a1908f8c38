"""What a session sends: capture, encoder and the uplink's congestion control, by second."""

import numpy as np
from attrs import frozen

from agora_analytics.simulator.impairments.bandwidth import LinkRate, follow_capacity
from agora_analytics.simulator.impairments.conditions import Conditions
from agora_analytics.simulator.impairments.noise_over_time import Series

LOW_KBPS, LOW_FPS, LOW_SCALE = 90.0, 10.0, 0.25
_LOW_SHARE = 0.35  # the most of the video's rate that the low stream has
_LEAST_VIDEO = 10.0  # kbit/s, below which the encoder drops every frame


@frozen(kw_only=True, eq=False)
class SentMedia:
    """What a session sends, by second: rates in kbit/s, frames a second, the scale of the picture, and the link.

    `low_kbps` is the stream of low quality, for receivers with little capacity; 0 if the session sends none.
    """

    audio_kbps: Series
    video_kbps: Series
    low_kbps: Series
    capture_fps: Series
    fps: Series
    scale: Series
    link: LinkRate


def sent_media(
    here: Conditions, most_audio: Series | None = None, most_video: Series | None = None
) -> SentMedia:
    """Return what a session sends, with at most these rates, which the only receiver requests."""
    frames = here.capture * encoded_share(here)
    audio = here.speech.kbps * here.sends_audio
    video = here.video.kbps * here.sends_video * frames
    if most_audio is not None and most_video is not None:
        audio, video = np.minimum(audio, most_audio), np.minimum(video, most_video)
    low = np.minimum(LOW_KBPS, _LOW_SHARE * video) * here.two_streams
    link = follow_capacity(audio + video + low, here.uplink_kbps, here.uplink_loss)
    left = np.maximum(link.kbps - audio, 0)
    low = np.minimum(low, left)
    video = np.minimum(video, left - low)
    ratio = video / here.video.kbps
    # The encoder reduces the picture where the rate stays low, and the frame rate at once.
    smooth = np.convolve(np.concatenate([np.full(9, ratio[0]), ratio]), np.full(10, 0.1), mode="valid")
    squeezed = np.where(frames < 0.5, 1.0, np.minimum(1, 1.8 * ratio + 0.15))
    squeezed *= video >= np.minimum(_LEAST_VIDEO, 0.5 * here.video.kbps * frames)
    online = here.online.astype(np.float64)
    return SentMedia(
        audio_kbps=np.minimum(audio, link.kbps) * online,
        video_kbps=video * online,
        low_kbps=low * online,
        capture_fps=here.video.fps * here.capture * np.maximum(encoded_share(here), 0.5),
        fps=here.video.fps * frames * squeezed * here.sends_video * online,
        scale=np.select([smooth > 0.5, smooth > 0.2], [1.0, 0.75], 0.5),
        link=link,
    )


def encoded_share(here: Conditions) -> Series:
    """Return the share of the frames that the processor can encode."""
    return 1 - np.clip((here.system_cpu - 0.88) * 8, 0, 0.85)
