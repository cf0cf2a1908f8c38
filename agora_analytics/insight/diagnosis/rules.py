"""The rules of the diagnosis, as data: which condition, of whom, explains which symptom.

A poor second of a received stream is explained by the first rule of `RECEIVED` whose condition holds in it. What the others get
of the user is judged by `SENT`, where a condition is a symptom by itself. docs/diagnosis.md explains each rule.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from attrs import frozen

from agora_analytics.insight.diagnosis.bitrate_signals import BitrateSignals
from agora_analytics.insight.diagnosis.call_timeline import Seconds
from agora_analytics.insight.diagnosis.moving import above, below, moving_mean
from agora_analytics.insight.diagnosis.symptoms import Symptom

Cause = Literal[
    "uplink_loss", "downlink_loss", "high_delay", "low_bitrate", "cpu", "capture_stopped", "silent_microphone",
    "reconnects", "join_failure", "server_loss", "none", "unknown",
]  # fmt: skip
"""What was wrong. `cpu`: a busy processor; `reconnects`: the connection was lost; `server_loss`: loss between servers."""

Whose = Literal["receiver", "sender", "server"]
"""Whose condition a rule is about: that of the user who complains, of the user who sends the stream, or of the servers."""


@frozen(kw_only=True)
class Rule:
    """One rule.

    Attributes:
        cause: what it says.
        whose: whose side the cause is on.
        explains: the symptoms that it can explain.
        holds: returns the seconds in which its condition holds, for a receiver and a sender.
    """

    cause: Cause
    whose: Whose
    explains: tuple[Symptom, ...]
    holds: Callable[[BitrateSignals, str, str], Seconds]


@frozen(kw_only=True)
class CauseLimits:
    """When a cause is named.

    Attributes:
        least: seconds that it must explain. Healthy calls have fewer; docs/diagnosis.md has the distribution.
        weight: the share of its seconds that a person notices.
        own: the metrics of the party that show it.
        received: the metrics of the streams that the user receives that show it.
    """

    least: float
    weight: float = 1.0
    own: tuple[str, ...] = ()
    received: tuple[str, ...] = ()


_MEDIA = (Symptom.AUDIO, Symptom.VIDEO)
_BROWSER_LOSS = ("webrtc_video_uplink_loss", "webrtc_audio_uplink_loss")
_UPLINK = ("video_uplink_loss", "audio_uplink_loss", *_BROWSER_LOSS)
_DOWNLINK = ("video_end_to_end_loss", "audio_end_to_end_loss", "webrtc_video_downlink_loss")

CAUSES: Mapping[Cause, CauseLimits] = {
    # The SDK tells the user at once, so one failed attempt suffices.
    "join_failure": CauseLimits(least=1),
    "reconnects": CauseLimits(least=5, received=("audio_render_freeze",)),
    "capture_stopped": CauseLimits(least=10, own=("video_capture_frame_rate",)),
    # A person speaks for 38.5 % of the time (ITU-T P.59, table 1).
    "silent_microphone": CauseLimits(least=14, weight=0.385, own=("capture_volume",)),
    "cpu": CauseLimits(
        least=10,
        own=("system_cpu", "task_scheduling_delay", "video_capture_frame_rate", "video_send_frame_rate"),
    ),
    "uplink_loss": CauseLimits(least=16, own=_UPLINK),
    "downlink_loss": CauseLimits(least=16, received=_DOWNLINK),
    "server_loss": CauseLimits(least=16, received=_DOWNLINK),
    "high_delay": CauseLimits(least=8, own=("router_round_trip",)),
    "low_bitrate": CauseLimits(
        least=17,
        own=("video_send_bitrate", "video_qp", "router_round_trip"),
        received=("video_receive_bitrate",),
    ),
}


def _later(signals: BitrateSignals, one: str, other: str) -> Seconds:
    """Return when a user's round trip is above the limit and not shorter than that of another."""
    network = signals.network
    own, others = network.round_trip(one), np.nan_to_num(network.round_trip(other))
    return above(own, network.limits.round_trip) & ~below(own, others)


def _queue_losses(signals: BitrateSignals, receiver: str, sender: str) -> Seconds:
    """Return when a receiver loses packets at the full queue of the own downlink."""
    network = signals.network
    lossy = network.lossy_after_uplink(receiver, sender)
    if network.shares_loss(receiver):
        return np.zeros_like(lossy)
    return lossy if network.fills_queue(receiver) else lossy & network.congested(receiver)


def _server_loss(signals: BitrateSignals, receiver: str, sender: str) -> Seconds:
    lossy = signals.network.lossy_after_uplink(receiver, sender)
    return lossy if signals.network.shares_loss(receiver) else np.zeros_like(lossy)


def _strong_uplink_loss(signals: BitrateSignals, uid: str, _: str) -> Seconds:
    network = signals.network
    now = above(moving_mean(network.uplink_loss(uid), 3), 1.6 * network.limits.loss)
    return network.lossy_uplink(uid) & now & ~network.congested(uid)


def _encodes_slowly(signals: BitrateSignals, uid: str, _: str) -> Seconds:
    devices = signals.devices
    sent = moving_mean(signals.network.timeline.own(uid, "video_send_frame_rate"), 5)
    return devices.busy(uid) & below(sent, 0.6 * devices.usual_frame_rate(uid))


RECEIVED: tuple[Rule, ...] = (
    Rule(
        cause="capture_stopped",
        whose="sender",
        explains=(Symptom.PUBLISHED, Symptom.VIDEO),
        holds=lambda signals, _, sender: signals.devices.camera_stopped(sender),
    ),
    Rule(
        cause="cpu",
        whose="sender",
        explains=(Symptom.VIDEO,),
        holds=lambda signals, _, sender: signals.devices.busy(sender),
    ),
    Rule(
        cause="cpu",
        whose="receiver",
        explains=_MEDIA,
        holds=lambda signals, receiver, _: signals.devices.busy(receiver),
    ),
    Rule(
        cause="low_bitrate",
        whose="sender",
        explains=_MEDIA,
        holds=lambda signals, _, sender: (
            signals.network.lossy_uplink(sender) & signals.network.congested(sender)
        ),
    ),
    Rule(
        cause="uplink_loss",
        whose="sender",
        explains=_MEDIA,
        holds=lambda signals, _, sender: signals.network.lossy_uplink(sender),
    ),
    Rule(cause="low_bitrate", whose="receiver", explains=_MEDIA, holds=_queue_losses),
    Rule(cause="server_loss", whose="server", explains=_MEDIA, holds=_server_loss),
    Rule(
        cause="downlink_loss",
        whose="receiver",
        explains=_MEDIA,
        holds=lambda signals, receiver, sender: signals.network.lossy_after_uplink(receiver, sender),
    ),
    Rule(cause="high_delay", whose="receiver", explains=(Symptom.DELAY,), holds=_later),
    Rule(
        cause="high_delay",
        whose="sender",
        explains=(Symptom.DELAY,),
        holds=lambda signals, receiver, sender: _later(signals, sender, receiver),
    ),
    Rule(
        cause="low_bitrate",
        whose="receiver",
        explains=(Symptom.VIDEO,),
        holds=lambda signals, receiver, sender: signals.narrow_downlink(receiver, sender),
    ),
    Rule(
        cause="low_bitrate",
        whose="sender",
        explains=(Symptom.VIDEO,),
        holds=lambda signals, _, sender: signals.narrow_uplink(sender),
    ),
)
"""The rules for what the user receives, in the order in which they are tried: the more specific first."""

ALWAYS: tuple[Rule, ...] = (
    Rule(
        cause="silent_microphone",
        whose="sender",
        explains=(),
        holds=lambda signals, _, sender: signals.devices.silent(sender),
    ),
    Rule(
        cause="reconnects",
        whose="sender",
        explains=(),
        holds=lambda signals, _, sender: signals.network.offline(sender),
    ),
)
"""Conditions of a sender that are a symptom for each receiver, whatever the receiver measures."""

SENT: tuple[Rule, ...] = (
    Rule(
        cause="silent_microphone",
        whose="receiver",
        explains=(),
        holds=lambda signals, uid, _: signals.devices.silent(uid),
    ),
    Rule(
        cause="capture_stopped",
        whose="receiver",
        explains=(),
        holds=lambda signals, uid, _: signals.devices.camera_stopped(uid),
    ),
    Rule(cause="uplink_loss", whose="receiver", explains=(), holds=_strong_uplink_loss),
    Rule(
        cause="high_delay",
        whose="receiver",
        explains=(),
        holds=lambda signals, uid, _: above(
            signals.network.round_trip(uid), 1.75 * signals.network.limits.round_trip
        ),
    ),
    Rule(cause="cpu", whose="receiver", explains=(), holds=_encodes_slowly),
    Rule(
        cause="low_bitrate",
        whose="receiver",
        explains=(),
        holds=lambda signals, uid, _: signals.narrow_uplink(uid) & ~signals.devices.busy(uid),
    ),
)
"""Conditions of the user that make what the others receive poor, if anybody receives it."""
