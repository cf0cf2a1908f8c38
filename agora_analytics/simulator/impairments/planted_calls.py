"""Calls with planted causes of poor quality, and the answer that a diagnosis should give for one of their users."""

from functools import cached_property
from hashlib import blake2b
from typing import Literal

import numpy as np
from attrs import define, evolve, frozen

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.simulator.impairments.impairment import Impairment, ImpairmentCause
from agora_analytics.simulator.impairments.planted_causes import (
    added_poor_seconds,
    draw_noticeable,
    draw_unnoticed,
)
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
_CAUSES = {"single": 1, "overlapping": 2}
# Poor seconds that a cause must add; with fewer, nobody would complain.
_NOTICED = 5


@frozen(kw_only=True)
class PlantedCause:
    """One planted cause, for the user who complains.

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
    def is_mild(self) -> bool:
        """Whether there is a cause, but none that a person would notice. The answer is `none`."""
        return bool(self.causes) and not any(cause.is_noticed for cause in self.causes)

    @property
    def is_clear(self) -> bool:
        """Whether there is one right answer that the metrics show.

        There is no cause at all, or a single one that a person would notice. Without video, two causes have no symptom of
        their own: a busy processor if a browser does not report it, and a low bitrate, which only loses some audio.
        """
        return self.kind != "overlapping" and all(
            cause.is_noticed and not self._is_hidden(cause) for cause in self.causes
        )

    def _is_hidden(self, cause: PlantedCause) -> bool:
        if any(session.video for session in self.call.sessions):
            return False
        of_party = [session for session in self.call.sessions if session.uid == cause.party]
        is_browser = any(session.platform == "Web" for session in of_party)
        return cause.cause == "low_bitrate" or (cause.cause == "cpu" and is_browser)

    def _cause(self, impairment: Impairment) -> PlantedCause:
        side: Side = "sender"
        if impairment.cause == "server_loss":
            side = "server"
        elif impairment.uid == self.uid:
            side = "receiver"
        plain = evolve(self.call, sessions=self._users)
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
            # A user who does not get in notices it at once.
            poor=added_poor_seconds(plain, impairment, self.uid) + (failed + _NOTICED if failed else 0),
        )


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
        impairments = [draw_unnoticed(rng, plain, complaining)]
    while len(impairments) < _CAUSES.get(kind, 0):
        drawn = draw_noticeable(rng, plain, complaining)
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
