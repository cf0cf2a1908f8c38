"""When calls begin and end: a day's rhythm, many short calls, a few very long ones, some still going on."""

from functools import partial
from hashlib import blake2b

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import busyness
from agora_analytics.simulator.ground_truth.records import CallTruth
from agora_analytics.simulator.ground_truth.sessions import SessionGenerator
from agora_analytics.simulator.ground_truth.world_config import WorldConfig

_HOUR = 3600
_SHORTEST = 15
_ROOMS = ("standup", "class", "support", "clinic", "lounge", "game", "town-hall", "interview")


@frozen
class CallGenerator:
    """Makes the calls of one world; everything follows from the seed."""

    seed: int
    since: int
    until: int
    config: WorldConfig
    sessions: SessionGenerator = field(repr=False)

    def calls(self, count: int) -> list[CallTruth]:
        """Return `count` calls whose created_ts lies in [since, until), in no particular order."""
        rng = np.random.default_rng([self.seed, 1])
        config = self.config
        created = self._created(rng, count)
        seconds = 60 * config.minutes * np.exp(config.sigma * rng.standard_normal(count))
        seconds = np.clip(seconds, _SHORTEST, 60 * config.max_minutes)
        sizes = _drawn(rng, count, config.session_range, config.session_skew)

        long = _chosen(rng, count, config.long_share)
        longer = np.cumsum(long) % 3 == 2
        hours = np.where(longer, rng.uniform(24.2, 40, count), rng.uniform(6.1, 23.8, count))
        seconds = np.where(long, hours * _HOUR, seconds)
        # A long call that began near the end of the world would be cut short: let it begin early enough.
        created = np.where(
            long, np.maximum(np.minimum(created, self.until - seconds), self.since), created
        ).astype(np.int64)
        big = _chosen(rng, count, config.big_share) & ~long
        sizes = np.where(big, _drawn(rng, count, config.big_range, 1.0), sizes)

        destroyed = created + seconds.astype(np.int64)
        # Only the share that was asked for goes on past `until`: other calls end in time, or have not begun so late.
        ongoing = _chosen(rng, count, config.ongoing_share)
        late = self.until - rng.integers(60, 3 * _HOUR, count)
        created = np.where(ongoing, np.clip(late, self.since, self.until - 1), created)
        ends_late = self.until + rng.integers(120, 2 * _HOUR, count)
        destroyed = np.where(ongoing, ends_late, np.minimum(destroyed, self.until))
        created = np.where(
            destroyed - created < _SHORTEST, np.maximum(created - _SHORTEST, self.since), created
        )
        extras = rng.random((count, 3))
        return [
            self._call(index, int(begin), int(end), int(size), extra)
            for index, (begin, end, size, extra) in enumerate(
                zip(created, destroyed, sizes, extras.tolist(), strict=True)
            )
        ]

    def _created(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        if not self.config.rhythm:
            return rng.integers(self.since, self.until, count)
        minutes = np.arange(self.since, self.until, 60, dtype=np.float64)
        heights = np.concatenate(([0.0], np.cumsum(busyness(minutes))))
        edges = np.append(minutes, float(self.until))
        drawn: NDArray[np.float64] = np.interp(rng.random(count) * heights[-1], heights, edges)
        return np.minimum(drawn.astype(np.int64), self.until - 1)

    def _call(self, index: int, begin: int, end: int, size: int, extra: list[float]) -> CallTruth:
        digest = blake2b(b"%d/%d" % (self.seed, index), digest_size=12).hexdigest()
        cname = f"{_ROOMS[index % len(_ROOMS)]}-{index % 97}"
        return CallTruth(
            call_id=digest,
            cname=cname,
            created_ts=begin,
            destroyed_ts=end,
            extra=_extra(extra, size) if self.config.quirks else {},
            sessions=partial(self.sessions.of_call, index, begin, end, size),
        )


def _drawn(rng: np.random.Generator, count: int, between: tuple[int, int], skew: float) -> NDArray[np.int64]:
    low, high = between
    whole: NDArray[np.int64] = low + ((high - low + 1) * rng.random(count) ** skew).astype(np.int64)
    return np.minimum(whole, high)


def _chosen(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """Return a mask of that share of the calls, exact to one call, so that a small world has what was asked for."""
    order: NDArray[np.bool_] = rng.permutation(count) < round(share * count)
    return order


def _extra(dice: list[float], size: int) -> dict[str, object]:
    """Return the optional fields of a call, some of them missing, and one that no document names."""
    extra: dict[str, object] = {"vid": int(dice[2] * 1e6)}
    if dice[0] < 0.7:
        extra |= {"call_pcu": max(1, int(size * 0.8)), "call_acu": size}
    if dice[1] < 0.6:
        extra |= {
            "call_audio_freeze_rate": round(dice[0] / 20, 4),
            "call_video_freeze_rate": round(dice[1] / 12, 4),
        }
    return extra
