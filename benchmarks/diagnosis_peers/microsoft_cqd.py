"""The classification of streams of Microsoft's Call Quality Dashboard: averages of a whole stream.

Source: learn.microsoft.com, "Stream Classification in Call Quality Dashboard (CQD)". An audio stream with more than 500
packets is poor if the average round trip, loss or jitter is too high (profile `teams-cqd`). A video stream is judged by the
first metric that is available: lost frames, the average frame rate, the loss after error correction.

Not available: jitter; the share of lost video frames, so the average frame rate counts.
"""

import numpy as np

from agora_analytics.scoring.profiles import PROFILES
from benchmarks.diagnosis_peers.client_samples import (
    AUDIO_PACKETS,
    AUDIO_RECEIVED_LOSS,
    AUDIO_SENT_LOSS,
    RECEIVED_FPS,
    ROUND_TRIP,
    VIDEO_SENT_FPS,
    ClientSamples,
    ClientsOfCall,
    Seconds,
)
from benchmarks.diagnosis_peers.issues import Issue, Rule, peer

_PROFILE = PROFILES["teams-cqd"]
HIGH_ROUND_TRIP = _PROFILE.of("round_trip_time")[0].value
HIGH_LOSS = 100 * _PROFILE.of("audio_packet_loss_received")[0].value
LEAST_PACKETS = 500
LOW_FPS = 7.0

SENT_ROUND_TRIP, SENT_LOSS, SENT_FPS = "sent: round trip", "sent: packet loss", "sent: video frame rate"
RECEIVED_LOSS, RECEIVED_RATE = "received: packet loss", "received: video frame rate"

# A low frame rate has no rule: a shared screen has one as well, and Agora does not report which video is a screen.
RULES = (
    Rule(kind=SENT_ROUND_TRIP, about="own", cause="high_delay"),
    Rule(kind=SENT_LOSS, about="own", cause="uplink_loss"),
    Rule(kind=RECEIVED_LOSS, about="received", cause="downlink_loss"),
)


def detect(clients: ClientsOfCall, uid: str) -> list[Issue]:
    """Return why the streams of one client are poor."""
    client = clients.client(uid)
    if not client.has_samples:
        return []
    round_trip = client.held(ROUND_TRIP)
    found = [
        _issue(SENT_ROUND_TRIP, round_trip, _has_packets(round_trip) and _mean(round_trip) > HIGH_ROUND_TRIP),
        _loss(SENT_LOSS, client, AUDIO_SENT_LOSS, None),
        _frame_rate(SENT_FPS, client, VIDEO_SENT_FPS, None),
    ]
    for sender in client.senders:
        found.append(_loss(RECEIVED_LOSS, client, AUDIO_RECEIVED_LOSS, sender))
        found.append(_frame_rate(RECEIVED_RATE, client, RECEIVED_FPS, sender))
    return [issue for issue in found if issue]


def _mean(values: Seconds) -> float:
    return float(np.nanmean(values))


def _has_packets(values: Seconds) -> bool:
    return float((~np.isnan(values)).sum()) * AUDIO_PACKETS > LEAST_PACKETS


def _issue(kind: str, values: Seconds, is_poor: bool, sender: str | None = None) -> Issue | None:
    return Issue(kind, int((~np.isnan(values)).sum()), sender) if is_poor else None


def _loss(kind: str, client: ClientSamples, mids: tuple[int, ...], sender: str | None) -> Issue | None:
    loss = client.held(mids, sender or "0")
    return _issue(kind, loss, _has_packets(loss) and _mean(loss) > HIGH_LOSS, sender)


def _frame_rate(kind: str, client: ClientSamples, mids: tuple[int, ...], sender: str | None) -> Issue | None:
    fps = client.held(mids, sender or "0")
    return _issue(kind, fps, not np.isnan(fps).all() and _mean(fps) < LOW_FPS, sender)


classify = peer(detect, RULES)
