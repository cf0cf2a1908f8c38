"""Seconds of poor quality that a user experiences, as the model knows them.

This is the truth that a diagnosis is compared with. It uses what no metric shows, such as whether somebody speaks.
"""

from collections.abc import Iterator

import numpy as np

from agora_analytics.simulator.ground_truth.records import SessionTruth
from agora_analytics.simulator.impairments.conditions import Conditions
from agora_analytics.simulator.impairments.media_path import CallMedia, ReceivedMedia, Seconds

# What a person notices in one second.
_AUDIO_FREEZE, _VIDEO_FREEZE = 200, 400  # ms
_FPS, _KBPS = 0.45, 0.30  # shares of what the sender wants to send
_DELAY = 420  # ms, one way
_SENT_LOSS = 0.10


def poor_seconds(media: CallMedia, uid: str) -> Seconds:
    """Return the seconds of the call in which a user's own media, or what others get of it, is poor."""
    poor = np.zeros(media.seconds, dtype=np.bool_)
    for stay in media.stays_of(uid):
        here = media.in_stay(stay)
        poor |= _disconnected(media, stay)
        for second in (*_inbound(media, stay), *_outbound(media, stay)):
            poor |= second & here
    return poor


def _disconnected(media: CallMedia, stay: SessionTruth) -> Seconds:
    """Return when the user is offline, from the first join to the last leave; new sessions may follow."""
    present = np.flatnonzero(media.in_stay(stay))
    offline = ~media.conditions(stay).online
    offline[: present[0]] = offline[present[-1] + 1 :] = False
    return offline


def _inbound(media: CallMedia, stay: SessionTruth) -> Iterator[Seconds]:
    for peer in stay.peers:
        for sender in media.senders(stay, peer.uid):
            yield _poor(media.received(stay, sender), media.conditions(sender), is_watching=stay.video)


def _poor(received: ReceivedMedia, there: Conditions, *, is_watching: bool) -> Seconds:
    audio = (received.audio_freeze > _AUDIO_FREEZE) | (received.delay > _DELAY)
    audio |= there.speech.talking & there.dead_microphone
    poor = audio & received.audio_present
    if is_watching and there.session.video:
        video = (received.video_freeze > _VIDEO_FREEZE) | (received.fps < _FPS * there.video.fps)
        video |= received.video_kbps < _KBPS * there.video.kbps
        poor |= video & received.video_present
    return poor


def _outbound(media: CallMedia, stay: SessionTruth) -> Iterator[Seconds]:
    """Return when what others get of a user is poor because of the user. Nobody notices it without a receiver."""
    if not media.has_receiver(stay.uid):
        return
    here, sent = media.conditions(stay), media.sent_freely(stay)
    audio = (sent.link.loss > _SENT_LOSS) | (media.own_round_trip(stay) > 2 * _DELAY)
    yield here.sends_audio & (audio | (here.speech.talking & here.dead_microphone))
    if stay.video:
        yield here.sends_video & (
            (sent.link.loss > _SENT_LOSS)
            | (sent.fps < _FPS * here.video.fps)
            | (sent.video_kbps < _KBPS * here.video.kbps)
        )
