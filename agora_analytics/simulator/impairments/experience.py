"""What a user of simulated media hears and sees: the seconds in which it is poor, as the model knows them.

This is the truth that a diagnosis is compared with. It uses what no metric shows, such as whether somebody speaks.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import SessionTruth
from agora_analytics.simulator.impairments.conditions import Conditions
from agora_analytics.simulator.impairments.media_path import CallMedia, ReceivedMedia

Seconds = NDArray[np.bool_]

# What a person notices in one second.
_AUDIO_FREEZE, _VIDEO_FREEZE = 200, 400  # ms
_FPS, _KBPS = 0.45, 0.30  # shares of what the sender wants to send
_DELAY = 420  # ms, one way
_SENT_LOSS = 0.10


def poor_seconds(media: CallMedia, uid: str) -> Seconds:
    """Return the seconds of the call in which a user's own media, or what others get of it, is poor."""
    poor = _between_sessions(media, uid)
    for session in media.joined_by_uid.get(uid, ()):
        here = media.in_call(session)
        for second in (*_inbound(media, session), *_outbound(media, session)):
            poor |= second & here
    return poor


def _between_sessions(media: CallMedia, uid: str) -> Seconds:
    """Return when a user is in no session, after the first one and before the last one."""
    present = np.flatnonzero(media.user_in_call(uid))
    absent = np.zeros(media.seconds, dtype=np.bool_)
    if present.size:
        absent[present[0] : present[-1]] = True
        absent[present] = False
    return absent


def _inbound(media: CallMedia, session: SessionTruth) -> Iterator[Seconds]:
    here = media.conditions(session)
    yield ~here.online
    for peer in session.peers:
        if (sender := media.sender(session, peer.uid)) is not None:
            yield _poor(media.received(session, sender), media.conditions(sender), is_watching=session.video)


def _poor(received: ReceivedMedia, there: Conditions, *, is_watching: bool) -> Seconds:
    audio = (received.audio_freeze > _AUDIO_FREEZE) | (received.delay > _DELAY)
    audio |= there.talking & (there.loudness == 0)
    poor = audio & received.audio_present
    if is_watching and there.session.video:
        video = (received.video_freeze > _VIDEO_FREEZE) | (received.fps < _FPS * there.video.fps)
        video |= received.video_kbps < _KBPS * there.video.kbps
        poor |= video & received.video_present
    return poor


def _outbound(media: CallMedia, session: SessionTruth) -> Iterator[Seconds]:
    """Return when what others get of a user is poor because of the user. Nobody notices it without a receiver."""
    has_receiver = any(peer.uid == session.uid for each in media.sessions for peer in each.peers)
    if not has_receiver:
        return
    here, sent = media.conditions(session), media.sent(session)
    audio = (sent.link.loss > _SENT_LOSS) | (media.own_round_trip(session) > 2 * _DELAY)
    yield here.sends_audio & (audio | (here.talking & (here.loudness == 0)))
    if session.video:
        yield here.sends_video & (
            (sent.link.loss > _SENT_LOSS)
            | (sent.fps < _FPS * here.video.fps)
            | (sent.video_kbps < _KBPS * here.video.kbps)
        )
