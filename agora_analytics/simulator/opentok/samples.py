"""Generates the stream statistics of a publisher or subscriber, on request."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import Bits, bits, key_array, units
from agora_analytics.simulator.opentok.generator import OpenTokWorldConfig
from agora_analytics.simulator.opentok.ground_truth import SampledStream, SubscriberTruth

STEP_MS = 30_000
_DENSE_STEP_MS, _DENSE_JITTER_MS, _JITTER_MS = 7_500, 6_500, 2_000  # dense samples are 1 to 14 seconds apart
_MEASURES = {  # the least, the most on an ordinary day, and what a bad spell adds
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
    """The samples of one stream: their times in `ms`, and a row of `values` for each of `MEASURES` (NaN: null)."""

    ms: NDArray[np.int64]
    values: NDArray[np.float64]
    resolution: NDArray[Any]

    def __len__(self) -> int:
        return len(self.ms)


def samples_of(stream: SampledStream, last_ms: int | None, config: OpenTokWorldConfig) -> Samples:
    """Return the samples of a stream up to and including `last_ms`; None: all."""
    key = key_array(stream.key)
    number, ms = _times(stream, key, last_ms, config)
    values = _values(stream, number, config.null_share)
    if not _has_audio(stream):
        values[_OF_AUDIO] = np.nan
    if not _has_video(stream):
        values[_OF_VIDEO] = np.nan
    size = (bits(key ^ np.uint64(0x517E), number // 20) % np.uint64(3)).astype(np.int64)
    resolution = _RESOLUTIONS[size] if _has_video(stream) else np.full(len(ms), None, dtype=object)
    return Samples(ms, values, resolution)


def _times(
    stream: SampledStream, key: Bits, last_ms: int | None, config: OpenTokWorldConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ends = [end for end in (stream.destroyed_ms, last_ms) if end is not None]
    if not ends:
        raise ValueError("an active stream has no last sample; pass last_ms")
    end = min(ends)
    if (count := config.samples) is not None:
        stay = (stream.destroyed_ms or stream.created_ms + STEP_MS * (count + 1)) - stream.created_ms
        step, jitter, most = stay // (count + 1), 0, count
    else:
        dense = stream.key % 1000 < config.dense_share * 1000
        step, jitter = (_DENSE_STEP_MS, _DENSE_JITTER_MS) if dense else (STEP_MS, _JITTER_MS)
        most = max(end - stream.created_ms, 0) // step + 1
    number = np.arange(most, dtype=np.int64)
    shift = (bits(key, number) % np.uint64(jitter + 1)).astype(np.int64)
    ms = stream.created_ms + step * (number + 1) + shift
    kept = ms <= end
    return number[kept], ms[kept]


def _values(stream: SampledStream, number: NDArray[np.int64], null_share: float) -> NDArray[np.float64]:
    """Return a row for each measure. In a bad spell all measures of a stream get worse together."""
    low, high, worse = (np.array(column)[:, None] for column in zip(*_MEASURES.values(), strict=True))
    spell = units(bits(key_array(stream.key + 1), number // 5))[0] < 0.08
    keys = key_array(*(stream.key + 977 * (row + 2) for row in range(len(MEASURES))))
    first, second, third = units(bits(keys[:, None], number[None, :]))
    values = low + (high - low) * first + worse * second * spell[None, :]
    rounded: NDArray[np.float64] = np.round(np.maximum(values, 0.0), 4)
    rounded[third < null_share] = np.nan
    return rounded


def _has_audio(stream: SampledStream) -> bool:
    return stream.audio if isinstance(stream, SubscriberTruth) else stream.stream.audio


def _has_video(stream: SampledStream) -> bool:
    return stream.video if isinstance(stream, SubscriberTruth) else stream.stream.video
