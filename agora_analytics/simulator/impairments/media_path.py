"""The media of one call: from capture and encoder over the sender's network, the servers and the receiver's network."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.bandwidth import follow_capacity
from agora_analytics.simulator.impairments.conditions import Conditions, conditions_of
from agora_analytics.simulator.impairments.forwarding import Downlink, ForwardedVideo, divide, forwarded_video
from agora_analytics.simulator.impairments.impairment import Impairment
from agora_analytics.simulator.impairments.media_sent import LOW_SCALE, SentMedia, sent_media
from agora_analytics.simulator.impairments.noise_over_time import Series, active
from agora_analytics.simulator.impairments.playback import (
    audio_freeze,
    decoded_share,
    unrepaired,
    video_freeze,
)

_SEEN_AS_FROZEN = 15  # s after which the SDK no longer counts a sender who is offline as frozen

KBPS_OF_PACKETS = 9.6  # kbit/s of video, sent in packets of 1,200 bytes, one a second

Seconds = NDArray[np.bool_]


@frozen(kw_only=True, eq=False)
class ReceivedMedia:
    """What a session receives of one sender, by second of the call.

    Attributes:
        audio_present, video_present: whether the sender is in the call and has the stream published. A sender who is
            offline is present for the first seconds.
        audio_loss, video_loss: the share of packets that are lost from the sender to the receiver.
        downlink_loss: the share that is lost after the sender's uplink.
        audio_packets, video_packets: that the sender and the server send to the receiver, a second.
        audio_freeze, video_freeze: in ms of the second.
        volume: of the playback, from 0 to 255.
        is_low: whether the receiver gets the video of low quality.
        delay: from the sender to the receiver, one way, in ms.
    """

    audio_present: Seconds
    video_present: Seconds
    audio_loss: Series
    video_loss: Series
    downlink_loss: Series
    audio_packets: Series
    video_packets: Series
    audio_kbps: Series
    video_kbps: Series
    fps: Series
    scale: Series
    audio_freeze: Series
    video_freeze: Series
    volume: Series
    is_low: Seconds
    delay: Series


@define(eq=False)
class CallMedia:
    """The media of a call under impairments. Each part is computed at its first use.

    A stay is what a user has with one device: the sessions with one key. They have the same device, network and media.
    Each method takes any session of a stay, and its series are for the whole call.
    """

    call: CallTruth
    impairments: Sequence[Impairment]
    _conditions: dict[int, Conditions] = field(factory=dict, init=False)
    _sent_freely: dict[int, SentMedia] = field(factory=dict, init=False)
    _sent: dict[int, SentMedia] = field(factory=dict, init=False)
    _downlinks: dict[int, Downlink] = field(factory=dict, init=False)
    _in_stay: dict[int, Seconds] = field(factory=dict, init=False)

    @cached_property
    def sessions(self) -> tuple[SessionTruth, ...]:
        """The sessions of the call."""
        return tuple(self.call.sessions)

    @cached_property
    def stays(self) -> Mapping[str, Mapping[int, Sequence[SessionTruth]]]:
        """The sessions of each user, by their key, without failed attempts to join."""
        stays: dict[str, dict[int, list[SessionTruth]]] = {}
        for session in self.sessions:
            if session.joined:
                stays.setdefault(session.uid, {}).setdefault(session.key, []).append(session)
        return stays

    def stays_of(self, uid: str) -> list[SessionTruth]:
        """Return the first session of each stay of a user."""
        return [sessions[0] for sessions in self.stays.get(uid, {}).values()]

    def senders(self, receiver: SessionTruth, uid: str) -> list[SessionTruth]:
        """Return the stays of a user that another one receives, one after another.

        Of stays at the same time, it is the one that is longest in the call with the receiver.
        """
        join, leave = self._span(receiver)
        found: list[tuple[int, int, SessionTruth]] = []
        for stay in self.stays_of(uid):
            first, last = self._span(stay)
            found.append((max(first, join), min(last, leave), stay))
        chosen: list[tuple[int, int, SessionTruth]] = []
        for begin, end, stay in sorted(found, key=lambda each: each[0] - each[1]):
            if begin <= end and all(end < first or begin > last for first, last, _ in chosen):
                chosen.append((begin, end, stay))
        return [stay for _, _, stay in chosen]

    def _span(self, stay: SessionTruth) -> tuple[int, int]:
        sessions = self.stays[stay.uid][stay.key]
        return min(each.join_ts for each in sessions), max(each.leave_ts for each in sessions)

    @cached_property
    def _receivers(self) -> Mapping[str, frozenset[str]]:
        """The users who receive each user."""
        receivers: dict[str, set[str]] = {}
        for session in self.sessions:
            for peer in session.peers:
                receivers.setdefault(peer.uid, set()).add(session.uid)
        return {uid: frozenset(uids) for uid, uids in receivers.items()}

    def has_receiver(self, uid: str) -> bool:
        """Return whether anybody receives a user."""
        return uid in self._receivers

    @property
    def seconds(self) -> int:
        """The length of the series: the seconds of the call, both ends included."""
        return self.call.destroyed_ts - self.call.created_ts + 1

    def in_stay(self, session: SessionTruth) -> Seconds:
        """Return in which seconds the user is in the call with this device."""
        if session.key not in self._in_stay:
            inside = np.zeros(self.seconds, dtype=np.bool_)
            for each in self.stays.get(session.uid, {}).get(session.key, ()):
                begin = self.call.created_ts
                inside[max(each.join_ts - begin, 0) : each.leave_ts - begin + 1] = True
            self._in_stay[session.key] = inside
        return self._in_stay[session.key]

    def user_in_call(self, uid: str) -> Seconds:
        """Return in which seconds any session of a user is in the call."""
        inside = np.zeros(self.seconds, dtype=np.bool_)
        for stay in self.stays_of(uid):
            inside |= self.in_stay(stay)
        return inside

    def conditions(self, session: SessionTruth) -> Conditions:
        """Return the device and network of a session."""
        if session.key not in self._conditions:
            self._conditions[session.key] = conditions_of(self.call, session, self.impairments)
        return self._conditions[session.key]

    def sent_freely(self, session: SessionTruth) -> SentMedia:
        """Return what a session would send if all receivers could receive it."""
        if session.key not in self._sent_freely:
            self._sent_freely[session.key] = sent_media(self.conditions(session))
        return self._sent_freely[session.key]

    def sent(self, session: SessionTruth) -> SentMedia:
        """Return what a session sends. With one receiver and one stream, it is what the receiver's downlink carries."""
        if session.key not in self._sent:
            self._sent[session.key] = self._limited(session) or self.sent_freely(session)
        return self._sent[session.key]

    def _limited(self, session: SessionTruth) -> SentMedia | None:
        if not self._follows_receiver(session):
            return None
        free = self.sent_freely(session)
        audio, video = np.ones(self.seconds), np.ones(self.seconds)
        (uid,) = self._receivers[session.uid]
        for receiver in self.stays_of(uid):
            here, downlink = self.in_stay(receiver), self.downlink(receiver)
            audio[here], video[here] = downlink.audio_share[here], downlink.video_share[here]
        if min(audio.min(), video.min()) >= 1:
            return None
        return sent_media(self.conditions(session), free.audio_kbps * audio, free.video_kbps * video)

    def _follows_receiver(self, session: SessionTruth) -> bool:
        return len(self._receivers.get(session.uid, ())) == 1 and not self.conditions(session).two_streams

    def received(self, receiver: SessionTruth, sender: SessionTruth) -> ReceivedMedia:
        """Return what a session receives of another one, while the receiver is in the call."""
        here, there, sent = self.conditions(receiver), self.conditions(sender), self.sent(sender)
        rng = np.random.default_rng([receiver.key, sender.key, 3])
        up, downlink = sent.link, self.downlink(receiver)
        down = downlink.link
        server_loss = self._server_loss(here.region, there.region)
        audio_share, video = downlink.audio_share, forwarded_video(sent, downlink)
        if self._follows_receiver(sender):
            audio_share, video = np.ones(self.seconds), ForwardedVideo.all_of(sent)
        after = 1 - (1 - server_loss) * (1 - down.loss)
        loss = 1 - (1 - up.loss) * (1 - after)
        arrived = (
            np.minimum(1 - up.loss, up.carried) * (1 - server_loss) * np.minimum(1 - down.loss, down.carried)
        )
        distance = 0.0 if here.region == there.region else 70.0
        delay = (here.round_trip + there.round_trip) / 2 + up.queue + down.queue + distance
        published = self.in_stay(sender) & there.online
        gone = self._lost_connection(sender)
        # What retransmission does not repair in time: each link repairs its own losses.
        left = unrepaired(up.loss, there.round_trip + up.queue)
        left += unrepaired(after, here.round_trip + down.queue)
        audio_loss = 1 - (1 - loss) * audio_share
        hangs = audio_freeze(rng, audio_loss, delay, here) * published
        stands = video_freeze(rng, left, video.fps, here, there) * published
        lost = gone | ~here.online
        hangs, stands = np.where(lost, 1000.0, hangs), np.where(lost, 1000.0, stands)
        received = published & here.online
        return ReceivedMedia(
            audio_present=(published | gone) & there.sends_audio,
            video_present=(published | gone) & there.sends_video,
            audio_loss=audio_loss,
            video_loss=loss,
            downlink_loss=after,
            audio_packets=there.speech.packets * (sent.audio_kbps > 0),
            video_packets=video.kbps / KBPS_OF_PACKETS,
            audio_kbps=sent.audio_kbps * arrived * audio_share * received,
            video_kbps=video.kbps * arrived * received,
            fps=video.fps * (1 - stands / 1000) * (1 - 0.3 * loss) * decoded_share(here) * received,
            scale=np.where(video.is_low, LOW_SCALE, sent.scale),
            audio_freeze=hangs,
            video_freeze=stands,
            volume=there.speech.loudness * (sent.audio_kbps > 0) * (1 - hangs / 1000) * received,
            is_low=video.is_low,
            delay=delay,
        )

    def own_round_trip(self, session: SessionTruth) -> Series:
        """Return the round trip to the server in ms, with the queues of the session's own media."""
        queues = self.sent(session).link.queue + self.downlink(session).link.queue
        return self.conditions(session).round_trip + queues

    def downlink(self, receiver: SessionTruth) -> Downlink:
        """Return what a session's downlink carries of all that the session's peers send."""
        if receiver.key not in self._downlinks:
            here = self.conditions(receiver)
            stays = [stay for peer in receiver.peers for stay in self.senders(receiver, peer.uid)]
            streams = [self.sent_freely(stay) for stay in stays]
            present = [self.in_stay(stay) for stay in stays]
            offered, lost = np.full(self.seconds, 1.0), np.zeros(self.seconds)
            for stay, sent, there in zip(stays, streams, present, strict=True):
                rate = (sent.audio_kbps + sent.video_kbps) * there
                offered += rate
                lost += rate * self._server_loss(here.region, self.conditions(stay).region)
            link = follow_capacity(offered, here.downlink_kbps, here.downlink_loss, lost / offered)
            self._downlinks[receiver.key] = divide(link, streams, present)
        return self._downlinks[receiver.key]

    def _lost_connection(self, sender: SessionTruth) -> Seconds:
        """Return when a sender is offline so recently that receivers still count the stream as frozen."""
        at = np.arange(self.seconds)
        present = np.flatnonzero(self.in_stay(sender))
        offline = ~self.conditions(sender).online & (at >= present[0]) & (at <= present[-1])
        began = np.where(offline & ~np.roll(offline, 1), at, 0)
        lost: Seconds = offline & (at - np.maximum.accumulate(began) < _SEEN_AS_FROZEN)
        return lost

    def _server_loss(self, *regions: str) -> Series:
        loss = np.zeros(self.seconds)
        faults = [each for each in self.impairments if each.cause == "server_loss"]
        for number, impairment in enumerate(faults):
            if impairment.region in (None, *regions):
                rng = np.random.default_rng([_seed(self.call.call_id), number, 4])
                start, end = impairment.since - self.call.created_ts, impairment.until - self.call.created_ts
                level = active(rng, self.seconds, start, end, intermittent=impairment.intermittent)
                strength = 0.08 + 0.35 * impairment.severity**1.5
                loss = np.maximum(loss, level * strength * rng.gamma(4, 1 / 4, self.seconds))
        return np.minimum(loss, 0.95)


def _seed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
