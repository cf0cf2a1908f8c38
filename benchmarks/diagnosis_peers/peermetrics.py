"""The issues of peermetrics that Agora's samples have the inputs of: the estimated score, rejoins, failed connections.

Source: github.com/peermetrics/api, `app/views/job_webhook_view.py` (eMOS of received audio; three polls of 10 s below the
threshold), `session_view.py` (`multiple_rejoins`: a second session) and `models/issue.py` (`no_connection`). Thresholds are
those of the profile `peermetrics`. The loss is that since the beginning of the track, and the formula takes the share of
packets where the constant `Bpl` expects percent, so a loss hardly changes the score.

Not available: the jitter buffer, which counts as 0; ICE states, devices, TCP and TURN. A session without any sample is one
that found no connection.
"""

import numpy as np

from agora_analytics.scoring.profiles import PROFILES
from benchmarks.diagnosis_peers.client_samples import (
    AUDIO_RECEIVED_KBPS,
    AUDIO_RECEIVED_LOSS,
    ROUND_TRIP,
    ClientSamples,
    ClientsOfCall,
    Seconds,
)
from benchmarks.diagnosis_peers.issues import Issue, Rule, peer

_LOW, _VERY_LOW = PROFILES["peermetrics"].of("audio_mos")
POLL = 10  # s: DEFAULT_INTERVAL
LEAST_SECONDS = 30
FAILED_SESSION, REJOIN = 60, 30  # s that such an issue counts as
LOW_EMOS, VERY_LOW_EMOS = "low_emos", "very_low_emos"
REJOINS, NO_CONNECTION = "multiple_rejoins", "no_connection"

# The score hardly changes with the loss, so that a very low one means a long round trip. `low_emos` has no rule.
RULES = (
    Rule(kind=NO_CONNECTION, about="own", cause="join_failure", least=2 * FAILED_SESSION),
    Rule(kind=VERY_LOW_EMOS, about="own", cause="high_delay"),
    Rule(kind=REJOINS, about="own", cause="reconnects", least=2 * REJOIN),
)


def detect(clients: ClientsOfCall, uid: str) -> list[Issue]:
    """Return the issues of one participant."""
    client = clients.client(uid)
    stays = clients.stays.get(uid, ())
    issues = []
    if failed := clients.sessions_without_samples(uid):
        issues.append(Issue(NO_CONNECTION, FAILED_SESSION * failed))
    elif len(stays) > 1:
        issues.append(Issue(REJOINS, REJOIN * (len(stays) - 1)))
    scores = np.concatenate([_scores(client, sender) for sender in client.senders] or [np.empty(0)])
    very_low = scores < _VERY_LOW.value
    low = (scores < _LOW.value) & ~very_low
    for kind, found in ((VERY_LOW_EMOS, very_low), (LOW_EMOS, low)):
        if found.sum() * POLL >= LEAST_SECONDS:
            issues.append(Issue(kind, POLL * int(found.sum())))
    return issues


def _scores(client: ClientSamples, sender: str) -> Seconds:
    """Return the scores of a received audio stream at each poll, without those that cannot be computed."""
    loss = client.polled(POLL, AUDIO_RECEIVED_LOSS, sender)
    kbps = client.polled(POLL, AUDIO_RECEIVED_KBPS, sender)
    round_trip = client.polled(POLL, ROUND_TRIP)
    known = ~np.isnan(loss)
    since_the_beginning = np.cumsum(np.nan_to_num(loss)) / np.maximum(np.cumsum(known), 1)
    scores = emos(since_the_beginning / 100, np.nan_to_num(round_trip), np.nan_to_num(kbps))
    return scores[known]


def emos(loss: Seconds, round_trip: Seconds, kbps: Seconds) -> Seconds:
    """Return the tool's score, from a share of packets, a round trip in ms and a bitrate in kbit/s."""
    delay = 20 + round_trip / 2
    equipment = np.clip(55 - 4.6 * np.log(np.maximum(1000 * kbps, 1e-9)), 0, 30)
    equipment = np.where(kbps > 0, equipment, 6)
    impairment = equipment + (100 - equipment) * loss / (loss + 10)
    delayed = 0.03 * delay + np.where(delay > 150, 0.1 * (delay - 150), 0)
    rating = np.clip(100 - impairment - delayed, 0, 100)
    score = 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating)
    return np.clip(np.round(score, 2), 1, 5)


classify = peer(detect, RULES)
