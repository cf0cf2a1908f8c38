"""The users of a planted call: two who talk, a group, or an audience; their networks, devices and stays.

Some leave after a few seconds and join again, some are away for a minute, and some change the device. So a second session
or a short one does not mean that anything is wrong.
"""

from collections.abc import Sequence

import numpy as np
from attrs import evolve

from agora_analytics.simulator.ground_truth.records import Peer, SessionTruth

_NETWORKS = (("Wi-Fi", 0.52), ("4G", 0.24), ("Ethernet", 0.21), ("Mobile 3G", 0.03))
_DEVICES = (
    ("Android", "Android (14.0)"),
    ("iOS", "iPhone15,2"),
    ("Windows", "Windows 11"),
    ("Web", "Chrome 141"),
    ("Mac", "MacBookPro18,3"),
)
_SDKS = ("4.2.6", "4.5.0", "4.5.2", "4.6.0")
_MOST_PEERS = 5
_VISIT = 20  # s, the longest visit of somebody who only looks in
_LEAVES_AT_ONCE, _IS_AWAY, _CHANGES_DEVICE = 0.06, 0.05, 0.03  # shares of users


def planted_users(rng: np.random.Generator, begin: int) -> tuple[tuple[SessionTruth, ...], int]:
    """Return the sessions of a call's users, each with the streams that it receives, and when the call ends."""
    draw = rng.random()
    audience = 0
    if draw < 0.45:
        hosts = 2
    elif draw < 0.93:
        hosts = int(rng.integers(3, 9))
    else:
        hosts, audience = int(rng.integers(1, 3)), int(rng.integers(8, 25))
    length = int(np.clip(300 * rng.lognormal(0, 0.6), 100, 1500))
    has_video = bool(rng.random() < 0.75)
    users = [
        _user(rng, number, begin, length, has_video=has_video, is_host=number < hosts)
        for number in range(hosts + audience)
    ]
    if len(users) > 2 and rng.random() < 0.15:
        users.append(_visitor(rng, users[0]))
    sessions = [part for user in users for part in _parts(rng, user)]
    peers = [
        Peer(uid=user.uid, uid_is_number=True, join_ts=user.join_ts, leave_ts=user.leave_ts)
        for user in users
        if user.speaker
    ]
    received = [
        evolve(each, peers=tuple(peer for peer in peers if peer.uid != each.uid)[:_MOST_PEERS])
        for each in sessions
    ]
    return tuple(received), begin + length


def main_sessions(sessions: Sequence[SessionTruth]) -> list[SessionTruth]:
    """Return the longest session of each user, without visits of a few seconds."""
    longest: dict[str, SessionTruth] = {}
    for each in sessions:
        known = longest.setdefault(each.uid, each)
        if each.leave_ts - each.join_ts > known.leave_ts - known.join_ts:
            longest[each.uid] = each
    return [each for each in longest.values() if each.leave_ts - each.join_ts > _VISIT]


def _parts(rng: np.random.Generator, user: SessionTruth) -> list[SessionTruth]:
    """Return the sessions of a user: one, or two around a voluntary absence."""
    draw, stay = rng.random(), user.leave_ts - user.join_ts
    if stay < 100 or draw > _LEAVES_AT_ONCE + _IS_AWAY + _CHANGES_DEVICE:
        return [user]
    if draw < _LEAVES_AT_ONCE:
        leave = user.join_ts + int(rng.integers(2, 9))
        join = leave + int(rng.integers(2, 26))
    else:
        leave = user.join_ts + int(stay * rng.uniform(0.2, 0.6))
        join = leave + int(rng.integers(10, 10 + stay // 4))
    again = evolve(user, sid=rng.bytes(16).hex().upper(), join_ts=join)
    if draw > _LEAVES_AT_ONCE + _IS_AWAY:
        other = _user(rng, 1, join, stay, has_video=user.video, is_host=user.speaker)
        again = evolve(other, uid=user.uid, join_ts=join, leave_ts=user.leave_ts)
    return [evolve(user, leave_ts=leave), again]


def _visitor(rng: np.random.Generator, first: SessionTruth) -> SessionTruth:
    length = first.leave_ts - first.join_ts
    visitor = _user(rng, 1, first.join_ts, length, has_video=first.video, is_host=False)
    join = first.join_ts + int(rng.integers(5, length - _VISIT))
    return evolve(visitor, join_ts=join, leave_ts=join + int(rng.integers(2, _VISIT + 1)))


def _user(
    rng: np.random.Generator, number: int, begin: int, length: int, *, has_video: bool, is_host: bool
) -> SessionTruth:
    network = str(rng.choice([name for name, _ in _NETWORKS], p=[share for _, share in _NETWORKS]))
    platform, device = _DEVICES[int(rng.integers(len(_DEVICES)))]
    join = begin if number == 0 else begin + int(0.2 * length * rng.random() ** 2)
    leave = begin + length if number == 0 else begin + length - int(0.15 * length * rng.random() ** 2)
    return SessionTruth(
        sid=rng.bytes(16).hex().upper(),
        uid=str(1 + int(rng.integers(1 << 31))),
        join_ts=join,
        leave_ts=leave,
        network=network,
        platform=platform,
        device_type=device,
        sdk_version=_SDKS[int(rng.integers(len(_SDKS)))],
        speaker=is_host,
        video=has_video,
        key=int(rng.integers(1, 1 << 62)),
    )
