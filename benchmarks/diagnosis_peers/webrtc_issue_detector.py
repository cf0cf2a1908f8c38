"""The detectors of webrtc-issue-detector 1.17.3 that Agora's samples have the inputs of.

Source: the npm package, `dist/bundle-esm.js`; github.com/VLprojects/webrtc-issue-detector, `src/detectors`. Statistics are
polled every 5 s. Thresholds that the profile `webrtc-issue-detector` has are taken from it.

Not available, and so without issues: jitter and the jitter buffer (inbound and outbound media latency, media sync), the
estimate of the outgoing bitrate and the encoder's reason for a limitation (throughput, encoder CPU), the number of freezes
(mean freeze), the decoder's name. Jitter counts as 0 in the score.
"""

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.scoring.profiles import PROFILES
from benchmarks.diagnosis_peers.client_samples import (
    AUDIO_PACKETS,
    AUDIO_RECEIVED_KBPS,
    AUDIO_RECEIVED_LOSS,
    AUDIO_SENT_KBPS,
    AUDIO_SENT_LOSS,
    KBPS_OF_VIDEO_PACKETS,
    RECEIVED_FPS,
    RECEIVED_WIDTH,
    ROUND_TRIP,
    VIDEO_FREEZE,
    VIDEO_RECEIVED_KBPS,
    VIDEO_RECEIVED_LOSS,
    VIDEO_SENT_KBPS,
    VIDEO_SENT_LOSS,
    ClientSamples,
    ClientsOfCall,
    Seconds,
    mean_of_polls,
)
from benchmarks.diagnosis_peers.issues import Issue, Rule, peer

_PROFILE = PROFILES["webrtc-issue-detector"]
HIGH_LOSS = 100 * _PROFILE.of("audio_packet_loss_received")[0].value
HIGH_ROUND_TRIP = _PROFILE.of("round_trip_time")[0].value
FROZEN_SHARE = _PROFILE.of("video_freeze_time")[0].value
POLL = 5  # s: getStatsInterval
BAD_MOS = 2.1
MOST_POLLS = 5  # maxParsedStatsStorageSize: polls that a detector keeps
LEAST_POLLS = 5  # for the volatility of the frame rate
VOLATILITY, AFFECTED_STREAMS = 8.0, 30.0  # %
FRAME_INTERVAL_DEVIATION = 30.0  # ms
MISSING_POLLS = 3

OUTBOUND, INBOUND, SERVER = "outbound-network-quality", "inbound-network-quality", "server-issue"
FROZEN, DECODER = "frozen-video-track", "decoder-cpu-throttling"
MISSING_AUDIO, MISSING_VIDEO = "missing-audio-stream-data", "missing-video-stream-data"

RULES = (
    # `server-issue` is a long round trip without loss. Read as the servers', it would be wrong for each high delay.
    Rule(kind=SERVER, about="own", cause="high_delay", least=30),
    Rule(kind=OUTBOUND, about="own", cause="uplink_loss", least=30),
    Rule(kind=INBOUND, about="received", cause="downlink_loss", least=30),
    Rule(kind=MISSING_AUDIO, about="received", cause="reconnects", side="sender", least=20),
    Rule(kind=MISSING_VIDEO, about="received", cause="capture_stopped", side="sender"),
    Rule(kind=DECODER, about="received", cause="cpu", least=45),
    Rule(kind=FROZEN, about="received", cause="reconnects", side="sender", least=15),
)


@frozen(eq=False)
class VideoPolls:
    """A received video at each poll."""

    sender: str
    kbps: Seconds
    fps: Seconds
    width: Seconds
    frozen: Seconds


def detect(clients: ClientsOfCall, uid: str) -> list[Issue]:
    """Return the issues of one client."""
    client = clients.client(uid)
    if not client.has_samples:
        return []
    round_trip = client.polled(POLL, ROUND_TRIP)
    inbound, outbound = _inbound_loss(client), _outbound_loss(client)
    # The first poll of a connection has no previous one.
    has_previous = np.arange(len(round_trip)) > 0
    lossy = (np.rint(inbound) > HIGH_LOSS) & has_previous
    slow = (round_trip >= HIGH_ROUND_TRIP) & ~lossy & has_previous
    counted = {
        INBOUND: lossy,
        OUTBOUND: (np.rint(outbound) > HIGH_LOSS) & has_previous,
        SERVER: slow,
    }
    issues = [Issue(kind, POLL * int(found.sum())) for kind, found in counted.items() if found.any()]
    mos = inbound_mos(round_trip, np.nan_to_num(np.rint(inbound)))
    videos = [_video(client, sender) for sender in client.senders]
    issues += _frozen(videos, mos)
    issues += _decoder(videos, mos)
    for sender in client.senders:
        for kind, mids in ((MISSING_AUDIO, AUDIO_RECEIVED_KBPS), (MISSING_VIDEO, VIDEO_RECEIVED_KBPS)):
            polls = missing_polls(client.polled(POLL, mids, sender))
            if polls:
                issues.append(Issue(kind, POLL * polls, sender))
    return issues


def inbound_mos(round_trip: Seconds, loss: Seconds) -> Seconds:
    """Return the tool's score of each poll, from the round trip in ms and the loss in percent. Jitter counts as 0."""
    delay = round_trip + 10
    rating = np.where(delay < 160, 93.2 - delay / 40, 93.2 - (delay - 120) / 10) - 2.5 * loss
    return np.clip(1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating), 0, 5)


def _inbound_loss(client: ClientSamples) -> Seconds:
    """Return the loss of all received streams together in percent, by poll."""
    parts = []
    for sender in client.senders:
        parts.append(_packets(client, AUDIO_RECEIVED_LOSS, AUDIO_RECEIVED_KBPS, sender, None))
        video = (VIDEO_RECEIVED_LOSS, VIDEO_RECEIVED_KBPS, sender, KBPS_OF_VIDEO_PACKETS)
        parts.append(_packets(client, *video))
    return _weighted(parts, client.length // POLL)


def _outbound_loss(client: ClientSamples) -> Seconds:
    audio = _packets(client, AUDIO_SENT_LOSS, AUDIO_SENT_KBPS, "0", None)
    video = _packets(client, VIDEO_SENT_LOSS, VIDEO_SENT_KBPS, "0", KBPS_OF_VIDEO_PACKETS)
    return _weighted([audio, video], client.length // POLL)


def _packets(
    client: ClientSamples,
    loss: tuple[int, ...],
    kbps: tuple[int, ...],
    sender: str,
    kbits_of_packet: float | None,
) -> tuple[Seconds, Seconds]:
    """Return the loss in percent and the packets a second of a stream, by poll. Packets of audio have a fixed length."""
    rate = client.polled(POLL, kbps, sender)
    packets = np.where(rate > 0, AUDIO_PACKETS, 0.0) if kbits_of_packet is None else rate / kbits_of_packet
    return client.polled(POLL, loss, sender), packets


def _weighted(parts: list[tuple[Seconds, Seconds]], polls: int) -> Seconds:
    lost, sent = np.zeros(polls), np.zeros(polls)
    for loss, packets in parts:
        known = ~np.isnan(loss) & ~np.isnan(packets)
        # A stream of which nothing arrived still has a loss, but no known number of packets.
        weight = np.where(known, np.maximum(np.nan_to_num(packets), 1e-3), 0.0)
        lost += np.nan_to_num(loss) * weight
        sent += weight
    return np.divide(lost, sent, out=np.full(polls, np.nan), where=sent > 0)


def _video(client: ClientSamples, sender: str) -> VideoPolls:
    return VideoPolls(
        sender=sender,
        kbps=client.polled(POLL, VIDEO_RECEIVED_KBPS, sender),
        fps=client.polled(POLL, RECEIVED_FPS, sender),
        width=client.polled(POLL, RECEIVED_WIDTH, sender),
        frozen=mean_of_polls(client.share_of_time(VIDEO_FREEZE, sender), POLL),
    )


def _differs(width: Seconds) -> NDArray[np.bool_]:
    """Return whether the size of the picture changed since the previous poll."""
    changed = np.zeros(len(width), dtype=np.bool_)
    changed[1:] = (width[1:] != width[:-1]) & ~np.isnan(width[1:]) & ~np.isnan(width[:-1])
    return changed


def _is_uneven(fps: Seconds) -> bool:
    """Return whether the mean interval between frames varies from poll to poll."""
    intervals = 1000 / fps[fps > 0]
    return len(intervals) > 1 and float(np.std(intervals)) > FRAME_INTERVAL_DEVIATION


def _frozen(videos: list[VideoPolls], mos: Seconds) -> Iterator[Issue]:
    first = 0  # of the polls that the detector keeps
    seconds = dict.fromkeys((video.sender for video in videos), 0)
    for poll in range(len(mos)):
        if mos[poll] <= BAD_MOS or poll <= first:
            continue
        kept = slice(max(first, poll - MOST_POLLS), poll)
        found = [
            video.sender
            for video in videos
            if video.frozen[poll] > FROZEN_SHARE
            and not _differs(video.width[poll - 1 : poll + 1]).any()
            and not _is_uneven(video.fps[kept][1:])
        ]
        for sender in found:
            seconds[sender] += POLL
        if found:
            first = poll
    return (Issue(FROZEN, total, sender) for sender, total in seconds.items() if total)


def _decoder(videos: list[VideoPolls], mos: Seconds) -> Iterator[Issue]:
    first = total = 0
    for poll in range(len(mos)):
        begin = max(first, poll - MOST_POLLS)
        present = [video for video in videos if not np.isnan(video.kbps[poll])]
        if poll + 1 - begin < LEAST_POLLS or not present or (mos[begin : poll + 1] <= BAD_MOS).any():
            continue
        volatile = [
            video
            for video in present
            if not _differs(video.width[begin : poll + 1]).any()
            and not _is_uneven(video.fps[begin + 1 : poll + 1])
            and is_volatile(video.fps[begin:poll])
        ]
        if 100 * len(volatile) / len(present) > AFFECTED_STREAMS:
            total += POLL
            first = poll
    if total:
        yield Issue(DECODER, total)


def is_volatile(fps: Seconds) -> bool:
    """Return whether the frame rate of the previous polls differs from its mean by more than 8 % on average."""
    fps = fps[~np.isnan(fps)]
    if len(fps) < LEAST_POLLS or not fps.any():
        return False
    return float(np.abs(fps - fps.mean()).mean() * 100 / fps.mean()) > VOLATILITY


def missing_polls(kbps: Seconds) -> int:
    """Return for how many polls no byte of a stream has arrived since two polls earlier."""
    silent = kbps == 0
    run = silent.copy()
    for lag in range(1, MISSING_POLLS - 1):
        run[lag:] &= silent[:-lag]
        run[:lag] = False
    return int(run.sum())


classify = peer(detect, RULES)
