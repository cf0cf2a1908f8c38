"""Draws what is wrong in a planted call: causes that the complaining user can notice, and those of somebody else."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve

from agora_analytics.simulator.ground_truth.participants import place_of
from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.conditions import narrows_uplink
from agora_analytics.simulator.impairments.content import video_profile
from agora_analytics.simulator.impairments.experience import poor_seconds
from agora_analytics.simulator.impairments.impairment import Impairment, ImpairmentCause
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.planted_users import main_sessions
from agora_analytics.simulator.impairments.rejoins import sessions_under

_OF_THE_RECEIVER: tuple[ImpairmentCause, ...] = ("downlink_loss", "join_failure")
_OF_ANYBODY: tuple[ImpairmentCause, ...] = (
    "uplink_loss", "high_delay", "low_bitrate", "cpu", "capture_stopped", "silent_microphone", "reconnects",
)  # fmt: skip
_ATTEMPTS = 6
_ABSENT = 15  # s


def impaired(plain: CallTruth, impairments: Sequence[Impairment]) -> CallMedia:
    """Return the media of a call with these impairments instead of none."""
    return CallMedia(evolve(plain, sessions=sessions_under(plain, impairments)), impairments)


def added_poor_seconds(plain: CallTruth, impairment: Impairment, uid: str) -> int:
    """Return the seconds that an impairment alone makes poor for a user, compared with the call without one."""
    poor = poor_seconds(impaired(plain, (impairment,)), uid) & ~poor_seconds(impaired(plain, ()), uid)
    return int(poor.sum())


def draw_noticeable(rng: np.random.Generator, call: CallTruth, complaining: SessionTruth) -> Impairment:
    """Return an impairment that the complaining user can notice: of the user, of a peer, or of the servers."""
    by_uid = {user.uid: user for user in main_sessions(call.sessions)}
    draw = rng.random()
    if draw < 0.12:
        countries = {place_of(complaining.uid)[0]} | {place_of(peer.uid)[0] for peer in complaining.peers}
        region = sorted(countries)[int(rng.integers(len(countries)))] if rng.random() < 0.5 else None
        shared = [user for user in by_uid.values() if region in (None, place_of(user.uid)[0])]
        if len(shared) >= 2:
            in_time = _impairment(rng, "cpu", complaining)
            return evolve(in_time, cause="server_loss", uid=None, region=region)
    if draw < 0.5:
        peer = complaining.peers[int(rng.integers(len(complaining.peers)))]
        return _impairment(rng, _any_of(rng, _possible(by_uid[peer.uid])), by_uid[peer.uid])
    return _impairment(rng, _any_of(rng, _possible(complaining) + _OF_THE_RECEIVER), complaining)


def draw_unnoticed(rng: np.random.Generator, call: CallTruth, complaining: SessionTruth) -> Impairment:
    """Return an impairment of another user that adds no poor second for the complaining user."""
    others = [user for user in main_sessions(call.sessions) if user.uid != complaining.uid]
    for _ in range(_ATTEMPTS):
        drawn = _of_another(rng, others, complaining)
        if drawn is not None and added_poor_seconds(call, drawn, complaining.uid) == 0:
            return drawn
    # The downlink of another user affects nobody else.
    return _impairment(rng, "downlink_loss", _one_of(rng, others))


def _of_another(
    rng: np.random.Generator, others: Sequence[SessionTruth], complaining: SessionTruth
) -> Impairment | None:
    """Return an impairment of another user that the complaining user should not notice, or None."""
    received = {peer.uid for peer in complaining.peers}
    unreceived = [user for user in others if user.uid not in received]
    if unreceived and rng.random() < 0.7:
        user = _one_of(rng, unreceived)
        return _impairment(rng, _any_of(rng, (*_possible(user), "downlink_loss")), user)
    apart = [user for user in others if _time_apart(user, complaining)]
    if apart and rng.random() < 0.8:
        user = _one_of(rng, apart)
        since, until = _time_apart(user, complaining)[0]
        return evolve(_impairment(rng, _any_of(rng, _possible(user)), user), since=since, until=until)
    user, draw = _one_of(rng, others), rng.random()
    if draw < 0.4:
        return None if narrows_uplink(user) else _impairment(rng, "low_bitrate", user)
    if draw < 0.8:
        return _impairment(rng, "downlink_loss", user)
    failing = _impairment(rng, "join_failure", user)
    # The complaining user would be alone for the whole call if the only peer gave up.
    return evolve(failing, severity=0.5 * failing.severity) if received == {user.uid} else failing


def _time_apart(user: SessionTruth, complaining: SessionTruth) -> list[tuple[float, float]]:
    """Return the times in which a user is in the call without the complaining one, if they are long enough."""
    before = (float(user.join_ts), complaining.join_ts - 5.0)
    after = (complaining.leave_ts + 5.0, float(user.leave_ts))
    return [(since, until) for since, until in (before, after) if until - since > _ABSENT]


def _possible(user: SessionTruth) -> tuple[ImpairmentCause, ...]:
    """Return what can be wrong with what a user sends. Only a camera can stop, and a shared screen has none."""
    has_camera = user.video and not video_profile(user).is_screen
    return tuple(cause for cause in _OF_ANYBODY if has_camera or cause != "capture_stopped")


def _any_of(rng: np.random.Generator, causes: Sequence[ImpairmentCause]) -> ImpairmentCause:
    return causes[int(rng.integers(len(causes)))]


def _one_of(rng: np.random.Generator, users: Sequence[SessionTruth]) -> SessionTruth:
    return users[int(rng.integers(len(users)))]


def _impairment(rng: np.random.Generator, cause: ImpairmentCause, user: SessionTruth) -> Impairment:
    """Return an impairment of a user for the whole stay or for a part of it, from mild to severe."""
    stay = user.leave_ts - user.join_ts
    start, end = float(user.join_ts), float(user.leave_ts)
    if cause == "join_failure":
        end = start + rng.uniform(15, 45)  # long enough for two attempts
    elif rng.random() < 0.7:
        length = rng.uniform(min(25, 0.5 * stay), max(30, 0.7 * stay))
        start += rng.random() * max(stay - length, 0)
        end = min(start + length, end)
    return Impairment(
        cause=cause,
        severity=float(rng.beta(1.2, 1.2)),
        since=start,
        until=end,
        uid=user.uid,
        intermittent=bool(rng.random() < 0.2),
    )
