"""The warnings of Twilio's Voice SDK, of each received stream and of what a client sends.

Source: the documented conditions of the events of Voice Insights (profile `twilio`); the score and the other warnings as in
the npm package @twilio/voice-sdk 2.18.5, `lib/twilio/statsMonitor.ts` and `rtc/mos.ts`. Statistics are polled every second.
The code of that version is not what is documented: three of the last ten samples count instead of five, the score must be
below 3 instead of 3.5, and a loss of 1 % in three of ten samples is a warning. That last one is raised in nearly every
healthy call here, so the documented conditions are applied.

Not available: jitter, which counts as 0 in the score. The level of audio is known as a mean of some seconds; ten samples
that differ by less than 1 % of the range are constant.
"""

import numpy as np

from agora_analytics.scoring.profiles import PROFILES
from benchmarks.diagnosis_peers.client_samples import (
    AUDIO_RECEIVED_KBPS,
    AUDIO_RECEIVED_LOSS,
    AUDIO_SENT_KBPS,
    CAPTURE_VOLUME,
    PLAYBACK_VOLUME,
    ROUND_TRIP,
    ClientsOfCall,
    Seconds,
)
from benchmarks.diagnosis_peers.issues import Issue, Rule, peer

_PROFILE = PROFILES["twilio"]
HIGH_ROUND_TRIP = _PROFILE.of("round_trip_time")[0].value
HIGH_LOSS = 100 * _PROFILE.of("audio_packet_loss_received")[0].value
LOSS_SAMPLES = 7
LOW_MOS = _PROFILE.of("audio_mos")[0].value
SAMPLES, RAISE = 5, 3
BYTES_SAMPLES = 3  # all of them without a byte
LEVEL_SAMPLES, LEVEL_DEVIATION = 10, 0.01 * 255

RTT, MOS, LOSS = "high-rtt", "low-mos", "high-packet-loss"
SENT_BYTES, RECEIVED_BYTES = "low-bytes-sent", "low-bytes-received"
INPUT, OUTPUT = "constant-audio-input-level", "constant-audio-output-level"

# `high-packet-loss` has no rule: it is raised in two thirds of the healthy calls. A lost packet also lowers the score.
RULES = (
    Rule(kind=RTT, about="own", cause="high_delay", least=10),
    Rule(kind=SENT_BYTES, about="own", cause="reconnects", least=20),
    Rule(kind=RECEIVED_BYTES, about="received", cause="reconnects", side="sender"),
    Rule(kind=INPUT, about="own", cause="silent_microphone", least=180),
    Rule(kind=OUTPUT, about="received", cause="silent_microphone", side="sender", least=180),
    Rule(kind=MOS, about="received", cause="downlink_loss", least=30),
)


def detect(clients: ClientsOfCall, uid: str) -> list[Issue]:
    """Return the warnings of one client."""
    client = clients.client(uid)
    if not client.has_samples:
        return []
    round_trip = client.held(ROUND_TRIP)
    found = [
        (RTT, raised(round_trip > HIGH_ROUND_TRIP, ~np.isnan(round_trip), SAMPLES, RAISE), None),
        (SENT_BYTES, _without_bytes(client.held(AUDIO_SENT_KBPS)), None),
    ]
    for sender in client.senders:
        loss = client.held(AUDIO_RECEIVED_LOSS, sender)
        score = voice_mos(round_trip, loss)
        found += [
            (MOS, raised(score < LOW_MOS, ~np.isnan(score), SAMPLES, RAISE), sender),
            (LOSS, _mean_above(loss, HIGH_LOSS, LOSS_SAMPLES), sender),
            (RECEIVED_BYTES, _without_bytes(client.held(AUDIO_RECEIVED_KBPS, sender)), sender),
        ]
        found += [(OUTPUT, constant_levels(client.samples(PLAYBACK_VOLUME, sender)), sender)]
    found.append((INPUT, constant_levels(client.samples(CAPTURE_VOLUME)), None))
    return [Issue(kind, seconds, sender) for kind, seconds, sender in found if seconds]


def voice_mos(round_trip: Seconds, loss: Seconds) -> Seconds:
    """Return the score of each second, from the round trip in ms and the loss in percent. Jitter counts as 0."""
    delay = round_trip + 10
    rating = np.where(
        delay < 160, 94.768 - delay / 40, np.where(delay < 1000, 94.768 - (delay - 120) / 10, 0)
    )
    rating = np.where(loss <= rating / 2.5, np.maximum(rating - 2.5 * loss, 6.52), 0)
    score = 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating)
    return np.where(np.isnan(round_trip) | np.isnan(loss), np.nan, score)


def raised(beyond: np.ndarray, known: np.ndarray, samples: int, least: int) -> int:
    """Return in how many seconds at least so many of the last samples are beyond a threshold, and all are known."""
    return int(((_sums(beyond, samples) >= least) & (_sums(~known, samples) == 0)).sum())


def _sums(flags: np.ndarray, samples: int) -> Seconds:
    """Return the sum of the last samples at each second. At the beginning there are fewer."""
    total = np.concatenate([[0], np.cumsum(flags)])
    at = np.arange(1, len(total))
    return total[at] - total[np.maximum(at - samples, 0)]


def _mean_above(values: Seconds, limit: float, samples: int) -> int:
    if len(values) < samples:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(values, samples)
    return int((windows.mean(axis=1) > limit).sum())  # not if a value is missing


def _without_bytes(kbps: Seconds) -> int:
    return raised(kbps == 0, ~np.isnan(kbps), BYTES_SAMPLES, BYTES_SAMPLES)


def constant_levels(levels: Seconds) -> int:
    """Return the seconds of ten successive levels of audio that hardly differ; one level is a report of about 8 s."""
    levels = levels[~np.isnan(levels)]
    if len(levels) < LEVEL_SAMPLES:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(levels, LEVEL_SAMPLES)
    return 8 * int((windows.std(axis=1) < LEVEL_DEVIATION).sum())


classify = peer(detect, RULES)
