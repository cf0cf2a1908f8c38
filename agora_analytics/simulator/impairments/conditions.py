"""Device and network of a session, per second of the call, with the impairments that act on them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.participants import place_of
from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.content import (
    Speech,
    Video,
    VideoProfile,
    speech_of,
    video_of,
    video_profile,
)
from agora_analytics.simulator.impairments.impairment import IMPAIRMENT_CAUSES, Impairment, ImpairmentCause
from agora_analytics.simulator.impairments.noise_over_time import Series, active, alternating, bursts, wander


class AccessNetwork(NamedTuple):
    """A kind of access network: round trip in ms, loss as a ratio, disturbances an hour, and capacities in kbit/s."""

    round_trip: float
    loss: float
    disturbances: float
    uplink: float
    downlink: float


ACCESS_NETWORKS = {
    "Ethernet": AccessNetwork(18, 0.0003, 2, 20_000, 90_000),
    "Wi-Fi": AccessNetwork(30, 0.002, 15, 8_000, 30_000),
    "4G": AccessNetwork(60, 0.004, 22, 4_500, 15_000),
    "Mobile 3G": AccessNetwork(110, 0.01, 35, 2_600, 4_000),
}
"""The access networks in good health. The numbers are plausible, and none is a vendor's."""

_NARROWED = 20.0  # s until the capacity of a link has fallen; congestion control follows it
_WIDE = 2500.0  # kbit/s, more than a fault leaves when it begins


@frozen(kw_only=True, eq=False)
class Conditions:
    """One session's device and network, by second of the call. Losses and shares are from 0 to 1.

    Attributes:
        profile, video, speech: what the user wants to send.
        region: the country, where the nearest server is.
        round_trip: to the server, in ms, without the queues of the user's own media.
        uplink_loss, downlink_loss: the random loss of the access network.
        uplink_kbps, downlink_kbps: its capacity.
        app_cpu, system_cpu: the usage of the processor.
        scheduling_delay: of the SDK's tasks, in ms.
        app_memory, system_memory: the usage of the memory, in percent.
        capture: the share of the frames that the camera delivers.
        dead_microphone: whether the microphone delivers silence only.
        sends_audio, sends_video: whether the user has not muted it.
        online: whether the user is connected.
        two_streams: whether the user also sends video of low quality, for receivers with little capacity.
        freezes_without_frames: whether the SDK counts a stream without frames as frozen.
    """

    session: SessionTruth
    profile: VideoProfile
    video: Video
    speech: Speech
    region: str
    round_trip: Series
    uplink_loss: Series
    downlink_loss: Series
    uplink_kbps: Series
    downlink_kbps: Series
    app_cpu: Series
    system_cpu: Series
    scheduling_delay: Series
    app_memory: Series
    system_memory: Series
    capture: Series
    dead_microphone: NDArray[np.bool_]
    sends_audio: NDArray[np.bool_]
    sends_video: NDArray[np.bool_]
    online: NDArray[np.bool_]
    two_streams: bool
    freezes_without_frames: bool


class _Fault(NamedTuple):
    """One cause in a session, by second: how active it is and how severe, both from 0 to 1, and its own generator."""

    level: Series
    severity: Series
    rng: np.random.Generator


@frozen(eq=False)
class _Faults:
    """The impairments of one session."""

    call: CallTruth
    session: SessionTruth
    impairments: Sequence[Impairment]
    seconds: int = field()

    def of(self, cause: ImpairmentCause, rise: float = 2) -> _Fault:
        """Return the fault of a cause. It rises within `rise` seconds, and does not depend on other causes."""
        rng = np.random.default_rng([self.session.key, 2, IMPAIRMENT_CAUSES.index(cause)])
        level, severity = np.zeros(self.seconds), np.zeros(self.seconds)
        for impairment in self.impairments:
            if impairment.cause != cause or not impairment.acts_on(self.session):
                continue
            start, end = impairment.since - self.call.created_ts, impairment.until - self.call.created_ts
            now = active(rng, self.seconds, start, end, intermittent=impairment.intermittent, rise=rise)
            severity = np.where(now > level, impairment.severity, severity)
            level = np.maximum(level, now)
        return _Fault(level, severity, rng)


def conditions_of(call: CallTruth, session: SessionTruth, impairments: Sequence[Impairment]) -> Conditions:
    """Return the device and network of a session. The same arguments give the same conditions."""
    # Faults have generators of their own, so that an impairment changes nothing but its symptoms.
    rng = np.random.default_rng([session.key, 1])
    seconds = call.destroyed_ts - call.created_ts + 1
    faults = _Faults(call, session, impairments, seconds)
    network = ACCESS_NETWORKS.get(session.network, ACCESS_NETWORKS["Wi-Fi"])
    region = place_of(session.uid)[0]
    disturbed = bursts(rng, seconds, an_hour=network.disturbances, longest=6)
    round_trip = network.round_trip * rng.lognormal(0, 0.35) * np.exp(0.12 * wander(rng, seconds, 8))
    round_trip += 400 * disturbed * rng.random()
    loss = network.loss * rng.lognormal(0, 0.5)
    uplink_loss = loss * rng.gamma(0.8, 1.25, seconds) + 0.2 * disturbed * rng.random()
    downlink_loss = loss * rng.gamma(0.8, 1.25, seconds) + 0.2 * disturbed * rng.random()
    capacity = rng.lognormal(0, 0.3) * np.exp(0.1 * wander(rng, seconds, 20))
    app_cpu, system_cpu = _processor(rng, session, faults)

    fault = faults.of("uplink_loss")
    uplink_loss += fault.level * (0.06 + 0.34 * fault.severity**1.5) * fault.rng.gamma(3, 1 / 3, seconds)
    fault = faults.of("downlink_loss")
    downlink_loss += fault.level * (0.08 + 0.36 * fault.severity**1.5) * fault.rng.gamma(3, 1 / 3, seconds)
    fault = faults.of("high_delay")
    round_trip += fault.level * (420 + 900 * fault.severity) * np.exp(0.2 * wander(fault.rng, seconds, 5))
    fault = faults.of("low_bitrate", _NARROWED)
    narrow = (260 - 200 * fault.severity) * np.exp(0.08 * wander(fault.rng, seconds, 10))
    is_uplink = narrows_uplink(session)
    uplink = _narrowed(network.uplink * capacity, narrow, fault.level * is_uplink)
    downlink = _narrowed(network.downlink * capacity, narrow, fault.level * (not is_uplink))

    dead_microphone = faults.of("silent_microphone").level > 0
    profile = video_profile(session)
    stopped = faults.of("capture_stopped")
    return Conditions(
        session=session,
        profile=profile,
        region=region,
        round_trip=round_trip,
        uplink_loss=np.clip(uplink_loss, 0, 0.95),
        downlink_loss=np.clip(downlink_loss, 0, 0.95),
        uplink_kbps=np.maximum(uplink, 40),
        downlink_kbps=np.maximum(downlink, 40),
        app_cpu=app_cpu,
        system_cpu=system_cpu,
        scheduling_delay=_scheduling_delay(rng, system_cpu),
        app_memory=rng.uniform(3, 18) + 0.5 * wander(rng, seconds, 30),
        system_memory=rng.uniform(35, 88) + 1.5 * wander(rng, seconds, 60),
        capture=np.where(stopped.level > 0, np.where(stopped.severity > 0.3, 0.0, 0.12), 1.0),
        speech=speech_of(session, seconds, dead_microphone),
        video=video_of(session, seconds),
        dead_microphone=dead_microphone,
        sends_audio=~_muted(rng, seconds, 0.15) & session.speaker,
        sends_video=~_muted(rng, seconds, 0.15) & session.speaker & session.video,
        online=_online(faults.of("reconnects")),
        two_streams=bool(rng.random() < 0.6) and profile.may_have_two_streams,
        freezes_without_frames=bool(rng.random() < 0.6),
    )


def narrows_uplink(session: SessionTruth) -> bool:
    """Return whether `low_bitrate` narrows the uplink of a session; otherwise it narrows the downlink."""
    return session.key % 2 == 0


def _narrowed(capacity: Series, narrow: Series, level: Series) -> Series:
    """Return the capacity of a link that falls to `narrow` as the level grows from 0 to 1, by the same factor a second."""
    falling = np.minimum(capacity, _WIDE) ** (1 - level) * narrow**level
    return np.where(level > 0, np.minimum(capacity, falling), capacity)


def _processor(rng: np.random.Generator, session: SessionTruth, faults: _Faults) -> tuple[Series, Series]:
    """Return the usage of the processor by the app and in total. Under an impairment, the app or another one takes more."""
    app = rng.uniform(0.08, 0.35) + 0.03 * wander(rng, faults.seconds, 6)
    other = rng.uniform(0.05, 0.35) + 0.05 * wander(rng, faults.seconds, 10)
    other += 0.5 * bursts(rng, faults.seconds, an_hour=15, longest=6)
    fault = faults.of("cpu")
    load = fault.level * (0.90 + 0.10 * fault.severity + 0.015 * wander(fault.rng, faults.seconds, 4))
    by_app = 0.25 if session.key % 3 == 0 else 0.75
    system = np.clip(np.maximum(app + other, load), 0.01, 1)
    app = np.clip(np.where(load > app + other, by_app * load, app), 0.01, system)
    return app, system


def _scheduling_delay(rng: np.random.Generator, system_cpu: Series) -> Series:
    """Return the delay of tasks in ms. It grows with the usage of the processor, and has peaks without a cause."""
    seconds = len(system_cpu)
    usual = rng.uniform(2, 10) * rng.lognormal(0, 0.5, seconds)
    peaks = 150 * bursts(rng, seconds, an_hour=20, longest=3)
    busy = 260 * np.clip(system_cpu - 0.86, 0, 1) / 0.14 * rng.lognormal(0, 0.35, seconds)
    return usual + peaks + busy


def _muted(rng: np.random.Generator, seconds: int, share: float) -> NDArray[np.bool_]:
    """Return when a user has muted a stream: a share of users do so, for a third of the time."""
    if rng.random() >= share:
        return np.zeros(seconds, dtype=np.bool_)
    return alternating(rng, seconds, on=40, off=80)


def _online(fault: _Fault) -> NDArray[np.bool_]:
    """Return when a user is connected. Under an impairment, the connection is lost every 15 to 50 s for 3 to 15 s."""
    seconds = len(fault.level)
    online = np.ones(seconds, dtype=np.bool_)
    second = 0.0
    while (faulty := np.flatnonzero(fault.level[int(second) :] > 0)).size:
        second += float(faulty[0]) + fault.rng.uniform(0, 4)
        lost = 3 + fault.rng.uniform(2, 12) * float(fault.severity[min(int(second), seconds - 1)])
        online[int(second) : int(second + lost)] = False
        second += lost + fault.rng.uniform(12, 45)
        if second >= seconds:
            break
    return online
