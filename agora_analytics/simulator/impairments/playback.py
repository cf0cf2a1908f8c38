"""Playback at a receiver: freezes of audio and video by second, after concealment and retransmission."""

import numpy as np

from agora_analytics.simulator.impairments.conditions import Conditions
from agora_analytics.simulator.impairments.noise_over_time import Series


def audio_freeze(rng: np.random.Generator, loss: Series, delay: Series, here: Conditions) -> Series:
    """Return the ms of each second in which the audio stands still: concealment hides losses of some per cent."""
    seconds = len(loss)
    freeze = 1000 * np.clip(1.1 * (loss - 0.09), 0, 1) * rng.gamma(2, 0.5, seconds)
    jump = np.abs(np.diff(delay, prepend=delay[0]))
    freeze += np.clip(jump - 180, 0, 400) * rng.random(seconds)
    freeze += 1000 * np.clip((here.system_cpu - 0.92) * 5, 0, 0.5) * rng.random(seconds)
    return np.minimum(freeze, 1000)


def video_freeze(
    rng: np.random.Generator, unrepaired: Series, fps: Series, here: Conditions, there: Conditions
) -> Series:
    """Return the ms of each second in which the video stands still, with this loss and these frames a second."""
    seconds = len(unrepaired)
    chance = 1 - np.exp(-12 * np.clip(unrepaired - 0.004, 0, 1))
    chance = np.maximum(chance, np.clip((here.system_cpu - 0.90) * 6, 0, 0.9))
    freeze = (rng.random(seconds) < chance) * rng.uniform(300, 1000, seconds)
    slow = (fps > 0) & (fps < np.minimum(4.0, 0.7 * there.video.fps))
    freeze += slow * rng.uniform(0, 300, seconds)
    if there.freezes_without_frames:
        freeze = np.maximum(freeze, 1000.0 * ((fps == 0) & (there.video.fps >= 1)))
    still: Series = np.minimum(freeze, 1000)
    return still


def unrepaired(loss: Series, round_trip: Series) -> Series:
    """Return the share of packets that retransmission over a link does not recover in time."""
    return loss * (0.12 + 0.88 * np.clip(round_trip / 600, 0, 1) ** 1.5)


def decoded_share(here: Conditions) -> Series:
    """Return the share of the frames that the processor can decode."""
    return 1 - np.clip((here.system_cpu - 0.88) * 5, 0, 0.7)
