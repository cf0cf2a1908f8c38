"""The points of a session, made for any window at the moment they are asked for and never kept."""

from functools import lru_cache

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.metrics import DEVICE, DOWNLINK, UPLINK, MetricBehaviour
from agora_analytics.simulator.ground_truth.noise import bits, busyness, key_array, units
from agora_analytics.simulator.ground_truth.records import Peer, SeriesTruth, SessionTruth

_GAP, _SPELL = 0x6A09E667F3BCC908, 0xBB67AE8584CAA73B  # arbitrary, only to be different from each other
_GAP_BEATS = 16
_SPELL_BEATS = 6


@frozen
class SampleTiming:
    """How often sessions report.

    Attributes:
        interval: the mean time between two points in seconds; the real distance is irregular, half of it more or less.
        gap_share: the share of time in which nothing was reported.
        null_share: the share of points without a value.
        max_series: at most this many series a session.
    """

    interval: int = 4
    gap_share: float = 0.02
    null_share: float = 0.01
    max_series: int = 40


@frozen(eq=False)
class _Rows:
    """The series of a session as columns of parameters, one row each."""

    metrics: tuple[MetricBehaviour, ...]
    peers: tuple[Peer | None, ...]
    keys: NDArray[np.uint64]
    base: NDArray[np.float64]
    spread: NDArray[np.float64]
    burst: NDArray[np.float64]
    step: NDArray[np.float64]
    top: NDArray[np.float64]
    every: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


@frozen(eq=False)
class _Measured:
    """What a session reported in a window: one row a series, one column a report; `present` says which cells exist."""

    rows: _Rows
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    present: NDArray[np.bool_]


def points_of(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> list[SeriesTruth]:
    """Return the series of a session with start <= ts <= end; a series without a point is left out.

    The same session gives the same points whichever windows it is asked for in.
    """
    measured = _measured(session, start, end, timing)
    if measured is None:
        return []
    rows, ts = measured.rows, measured.ts
    any_present: NDArray[np.bool_] = np.any(measured.present, axis=1)
    return [
        SeriesTruth(
            mid=metric.mid,
            peer_uid=peer.uid if peer else "0",
            peer_is_number=peer.uid_is_number if peer else True,
            ts=ts[kept],
            value=value[kept],
            whole=metric.step >= 1,
        )
        for metric, peer, value, kept, some in zip(
            rows.metrics,
            rows.peers,
            measured.value,
            measured.present,
            any_present,
            strict=True,
        )
        if some
    ]


def sums_of(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> tuple[int, float, int]:
    """Return the number of points of a window, the sum of their values without nulls, and the sum of their times."""
    measured = _measured(session, start, end, timing)
    if measured is None:
        return 0, 0.0, 0
    present = measured.present
    valued = present & ~np.isnan(measured.value)
    times = int(present.sum(axis=0) @ measured.ts)
    return int(present.sum()), float(measured.value.sum(where=valued)), times


def _measured(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> _Measured | None:
    low, high = max(start, session.join_ts), min(end, session.leave_ts)
    if high < low:
        return None
    k, ts = _beats(session, low, high, timing)
    if not len(ts):
        return None
    rows = _rows(session, timing.max_series)
    present = (
        (k[None, :] % rows.every[:, None] == rows.every[:, None] // 2)
        & (ts[None, :] >= rows.first[:, None])
        & (ts[None, :] <= rows.last[:, None])
    )
    return _Measured(rows, ts, _values(session, rows, k, ts, timing.null_share), present)


def _beats(
    session: SessionTruth, low: int, high: int, timing: SampleTiming
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers and the times of the session's reports between two times, both included."""
    jitter = timing.interval // 2
    first = max((low - session.join_ts - jitter) // timing.interval, 0)
    k = np.arange(first, (high - session.join_ts) // timing.interval + 1, dtype=np.int64)
    shift = (bits(key_array(session.key), k) % np.uint64(jitter + 1)).astype(np.int64)
    ts = session.join_ts + timing.interval * k + shift
    in_gap = units(bits(key_array(session.key ^ _GAP), k // _GAP_BEATS))[0] < timing.gap_share
    kept = (ts >= low) & (ts <= high) & ~in_gap
    return k[kept], ts[kept]


def _values(
    session: SessionTruth, rows: _Rows, k: NDArray[np.int64], ts: NDArray[np.int64], null_share: float
) -> NDArray[np.float64]:
    """Return a value for each series and report, as a matrix of one row a series."""
    # The spells are the session's, not the series': loss, delay and freezes go bad together, and busy hours are worse.
    chance = units(bits(key_array(session.key ^ _SPELL), k // _SPELL_BEATS))[0]
    spell = chance < session.spells * (0.4 + 0.6 * busyness(ts))
    one, two, three = units(bits(rows.keys[:, None], k[None, :]))
    value = rows.base[:, None] + rows.spread[:, None] * (one + two - 1)
    value += rows.burst[:, None] * (spell[None, :] * one)
    value = np.rint(np.clip(value, 0, rows.top[:, None]) / rows.step[:, None]) * rows.step[:, None]
    value[three < null_share] = np.nan
    return value


@lru_cache(maxsize=64)
def _rows(session: SessionTruth, max_series: int) -> _Rows:
    plan: list[tuple[MetricBehaviour, Peer | None]] = [(metric, None) for metric in DEVICE]
    if session.speaker:
        plan += [(metric, None) for metric in UPLINK if session.video or not metric.video]
    for peer in session.peers:
        plan += [(metric, peer) for metric in DOWNLINK if session.video or not metric.video]
    plan = plan[:max_series]
    metrics = tuple(metric for metric, _ in plan)
    peers = tuple(peer for _, peer in plan)
    strain = np.array([session.strain if metric.strained else 1.0 for metric in metrics])
    return _Rows(
        metrics=metrics,
        peers=peers,
        keys=key_array(*(session.key * 31 + 7919 * number + 1 for number in range(len(plan)))),
        base=np.array([metric.base for metric in metrics]) * strain,
        spread=np.array([metric.spread for metric in metrics]) * strain,
        burst=np.array([metric.burst for metric in metrics], dtype=np.float64),
        step=np.array([metric.step for metric in metrics], dtype=np.float64),
        top=np.array([metric.top for metric in metrics], dtype=np.float64),
        every=np.array([metric.every for metric in metrics], dtype=np.int64),
        first=np.array([peer.join_ts if peer else session.join_ts for peer in peers], dtype=np.int64),
        last=np.array([peer.leave_ts if peer else session.leave_ts for peer in peers], dtype=np.int64),
    )
