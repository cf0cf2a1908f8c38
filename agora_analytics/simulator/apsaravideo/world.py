"""The world of the ApsaraVideo simulator: a value every 5 minutes for any terminals, generated on request."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from attrs import frozen

from agora_analytics.apsaravideo.spec import GRANULARITY, Metric
from agora_analytics.simulator.ground_truth.noise import Bits, bits, busyness, key_array, units

_GAPS = 0.02
# The value of a metric in an idle hour, what a busy hour adds, and the variation; in percent or milliseconds.
_LEVELS = {
    Metric.JOIN_SUCCESS_RATE: (99.5, -1.5, 0.5),
    Metric.VIDEO_STUCK_RATE: (0.8, 2.0, 1.2),
    Metric.AUDIO_STUCK_RATE: (0.4, 1.0, 0.6),
    Metric.FIRST_FRAME_COST: (350.0, 200.0, 150.0),
}


@frozen(kw_only=True)
class Terminals:
    """A selection of terminals: of an app, of one system or kind, in one channel; None: all."""

    app_id: str
    os: str | None = None
    terminal_type: str | None = None
    channel_id: str | None = None


@frozen(kw_only=True)
class TruePoint:
    """A value with 6 decimals. `ms` is the start of its 5 minutes in UTC epoch milliseconds."""

    ms: int
    value: str


@frozen(kw_only=True)
class ApsaraVideoWorld:
    """The apps and channels of an account, and the values of their metrics at any time.

    Example:
        >>> world = ApsaraVideoWorld.generate(seed=7)
        >>> len(world.points("FirstFrameCost", Terminals(app_id=world.app_ids[0]), 0, 24 * 3_600_000 - 1)) > 270
        True
    """

    seed: int
    app_ids: tuple[str, ...]
    channel_ids: tuple[str, ...]

    @classmethod
    def generate(cls, *, seed: int = 1, apps: int = 2, channels: int = 5) -> "ApsaraVideoWorld":
        """Generate a world. The same seed gives the same world."""
        names = [blake2b(f"{seed} {i}".encode(), digest_size=16).hexdigest() for i in range(apps)]
        return cls(
            seed=seed,
            app_ids=tuple(f"{n[:8]}-{n[8:12]}-{n[12:16]}-{n[16:20]}-{n[20:]}" for n in names),
            channel_ids=tuple(str(770_513 + 17 * i) for i in range(channels)),
        )

    def points(self, metric: str, terminals: Terminals, first_ms: int, last_ms: int) -> list[TruePoint]:
        """Return the points whose 5 minutes begin in a time range, both ends included. Some points are missing."""
        step = GRANULARITY * 1000
        index = np.arange(-(-first_ms // step), last_ms // step + 1, dtype=np.int64)
        if terminals.channel_id not in (None, *self.channel_ids) or not len(index):
            return []
        gap, noise, _ = units(bits(self._key(metric, terminals), index))
        level, busy, spread = _LEVELS[Metric(metric)]
        values = np.maximum(level + busy * busyness(index * GRANULARITY) + spread * (noise - 0.5), 0.0)
        if Metric(metric) is Metric.JOIN_SUCCESS_RATE:
            values = np.minimum(values, 100.0)
        return [
            TruePoint(ms=int(i) * step, value=f"{value:.6f}")
            for i, value, present in zip(index, values, gap >= _GAPS, strict=True)
            if present
        ]

    def _key(self, metric: str, terminals: Terminals) -> Bits:
        parts = (metric, terminals.app_id, terminals.os, terminals.terminal_type, terminals.channel_id)
        digest = blake2b(repr((self.seed, *map(str, parts))).encode(), digest_size=8).digest()
        return key_array(int.from_bytes(digest, "big"))


def summary(points: Sequence[TruePoint]) -> str:
    """Return the mean of points, or "0" if there are none."""
    return f"{sum(float(p.value) for p in points) / len(points):.6f}" if points else "0"
