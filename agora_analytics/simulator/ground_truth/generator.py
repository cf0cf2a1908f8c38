"""Generates the calls of a world and their sessions from a seed: lengths, users, networks and devices."""

from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import busyness
from agora_analytics.simulator.ground_truth.records import CallTruth, Peer, SessionTruth

NETWORKS = {
    # name: (share of users, factor on loss and delay, share of bad spells at the busiest hour)
    "Wi-Fi": (0.52, 2.0, 0.03),
    "4G": (0.22, 5.0, 0.09),
    "Ethernet": (0.20, 1.0, 0.008),
    "Mobile 3G": (0.06, 14.0, 0.22),
}
"""The networks: Ethernet is good, on 3G calls freeze."""

_HOUR = 3600
_SHORTEST = 15
_ROOMS = ("standup", "class", "support", "clinic", "lounge", "game", "town-hall", "interview")
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
# Calls in which all users freeze often, on any network, and the share of bad spells that this adds.
_TROUBLED_SHARE, _TROUBLE = 0.08, 0.25
_REJOIN_SHARE = 0.04  # sessions of a user who was in the call before


@frozen(kw_only=True)
class WorldConfig:
    """What a generated world looks like. Shares are fractions of all calls, from 0 to 1.

    Attributes:
        minutes, sigma: median length of an ordinary call in minutes, and the sigma of its log-normal distribution.
        max_minutes: the longest ordinary call.
        session_range, session_skew: the sessions of an ordinary call, drawn as low + (high - low) * u ** skew.
        long_share: calls of 6 to 40 hours; a third of them are longer than 24 hours.
        big_share, big_range: calls with hundreds of sessions; they have ordinary lengths.
        ongoing_share: calls that are still active at the end of the world's time range, `until`.
        server_share: calls with a hidden server user.
        full_stay: every session stays for the whole call.
        rhythm: calls follow the hours of the day; otherwise they are spread evenly.
        quirks: text uids, unknown fields, missing optional fields, unusual types.
        peers: the most users that a session receives.
        interval, gap_share, null_share, max_series: see `SampleTiming`.
    """

    minutes: float = 6.0
    sigma: float = 0.9
    max_minutes: float = 300.0
    session_range: tuple[int, int] = (1, 20)
    session_skew: float = 2.0
    long_share: float = 0.01
    big_share: float = 0.004
    big_range: tuple[int, int] = (120, 600)
    ongoing_share: float = 0.02
    server_share: float = 0.05
    full_stay: bool = False
    rhythm: bool = True
    quirks: bool = True
    peers: int = 2
    interval: int = 4
    gap_share: float = 0.02
    null_share: float = 0.01
    max_series: int = 40


SIMPLE = WorldConfig(
    minutes=5,
    sigma=0.6,
    max_minutes=50,
    session_skew=1,
    long_share=0,
    big_share=0,
    ongoing_share=0,
    server_share=0,
    quirks=False,
)
"""Short finished calls with 1 to 20 sessions and no special cases, for counting costs."""


@lru_cache(maxsize=512)
def _sessions_of_call(
    seed: int, config: WorldConfig, index: int, begin: int, end: int, size: int
) -> tuple[SessionTruth, ...]:
    """Return the sessions of call number `index`. The first joins at `begin`, the last leaves at `end`."""
    rng = np.random.default_rng([seed, 2, index])
    trouble = _TROUBLE if rng.random() < _TROUBLED_SHARE else 0.0
    video = rng.random() < 0.7
    with_server = rng.random() < config.server_share
    draws = rng.random((size, 10)).tolist()
    keys = rng.integers(1, 1 << 62, size).tolist()
    users: list[SessionTruth] = []
    for number, (draw, key) in enumerate(zip(draws, keys, strict=True)):
        # The first user stays for the whole call, which begins with the first join and ends with the last leave.
        whole = config.full_stay or number == 0
        stay = (begin, end) if whole else _stay(draw, begin, end)
        sid = _sid(seed, f"{index}/{number}")
        user = _user(sid, draw, key, stay, trouble, video=video, quirks=config.quirks)
        if config.quirks and number and draw[9] < _REJOIN_SHARE:
            user = evolve(user, uid=users[0].uid, uid_is_number=users[0].uid_is_number)
        users.append(user)
    sessions = _with_peers(users, config.peers)
    if with_server:
        sessions.append(_server(_sid(seed, f"{index}/server"), begin, end, keys[0]))
    return tuple(sessions)


def _stay(dice: list[float], begin: int, end: int) -> tuple[int, int]:
    length = end - begin
    join = begin + int(length * 0.9 * dice[0] ** 2)
    leave = end - int((end - join) * 0.8 * dice[1] ** 2)
    return join, max(leave, join + 1)


def _user(
    sid: str, dice: list[float], key: int, stay: tuple[int, int], trouble: float, *, video: bool, quirks: bool
) -> SessionTruth:
    network = _NETWORK_NAMES[min(int(np.searchsorted(_NETWORK_SHARES, dice[2])), len(_NETWORK_NAMES) - 1)]
    _, strain, spells = NETWORKS[network]
    platform, device = _DEVICES[int(dice[3] * len(_DEVICES))]
    number = int(dice[4] * 1e9)
    is_number = not quirks or dice[5] < 0.75
    # With quirks, half of the numeric ids are above 2 ** 31, as in the vendor's samples.
    uid = str(2_147_483_648 + number if quirks and number % 2 else 1 + number)
    return SessionTruth(
        sid=sid,
        uid=uid if is_number else f"{_NAMES[number % len(_NAMES)]}-{number % 1000}",
        uid_is_number=is_number,
        join_ts=stay[0],
        leave_ts=stay[1],
        network=network,
        platform=platform,
        device_type=device,
        sdk_version=_SDKS[int(dice[6] * len(_SDKS))],
        speaker=dice[7] < 0.8,
        video=video,
        spells=min(spells + trouble, 1.0),
        strain=strain,
        key=key,
        extra=_session_extra(dice) if quirks else {},
    )


def _session_extra(dice: list[float]) -> dict[str, Any]:
    """Return the optional fields of a session, some missing or of varying type, and an undocumented one."""
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
    """Let each user receive the first speakers of the call, while they were in it."""
    # By user: one who joined twice is received once, because their points would have equal keys.
    speakers: dict[str, Peer] = {}
    for user in users:
        if user.speaker and len(speakers) <= most:
            peer = Peer(
                uid=user.uid, uid_is_number=user.uid_is_number, join_ts=user.join_ts, leave_ts=user.leave_ts
            )
            speakers.setdefault(user.uid, peer)
    return [
        evolve(user, peers=tuple(peer for peer in speakers.values() if peer.uid != user.uid)[:most])
        for user in users
    ]


def _server(sid: str, begin: int, end: int, key: int) -> SessionTruth:
    return SessionTruth(
        sid=sid,
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


def generate_calls(*, seed: int, since: int, until: int, config: WorldConfig, count: int) -> list[CallTruth]:
    """Return `count` calls with created_ts in [since, until), in no particular order."""
    rng = np.random.default_rng([seed, 1])
    created = _created(rng, since, until, count, rhythm=config.rhythm)
    seconds = 60 * config.minutes * np.exp(config.sigma * rng.standard_normal(count))
    seconds = np.clip(seconds, _SHORTEST, 60 * config.max_minutes)
    sizes = _drawn(rng, count, config.session_range, config.session_skew)

    long = _chosen(rng, count, config.long_share)
    longer = np.cumsum(long) % 3 == 2
    hours = np.where(longer, rng.uniform(24.2, 40, count), rng.uniform(6.1, 23.8, count))
    seconds = np.where(long, hours * _HOUR, seconds)
    # Long calls begin early enough not to be cut at the end of the time range.
    created = np.where(long, np.maximum(np.minimum(created, until - seconds), since), created).astype(
        np.int64
    )
    big = _chosen(rng, count, config.big_share) & ~long
    sizes = np.where(big, _drawn(rng, count, config.big_range, 1.0), sizes)

    destroyed = created + seconds.astype(np.int64)
    # Only ongoing calls end after `until`.
    ongoing = _chosen(rng, count, config.ongoing_share)
    late = until - rng.integers(60, 3 * _HOUR, count)
    created = np.where(ongoing, np.clip(late, since, until - 1), created)
    ends_late = until + rng.integers(120, 2 * _HOUR, count)
    destroyed = np.where(ongoing, ends_late, np.minimum(destroyed, until))
    created = np.where(destroyed - created < _SHORTEST, np.maximum(created - _SHORTEST, since), created)
    extras = rng.random((count, 3))
    return [
        _call(seed, config, index, int(begin), int(end), int(size), extra)
        for index, (begin, end, size, extra) in enumerate(
            zip(created, destroyed, sizes, extras.tolist(), strict=True)
        )
    ]


def _created(
    rng: np.random.Generator, since: int, until: int, count: int, *, rhythm: bool
) -> NDArray[np.int64]:
    if not rhythm:
        return rng.integers(since, until, count)
    minutes = np.arange(since, until, 60, dtype=np.float64)
    heights = np.concatenate(([0.0], np.cumsum(busyness(minutes))))
    edges = np.append(minutes, float(until))
    drawn: NDArray[np.float64] = np.interp(rng.random(count) * heights[-1], heights, edges)
    return np.minimum(drawn.astype(np.int64), until - 1)


def _call(
    seed: int, config: WorldConfig, index: int, begin: int, end: int, size: int, extra: list[float]
) -> CallTruth:
    digest = blake2b(b"%d/%d" % (seed, index), digest_size=12).hexdigest()
    cname = f"{_ROOMS[index % len(_ROOMS)]}-{index % 97}"
    return CallTruth(
        call_id=digest,
        cname=cname,
        created_ts=begin,
        destroyed_ts=end,
        extra=_call_extra(extra, size) if config.quirks else {},
        sessions=partial(_sessions_of_call, seed, config, index, begin, end, size),
    )


def _drawn(rng: np.random.Generator, count: int, between: tuple[int, int], skew: float) -> NDArray[np.int64]:
    low, high = between
    whole: NDArray[np.int64] = low + ((high - low + 1) * rng.random(count) ** skew).astype(np.int64)
    return np.minimum(whole, high)


def _chosen(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """Return a mask of that share of the calls, exact to one call, so that it is right in a small world too."""
    order: NDArray[np.bool_] = rng.permutation(count) < round(share * count)
    return order


def _call_extra(dice: list[float], size: int) -> dict[str, object]:
    """Return the optional fields of a call, some of them missing, and an undocumented one."""
    extra: dict[str, object] = {"vid": int(dice[2] * 1e6)}
    if dice[0] < 0.7:
        extra |= {"call_pcu": max(1, int(size * 0.8)), "call_acu": size}
    if dice[1] < 0.6:
        extra |= {
            "call_audio_freeze_rate": round(dice[0] / 20, 4),
            "call_video_freeze_rate": round(dice[1] / 12, 4),
        }
    return extra
