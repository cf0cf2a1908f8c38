"""Who was in a call: users with their networks and devices, their stay, and whom they heard and saw."""

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from attrs import evolve, frozen

from agora_analytics.simulator.ground_truth.metrics import NETWORKS
from agora_analytics.simulator.ground_truth.records import Peer, SessionTruth
from agora_analytics.simulator.ground_truth.world_config import WorldConfig

_NETWORK_NAMES = tuple(NETWORKS)
_NETWORK_SHARES = np.cumsum([share for share, _, _ in NETWORKS.values()])
_NAMES = ("alice", "bob", "chandra", "dmitri", "esra", "fatou", "guo", "hana")
_DEVICES = (
    ("Android", "Android (14.0)"),
    ("iOS", "iPhone15,2"),
    ("Windows", "Windows 11"),
    ("Web", "Chrome 141"),
    ("Mac", "MacBookPro18,3"),
)
_SDKS = ("4.2.6", "4.5.0", "4.5.2", "4.6.0")
_TROUBLED_SHARE = 0.08  # calls in which everybody freezes a lot, whatever his network
_TROUBLE = 0.25
_AGAIN_SHARE = 0.04  # sessions of a user who was in the call before


@frozen
class SessionGenerator:
    """Makes the sessions of calls, each call by itself and from its own seed; a few calls' are kept for the next page."""

    seed: int
    config: WorldConfig

    def of_call(self, index: int, begin: int, end: int, size: int) -> tuple[SessionTruth, ...]:
        """Return the sessions of call number `index`. The first joins at `begin`, the last leaves at `end`."""
        return _of_call(self, index, begin, end, size)


@lru_cache(maxsize=512)
def _of_call(
    maker: SessionGenerator, index: int, begin: int, end: int, size: int
) -> tuple[SessionTruth, ...]:
    config = maker.config
    rng = np.random.default_rng([maker.seed, 2, index])
    trouble = _TROUBLE if rng.random() < _TROUBLED_SHARE else 0.0
    video = rng.random() < 0.7
    with_server = rng.random() < config.server_share
    dice = rng.random((size, 10)).tolist()
    keys = rng.integers(1, 1 << 62, size).tolist()
    users: list[SessionTruth] = []
    for number, (throw, key) in enumerate(zip(dice, keys, strict=True)):
        join, leave = (begin, end) if config.full_stay else _stay(throw, begin, end)
        # The call begins with its first join and ends with its last leave: its first user sees to both.
        join, leave = (begin, end) if number == 0 else (join, leave)
        user = _user(maker, f"{index}/{number}", throw, key, join, leave, trouble, video=video)
        if config.quirks and number and throw[9] < _AGAIN_SHARE:
            user = evolve(user, uid=users[0].uid, uid_is_number=users[0].uid_is_number)
        users.append(user)
    sessions = _with_peers(users, config.peers)
    if with_server:
        sessions.append(_server(maker, f"{index}/server", begin, end, keys[0]))
    return tuple(sessions)


def _stay(dice: list[float], begin: int, end: int) -> tuple[int, int]:
    length = end - begin
    join = begin + int(length * 0.9 * dice[0] ** 2)
    leave = end - int((end - join) * 0.8 * dice[1] ** 2)
    return join, max(leave, join + 1)


def _user(
    maker: SessionGenerator,
    path: str,
    dice: list[float],
    key: int,
    join: int,
    leave: int,
    trouble: float,
    *,
    video: bool,
) -> SessionTruth:
    quirks = maker.config.quirks
    network = _NETWORK_NAMES[min(int(np.searchsorted(_NETWORK_SHARES, dice[2])), len(_NETWORK_NAMES) - 1)]
    _, strain, spells = NETWORKS[network]
    platform, device = _DEVICES[int(dice[3] * len(_DEVICES))]
    number = int(dice[4] * 1e9)
    is_number = not quirks or dice[5] < 0.75
    # Half of the numeric ids of a quirky world lie beyond 2 ** 31, as the vendor's samples do.
    uid = str(2_147_483_648 + number if quirks and number % 2 else 1 + number)
    return SessionTruth(
        sid=_sid(maker.seed, path),
        uid=uid if is_number else f"{_NAMES[number % len(_NAMES)]}-{number % 1000}",
        uid_is_number=is_number,
        join_ts=join,
        leave_ts=leave,
        network=network,
        platform=platform,
        device_type=device,
        sdk_version=_SDKS[int(dice[6] * len(_SDKS))],
        speaker=dice[7] < 0.8,
        video=video,
        spells=min(spells + trouble, 1.0),
        strain=strain,
        key=key,
        extra=_extra(dice) if quirks else {},
    )


def _extra(dice: list[float]) -> dict[str, Any]:
    """Return the optional fields of a session, some missing and some of changing type, and one that is unknown."""
    extra: dict[str, Any] = {"isp": ("Telia", "Jio", "Vodafone")[int(dice[8] * 3)]}
    if dice[8] < 0.4:
        extra["roles"] = "host"
    elif dice[8] < 0.8:
        extra["roles"] = ["host", "audience"] if dice[8] < 0.6 else ["audience"]
    if dice[9] < 0.3:
        extra["account"] = f"user-{int(dice[9] * 1e4)}"
    if dice[9] > 0.5:
        extra |= {
            "user_audio_freeze_rate": round(dice[8] / 20, 4),
            "user_video_freeze_rate": round(dice[9] / 15, 4),
        }
    return extra


def _with_peers(users: list[SessionTruth], most: int) -> list[SessionTruth]:
    """Let each user receive the first speakers of the call, for as long as they were there."""
    speakers: dict[
        str, Peer
    ] = {}  # one a user: somebody who joined twice is heard once, or points would collide
    for user in users:
        if user.speaker and len(speakers) <= most:
            heard = Peer(
                uid=user.uid, uid_is_number=user.uid_is_number, join_ts=user.join_ts, leave_ts=user.leave_ts
            )
            speakers.setdefault(user.uid, heard)
    return [
        evolve(user, peers=tuple(peer for peer in speakers.values() if peer.uid != user.uid)[:most])
        for user in users
    ]


def _server(maker: SessionGenerator, path: str, begin: int, end: int, key: int) -> SessionTruth:
    return SessionTruth(
        sid=_sid(maker.seed, path),
        uid=str(900_000_000 + key % 1000),
        join_ts=begin,
        leave_ts=end,
        network="Ethernet",
        platform="Linux",
        device_type="Linux server",
        server=True,
        video=False,
        spells=0,
        strain=1,
        key=key ^ 0x5EA,
    )


def _sid(seed: int, path: str) -> str:
    return blake2b(f"{seed}/{path}".encode(), digest_size=16).hexdigest().upper()
