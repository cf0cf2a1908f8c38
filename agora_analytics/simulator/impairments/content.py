"""What a user wants to send, by second: speech with its pauses, and video with more or less motion."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import SessionTruth
from agora_analytics.simulator.impairments.noise_over_time import Series, alternating, wander

_PROFILES = (
    # share of users, width, height, frames a second, kbit/s
    (0.20, 320, 180, 15, 220),
    (0.45, 640, 360, 15, 600),
    (0.25, 1280, 720, 30, 1700),
)
_SCREEN = (1920, 1080, 5, 500)  # of the other users
_AUDIO_KBPS, _COMFORT_NOISE = 48.0, 0.12  # the share of the rate with which an encoder sends silence
_TWO_STREAMS = 400  # kbit/s; a smaller video has no stream of low quality


@frozen(kw_only=True)
class VideoProfile:
    """The video that a user sends if nothing is wrong. `is_screen`: a shared screen, which has no camera."""

    width: int
    height: int
    fps: float
    kbps: float
    is_screen: bool = False

    @property
    def may_have_two_streams(self) -> bool:
        """Whether a stream of low quality is worth it."""
        return self.kbps >= _TWO_STREAMS


@frozen(kw_only=True, eq=False)
class Speech:
    """A user's speech, by second.

    Attributes:
        talking: whether the user speaks.
        loudness: of the microphone, from 0 to 255. A noise gate makes most of the pauses silent.
        kbps: the rate of the audio. Some encoders send little in pauses.
        packets: a second.
    """

    talking: NDArray[np.bool_]
    loudness: Series
    kbps: Series
    packets: Series


@frozen(kw_only=True, eq=False)
class Video:
    """A user's video, by second: the rate and the frames a second that the encoder wants, and its quantisation."""

    kbps: Series
    fps: Series
    qp: Series


def video_profile(session: SessionTruth) -> VideoProfile:
    """Return the video that a session sends."""
    draw = np.random.default_rng([session.key, 7]).random()
    for share, width, height, fps, kbps in _PROFILES:
        if draw < share:
            return VideoProfile(width=width, height=height, fps=fps, kbps=kbps)
        draw -= share
    width, height, fps, kbps = _SCREEN
    return VideoProfile(width=width, height=height, fps=fps, kbps=kbps, is_screen=True)


def speech_of(session: SessionTruth, seconds: int, dead: NDArray[np.bool_]) -> Speech:
    """Return the speech of a session, whose microphone is dead at times: it then delivers next to nothing."""
    rng = np.random.default_rng([session.key, 8])
    has_gate, saves_pauses = rng.random() < 0.35, rng.random() < 0.35
    talking = alternating(rng, seconds, on=8, off=rng.uniform(8, 30 if has_gate else 60))
    level = rng.uniform(90, 200) * rng.uniform(0.6, 1.2, seconds)
    pause = rng.uniform(2, 22, seconds)
    if has_gate:
        pause *= alternating(rng, seconds, on=1, off=5)
    loudness = np.where(talking, level, pause)
    floor = rng.uniform(0, 2) * rng.random(seconds) * (rng.random() < 0.5)
    loudness = np.clip(np.where(dead, floor, loudness), 0, 255)
    is_silent = (loudness < 25) & saves_pauses
    kbps = _AUDIO_KBPS * np.where(is_silent, _COMFORT_NOISE, 1 - 0.25 * (loudness < 25))
    return Speech(
        talking=talking,
        loudness=loudness,
        kbps=kbps * np.exp(0.08 * wander(rng, seconds, 3)),
        packets=np.where(is_silent, 8.0, 50.0),
    )


def video_of(session: SessionTruth, seconds: int) -> Video:
    """Return the video of a session. A shared screen has phases in which it does not change."""
    rng, profile = np.random.default_rng([session.key, 9]), video_profile(session)
    motion = wander(rng, seconds, 15)
    jitter = wander(rng, seconds, 2)
    kbps = profile.kbps * np.clip(0.9 * np.exp(0.15 * motion + 0.08 * jitter), 0.4, 1.15)
    fps = np.full(seconds, float(profile.fps))
    if profile.is_screen:
        changes = alternating(rng, seconds, on=12, off=25)
        still = rng.uniform(2, 14, seconds)
        fps = np.where(changes, fps, rng.random(seconds) < 0.3)
        kbps = np.where(changes, kbps, np.where(fps > 0, still, 0.3 * still))
    qp = np.clip(rng.uniform(22, 30) + 2 * motion + 0.8 * jitter, 12, 45)
    return Video(kbps=kbps, fps=fps, qp=qp)
