"""Calls with planted causes of poor quality, and the answer that a diagnosis should give for one of their users."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Literal

import numpy as np
from attrs import define, evolve, frozen

from agora_analytics.simulator.ground_truth.participants import place_of
from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.content import video_profile
from agora_analytics.simulator.impairments.experience import poor_seconds
from agora_analytics.simulator.impairments.impairment import Impairment, ImpairmentCause
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.planted_users import main_sessions, planted_users
from agora_analytics.simulator.impairments.rejoins import sessions_under

TUNING_SEEDS = range(100_000)
"""The seeds of calls that a diagnosis may be developed with."""

HELD_OUT_SEEDS = range(1_000_000, 1_001_000)
"""The seeds of the 1,000 calls for the published figures. No rule and no threshold may be chosen with them."""

Side = Literal["sender", "receiver", "server", "none", "unknown"]
"""Whose side a cause is on, for the user who complains: another participant's, the user's own, or the servers'."""

PlantedKind = Literal["healthy", "elsewhere", "single", "overlapping", "no_data"]
_KINDS: tuple[tuple[PlantedKind, float], ...] = (
    ("healthy", 0.24), ("elsewhere", 0.08), ("single", 0.54), ("overlapping", 0.11), ("no_data", 0.03),
)  # fmt: skip
_NOTICED = 5  # poor seconds that a cause must add; with fewer, nobody would complain
_OF_THE_RECEIVER: tuple[ImpairmentCause, ...] = ("downlink_loss", "join_failure")
_OF_ANYBODY: tuple[ImpairmentCause, ...] = (
    "uplink_loss", "high_delay", "low_bitrate", "cpu", "capture_stopped", "silent_microphone", "reconnects",
)  # fmt: skip


@frozen(kw_only=True)
class PlantedCause:
    """One planted cause, as the user who complains should hear of it.

    Attributes:
        side: whose side it is on.
        cause: what it is.
        party: the uid at fault; None for the servers.
        since, until: when it acts, in epoch seconds.
        poor: the seconds in which it makes the user's media poor, without those of the background.
    """

    side: Side
    cause: ImpairmentCause
    party: str | None
    since: float
    until: float
    poor: int

    @property
    def is_noticed(self) -> bool:
        """Whether a person would notice it."""
        return self.poor >= _NOTICED


@define(kw_only=True)
class PlantedCall:
    """A call, a user of it who complains, and what is wrong.

    Attributes:
        seed: the seed that it was made from.
        kind: `healthy`; `elsewhere`: another user has a problem that this one does not notice; `single` and
            `overlapping`: one and two causes; `no_data`: the user's sessions reported nothing.
        call: the call with its sessions.
        uid: the user who complains.
        impairments: what acts in the call.
        silent: the sids of the sessions whose reports are lost.

    Example:
        >>> planted = planted_call(3)
        >>> planted.uid in {session.uid for session in planted.call.sessions}
        True
    """

    seed: int
    kind: PlantedKind
    call: CallTruth
    uid: str
    impairments: tuple[Impairment, ...]
    silent: frozenset[str] = frozenset()
    _users: tuple[SessionTruth, ...]

    @cached_property
    def causes(self) -> tuple[PlantedCause, ...]:
        """The causes that act on the user, the one with the most poor seconds first; empty for a healthy user."""
        if self.kind in ("healthy", "elsewhere", "no_data"):
            return ()
        found = [self._cause(impairment) for impairment in self.impairments]
        return tuple(sorted(found, key=lambda cause: -cause.poor))

    @property
    def answer(self) -> tuple[Side, str, str | None]:
        """The side, the cause and the party that a diagnosis should return."""
        if self.kind == "no_data":
            return "unknown", "unknown", None
        noticed = [cause for cause in self.causes if cause.is_noticed]
        if not noticed:
            return "none", "none", None
        return noticed[0].side, noticed[0].cause, noticed[0].party

    @property
    def is_clear(self) -> bool:
        """Whether there is one right answer: no cause at all, or a single one that a person would notice."""
        return self.kind != "overlapping" and all(cause.is_noticed for cause in self.causes)

    def _cause(self, impairment: Impairment) -> PlantedCause:
        side: Side = "sender"
        if impairment.cause == "server_loss":
            side = "server"
        elif impairment.uid == self.uid:
            side = "receiver"
        # Every impairment alone, compared with the same call without one.
        plain = evolve(self.call, sessions=self._users)
        poor = poor_seconds(_media(plain, (impairment,)), self.uid) & ~poor_seconds(
            _media(plain, ()), self.uid
        )
        failed = sum(
            session.leave_ts - session.join_ts
            for session in self.call.sessions
            if session.uid == self.uid and not session.joined and impairment.cause == "join_failure"
        )
        return PlantedCause(
            side=side,
            cause=impairment.cause,
            party=None if side == "server" else impairment.uid,
            since=impairment.since,
            until=impairment.until,
            # a user who does not get in notices it at once
            poor=int(poor.sum()) + (failed + _NOTICED if failed else 0),
        )


def _media(plain: CallTruth, impairments: tuple[Impairment, ...]) -> CallMedia:
    return CallMedia(evolve(plain, sessions=sessions_under(plain, impairments)), impairments)


def planted_call(seed: int, *, begin: int = 1_795_000_000) -> PlantedCall:
    """Return the planted call of a seed.

    Args:
        seed: of `TUNING_SEEDS`, or for published figures of `HELD_OUT_SEEDS`.
        begin: when the call begins, in epoch seconds.
    """
    rng = np.random.default_rng([seed, 5])
    kind = _kind(rng.random())
    users, end = planted_users(rng, begin)
    plain = CallTruth(
        call_id=blake2b(f"planted/{seed}".encode(), digest_size=12).hexdigest(),
        cname=f"planted-{seed}",
        created_ts=begin,
        destroyed_ts=end,
        sessions=users,
    )
    people = main_sessions(users)
    receivers = [user for user in people if user.peers]
    complaining = receivers[int(rng.integers(len(receivers)))]
    impairments: list[Impairment] = []
    if kind == "elsewhere":
        others = [user for user in people if user.uid != complaining.uid]
        cause: ImpairmentCause = "downlink_loss" if rng.random() < 0.7 else "join_failure"
        affected = others[int(rng.integers(len(others)))]
        impairment = _impairment(rng, cause, affected)
        if cause == "join_failure" and {affected.uid} == {peer.uid for peer in complaining.peers}:
            # The complaining user would be alone for the whole call if the only peer gave up.
            impairment = evolve(impairment, severity=0.5 * impairment.severity)
        impairments = [impairment]
    elif kind in ("single", "overlapping"):
        while len(impairments) < (1 if kind == "single" else 2):
            drawn = _drawn(rng, plain, complaining)
            if drawn.cause not in {each.cause for each in impairments}:
                impairments.append(drawn)
    sessions = sessions_under(plain, impairments)
    silent = frozenset(each.sid for each in sessions if kind == "no_data" and each.uid == complaining.uid)
    return PlantedCall(
        seed=seed,
        kind=kind,
        call=evolve(plain, sessions=sessions),
        uid=complaining.uid,
        impairments=tuple(impairments),
        silent=silent,
        users=users,
    )


def _kind(draw: float) -> PlantedKind:
    for kind, share in _KINDS:
        if draw < share:
            return kind
        draw -= share
    raise AssertionError


def _drawn(rng: np.random.Generator, call: CallTruth, complaining: SessionTruth) -> Impairment:
    """Return an impairment that the complaining user can notice, of the user, of a peer, or of the servers."""
    by_uid = {user.uid: user for user in main_sessions(call.sessions)}
    draw = rng.random()
    if draw < 0.12:
        countries = {place_of(complaining.uid)[0]} | {place_of(peer.uid)[0] for peer in complaining.peers}
        region = sorted(countries)[int(rng.integers(len(countries)))] if rng.random() < 0.5 else None
        shared = [user for user in by_uid.values() if region in (None, place_of(user.uid)[0])]
        if len(shared) >= 2:
            return evolve(_impairment(rng, "cpu", complaining), cause="server_loss", uid=None, region=region)
    if draw < 0.5:
        peer = complaining.peers[int(rng.integers(len(complaining.peers)))]
        return _impairment(rng, _any_of(rng, _possible(by_uid[peer.uid])), by_uid[peer.uid])
    return _impairment(rng, _any_of(rng, _possible(complaining) + _OF_THE_RECEIVER), complaining)


def _possible(user: SessionTruth) -> tuple[ImpairmentCause, ...]:
    """Return what can be wrong with what a user sends. Only a camera can stop, and a shared screen has none."""
    has_camera = user.video and not video_profile(user).is_screen
    return tuple(cause for cause in _OF_ANYBODY if has_camera or cause != "capture_stopped")


def _any_of(rng: np.random.Generator, causes: Sequence[ImpairmentCause]) -> ImpairmentCause:
    return causes[int(rng.integers(len(causes)))]


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
