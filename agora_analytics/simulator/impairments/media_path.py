"""The media of one call: from capture and encoder over the sender's network, the servers and the receiver's network."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.bandwidth import LinkRate, follow_capacity
from agora_analytics.simulator.impairments.conditions import AUDIO_KBPS, Conditions, conditions_of
from agora_analytics.simulator.impairments.impairment import Impairment
from agora_analytics.simulator.impairments.noise_over_time import Series, active

_LOW_KBPS, _LOW_FPS = 90.0, 10.0
_SEEN_AS_FROZEN = 15  # s after which the SDK no longer counts a sender who is offline as frozen


@frozen(kw_only=True, eq=False)
class SentMedia:
    """What a session sends, by second: rates in kbit/s, frames a second, the scale of the picture, and the link."""

    audio_kbps: Series
    video_kbps: Series
    capture_fps: Series
    fps: Series
    scale: Series
    link: LinkRate


@frozen(kw_only=True, eq=False)
class ReceivedMedia:
    """What a session receives of one sender, by second.

    Attributes:
        present: whether the sender is in the call, connected and has the stream published.
        loss: the share of packets that are lost from the sender to the receiver.
        audio_freeze, video_freeze: in ms of the second.
        volume: of the playback, from 0 to 255.
        is_low: whether the receiver gets the video of low quality.
        delay: from the sender to the receiver, one way, in ms.
    """

    audio_present: NDArray[np.bool_]
    video_present: NDArray[np.bool_]
    loss: Series
    audio_kbps: Series
    video_kbps: Series
    fps: Series
    scale: Series
    audio_freeze: Series
    video_freeze: Series
    volume: Series
    is_low: NDArray[np.bool_]
    delay: Series


@define(eq=False)
class CallMedia:
    """The media of a call under impairments. Each session's part is computed at its first use."""

    call: CallTruth
    impairments: Sequence[Impairment]
    _conditions: dict[str, Conditions] = field(factory=dict, init=False)
    _sent: dict[str, SentMedia] = field(factory=dict, init=False)
    _downlinks: dict[str, LinkRate] = field(factory=dict, init=False)

    @cached_property
    def sessions(self) -> tuple[SessionTruth, ...]:
        """The sessions of the call."""
        return tuple(self.call.sessions)

    @cached_property
    def joined_by_uid(self) -> Mapping[str, Sequence[SessionTruth]]:
        """The sessions of each user, without failed attempts to join."""
        by_uid: dict[str, list[SessionTruth]] = {}
        for session in self.sessions:
            if session.joined:
                by_uid.setdefault(session.uid, []).append(session)
        return by_uid

    @property
    def seconds(self) -> int:
        """The length of the series: the seconds of the call, both ends included."""
        return self.call.destroyed_ts - self.call.created_ts + 1

    def in_call(self, session: SessionTruth) -> NDArray[np.bool_]:
        """Return in which seconds a session is in the call."""
        at = np.arange(self.seconds) + self.call.created_ts
        inside: NDArray[np.bool_] = (at >= session.join_ts) & (at <= session.leave_ts)
        return inside & session.joined

    def user_in_call(self, uid: str) -> NDArray[np.bool_]:
        """Return in which seconds any session of a user is in the call."""
        inside = np.zeros(self.seconds, dtype=np.bool_)
        for session in self.joined_by_uid.get(uid, ()):
            inside |= self.in_call(session)
        return inside

    def conditions(self, session: SessionTruth) -> Conditions:
        """Return the device and network of a session."""
        if session.sid not in self._conditions:
            self._conditions[session.sid] = conditions_of(self.call, session, self.impairments)
        return self._conditions[session.sid]

    def sent(self, session: SessionTruth) -> SentMedia:
        """Return what a session sends."""
        if session.sid not in self._sent:
            self._sent[session.sid] = _sent(self.conditions(session))
        return self._sent[session.sid]

    def sender(self, receiver: SessionTruth, uid: str) -> SessionTruth | None:
        """Return the session of a user that another session receives: the one that is longest in the call with it."""
        sessions = [
            each for each in self.sessions if each.uid == uid and each.joined and each.sid != receiver.sid
        ]
        return max(sessions, key=lambda each: _overlap(each, receiver), default=None)

    def received(self, receiver: SessionTruth, sender: SessionTruth) -> ReceivedMedia:
        """Return what a session receives of another one."""
        here, there, sent = self.conditions(receiver), self.conditions(sender), self.sent(sender)
        rng = np.random.default_rng([receiver.key, sender.key, 3])
        downlink = self._downlink(receiver)
        share = _share_received(downlink, self._offered(receiver))
        server_loss = self._server_loss(here.region, there.region)
        loss = 1 - (1 - sent.link.loss) * (1 - server_loss) * (1 - downlink.loss)
        distance = 0.0 if here.region == there.region else 70.0
        delay = (here.round_trip + there.round_trip) / 2 + sent.link.queue + downlink.queue + distance
        published = self.user_in_call(sender.uid) & self.in_call(receiver) & there.online
        audio, video = published & there.sends_audio, published & there.sends_video
        is_low = (share < 0.6) & there.two_streams
        fps = np.where(is_low, np.minimum(_LOW_FPS, sent.fps), sent.fps * np.minimum(1, 1.3 * share))
        kbps = np.where(is_low, np.minimum(_LOW_KBPS, sent.video_kbps), sent.video_kbps * share)
        gone = self._lost_connection(sender) & here.online
        audio_freeze = _audio_freeze(rng, loss, delay, here) * audio + 1000 * (gone & there.sends_audio)
        video_freeze = _video_freeze(rng, loss, delay, sent, here, there) * video
        video_freeze += 1000 * (gone & there.sends_video)
        heard = sent.audio_kbps > 0
        return ReceivedMedia(
            audio_present=audio | (gone & there.sends_audio),
            video_present=video | (gone & there.sends_video),
            loss=loss,
            audio_kbps=sent.audio_kbps * (1 - loss) * published,
            video_kbps=kbps * (1 - loss) * published,
            fps=fps * (1 - video_freeze / 1000) * (1 - 0.3 * loss) * _decoded(here) * published,
            scale=np.where(is_low, 0.25, sent.scale),
            audio_freeze=np.minimum(audio_freeze, 1000),
            video_freeze=np.minimum(video_freeze, 1000),
            volume=there.loudness * heard * (1 - np.minimum(audio_freeze, 1000) / 1000) * published,
            is_low=is_low,
            delay=delay,
        )

    def own_round_trip(self, session: SessionTruth) -> Series:
        """Return the round trip to the server in ms, with the queues of the session's own media."""
        queues = self.sent(session).link.queue + self._downlink(session).queue
        return self.conditions(session).round_trip + queues

    def _downlink(self, receiver: SessionTruth) -> LinkRate:
        if receiver.sid not in self._downlinks:
            here = self.conditions(receiver)
            offered = self._offered(receiver)
            self._downlinks[receiver.sid] = follow_capacity(offered, here.downlink_kbps, here.downlink_loss)
        return self._downlinks[receiver.sid]

    def _offered(self, receiver: SessionTruth) -> Series:
        """Return what all senders together send to a session, in kbit/s."""
        total = np.full(self.seconds, 1.0)
        for peer in receiver.peers:
            if (sender := self.sender(receiver, peer.uid)) is not None:
                sent = self.sent(sender)
                total += (sent.audio_kbps + sent.video_kbps) * self.user_in_call(sender.uid)
        return total

    def _lost_connection(self, sender: SessionTruth) -> NDArray[np.bool_]:
        """Return when a sender is offline so recently that receivers still count the stream as frozen."""
        at = np.arange(self.seconds) + self.call.created_ts
        sessions = self.joined_by_uid[sender.uid]
        stay = (at >= min(each.join_ts for each in sessions)) & (
            at <= max(each.leave_ts for each in sessions)
        )
        offline = ~self.conditions(sender).online & stay
        began = np.where(offline & ~np.roll(offline, 1), np.arange(self.seconds), 0)
        recent: NDArray[np.bool_] = np.arange(self.seconds) - np.maximum.accumulate(began) < _SEEN_AS_FROZEN
        return offline & recent

    def _server_loss(self, *regions: str) -> Series:
        loss = np.zeros(self.seconds)
        for number, impairment in enumerate(self.impairments):
            if impairment.cause == "server_loss" and impairment.region in (None, *regions):
                rng = np.random.default_rng([_seed(self.call.call_id), number, 4])
                start, end = impairment.since - self.call.created_ts, impairment.until - self.call.created_ts
                level = active(rng, self.seconds, start, end, intermittent=impairment.intermittent)
                strength = 0.08 + 0.35 * impairment.severity**1.5
                loss = np.maximum(loss, level * strength * rng.gamma(4, 1 / 4, self.seconds))
        return np.minimum(loss, 0.95)


def _seed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())


def _overlap(one: SessionTruth, other: SessionTruth) -> int:
    return min(one.leave_ts, other.leave_ts) - max(one.join_ts, other.join_ts)


def _sent(here: Conditions) -> SentMedia:
    audio = AUDIO_KBPS * here.sends_audio * np.where(here.loudness > 0, 1.0, 0.6)  # silence needs fewer bits
    frames = here.capture * _encoded(here)
    wanted = audio + here.video.kbps * here.sends_video * np.maximum(frames, 0.02)
    link = follow_capacity(wanted, here.uplink_kbps, here.uplink_loss)
    video = np.maximum(link.kbps - audio, 0) * here.sends_video
    ratio = np.divide(video, here.video.kbps)
    # The encoder reduces the picture where the rate stays low, and the frame rate at once.
    smooth = np.convolve(np.concatenate([np.full(9, ratio[0]), ratio]), np.full(10, 0.1), mode="valid")
    scale = np.select([smooth > 0.5, smooth > 0.2], [1.0, 0.75], 0.5)
    squeezed = np.where(frames < 0.5, 1.0, np.minimum(1, 1.8 * ratio + 0.15))
    online = here.online.astype(np.float64)
    return SentMedia(
        audio_kbps=np.minimum(audio, link.kbps) * online,
        video_kbps=video * online,
        capture_fps=here.video.fps * here.capture * np.maximum(_encoded(here), 0.5),
        fps=here.video.fps * frames * squeezed * here.sends_video * online,
        scale=scale,
        link=link,
    )


def _encoded(here: Conditions) -> Series:
    """Return the share of the frames that the processor can encode."""
    return 1 - np.clip((here.system_cpu - 0.88) * 8, 0, 0.85)


def _decoded(here: Conditions) -> Series:
    """Return the share of the frames that the processor can decode."""
    return 1 - np.clip((here.system_cpu - 0.88) * 5, 0, 0.7)


def _share_received(downlink: LinkRate, offered: Series) -> Series:
    share: Series = np.minimum(1, downlink.kbps / np.maximum(offered, 1))
    return share


def _audio_freeze(rng: np.random.Generator, loss: Series, delay: Series, here: Conditions) -> Series:
    """Return the ms of each second in which the audio stands still: concealment hides losses of some per cent."""
    seconds = len(loss)
    freeze = 1000 * np.clip(1.1 * (loss - 0.09), 0, 1) * rng.gamma(2, 0.5, seconds)
    jump = np.abs(np.diff(delay, prepend=delay[0]))
    freeze += np.clip(jump - 180, 0, 400) * rng.random(seconds)
    freeze += 1000 * np.clip((here.system_cpu - 0.92) * 5, 0, 0.5) * rng.random(seconds)
    return np.minimum(freeze, 1000)


def _video_freeze(
    rng: np.random.Generator,
    loss: Series,
    delay: Series,
    sent: SentMedia,
    here: Conditions,
    there: Conditions,
) -> Series:
    """Return the ms of each second in which the video stands still. Retransmission repairs losses if the delay is low."""
    seconds = len(loss)
    left = loss * (0.12 + 0.88 * np.clip(delay / 600, 0, 1) ** 1.5)
    chance = 1 - np.exp(-12 * np.clip(left - 0.004, 0, 1))
    chance = np.maximum(chance, np.clip((here.system_cpu - 0.90) * 6, 0, 0.9))
    freeze = (rng.random(seconds) < chance) * rng.uniform(300, 1000, seconds)
    if there.freezes_without_frames:
        freeze = np.maximum(freeze, 1000.0 * (there.capture == 0))
    low = (sent.fps > 0) & (sent.fps < min(4.0, 0.7 * there.video.fps))
    still: Series = np.minimum(freeze + low * rng.uniform(0, 300, seconds), 1000)
    return still
