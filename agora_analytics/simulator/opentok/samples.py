"""The stream statistics of a publisher or subscriber, made when they are asked for and never kept."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import Bits, bits, key_array, units
from agora_analytics.simulator.opentok.ground_truth import PublisherTruth, SubscriberTruth

STEP_MS = 30_000
_HASTY_STEP_MS, _HASTY_JITTER_MS, _JITTER_MS = 7_500, 6_500, 2_000  # hasty samples lie 1 to 14 seconds apart
_MEASURES = {  # least, most on an ordinary day, and what a bad spell adds; of a subscriber and of a publisher alike
    "audioBitrateKbps": (28.0, 44.0, -12.0),
    "videoBitrateKbps": (250.0, 900.0, -220.0),
    "audioLatencyMs": (20.0, 90.0, 300.0),
    "videoLatencyMs": (30.0, 120.0, 400.0),
    "audioPacketLoss": (0.0, 0.01, 0.2),
    "videoPacketLoss": (0.0, 0.02, 0.25),
}
MEASURES = tuple(_MEASURES)
"""The numbers of a sample, in the order of the schema: kbit/s, milliseconds, and ratios from 0 to 1."""
_OF_AUDIO = [name.startswith("audio") for name in MEASURES]
_OF_VIDEO = [name.startswith("video") for name in MEASURES]
_RESOLUTIONS = np.array(["320x240", "640x480", "1280x720"], dtype=object)


@frozen(eq=False)
class Samples:
    """The samples of one stream: `ms` is when each was taken, `values` has a row for each of `MEASURES` (NaN: null)."""

    ms: NDArray[np.int64]
    values: NDArray[np.float64]
    resolution: NDArray[Any]

    def __len__(self) -> int:
        return len(self.ms)


@frozen(kw_only=True)
class Sampling:
    """How streams are sampled; see `OpenTokWorldConfig`."""

    count: int | None
    hasty_share: float
    null_share: float

    def of(self, one: PublisherTruth | SubscriberTruth, last_ms: int | None) -> Samples:
        """Return the samples of a stream up to `last_ms`, that moment included; None: all.

        Raises:
            ValueError: the stream goes on, and no end is given.
        """
        key = key_array(one.key)
        number, ms = self._times(one, key, last_ms)
        values = _values(one, number, self.null_share)
        if not _hears(one):
            values[_OF_AUDIO] = np.nan
        if not _sees(one):
            values[_OF_VIDEO] = np.nan
        size = (bits(key ^ np.uint64(0x517E), number // 20) % np.uint64(3)).astype(np.int64)
        resolution = _RESOLUTIONS[size] if _sees(one) else np.full(len(ms), None, dtype=object)
        return Samples(ms, values, resolution)

    def _times(
        self, one: PublisherTruth | SubscriberTruth, key: Bits, last_ms: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ends = [end for end in (one.destroyed_ms, last_ms) if end is not None]
        if not ends:
            raise ValueError("a stream that goes on has no end of samples; give last_ms")
        end = min(ends)
        if self.count is not None:
            stay = (one.destroyed_ms or one.created_ms + STEP_MS * (self.count + 1)) - one.created_ms
            step, jitter, most = stay // (self.count + 1), 0, self.count
        else:
            hasty = one.key % 1000 < self.hasty_share * 1000
            step, jitter = (_HASTY_STEP_MS, _HASTY_JITTER_MS) if hasty else (STEP_MS, _JITTER_MS)
            most = max(end - one.created_ms, 0) // step + 1
        number = np.arange(most, dtype=np.int64)
        shift = (bits(key, number) % np.uint64(jitter + 1)).astype(np.int64)
        ms = one.created_ms + step * (number + 1) + shift
        kept = ms <= end
        return number[kept], ms[kept]


def _values(
    one: PublisherTruth | SubscriberTruth, number: NDArray[np.int64], null_share: float
) -> NDArray[np.float64]:
    """Return a row for each measure. Bad spells are the stream's, so that all its measures go bad together."""
    low, high, worse = (np.array(column)[:, None] for column in zip(*_MEASURES.values(), strict=True))
    spell = units(bits(key_array(one.key + 1), number // 5))[0] < 0.08
    keys = key_array(*(one.key + 977 * (row + 2) for row in range(len(MEASURES))))
    first, second, third = units(bits(keys[:, None], number[None, :]))
    values = low + (high - low) * first + worse * second * spell[None, :]
    rounded: NDArray[np.float64] = np.round(np.maximum(values, 0.0), 4)
    rounded[third < null_share] = np.nan
    return rounded


def _hears(one: PublisherTruth | SubscriberTruth) -> bool:
    return one.audio if isinstance(one, SubscriberTruth) else one.stream.audio


def _sees(one: PublisherTruth | SubscriberTruth) -> bool:
    return one.video if isinstance(one, SubscriberTruth) else one.stream.video
