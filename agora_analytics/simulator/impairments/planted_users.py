"""The users of a planted call: two who talk, a group, or an audience; their networks, devices and stays."""

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
    peers = [
        Peer(uid=user.uid, uid_is_number=True, join_ts=user.join_ts, leave_ts=user.leave_ts)
        for user in users
        if user.speaker
    ]
    received = [
        evolve(user, peers=tuple(peer for peer in peers if peer.uid != user.uid)[:_MOST_PEERS])
        for user in users
    ]
    return tuple(received), begin + length


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
