"""Generates the points of a session for any window, on request. Metric ids are the vendor's, their behaviour is invented."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import bits, busyness, key_array, units
from agora_analytics.simulator.ground_truth.records import Peer, SeriesTruth, SessionTruth

UNKNOWN_MID = 20099
# Arbitrary, but different.
_GAP, _SPELL = 0x6A09E667F3BCC908, 0xBB67AE8584CAA73B
_GAP_REPORTS = 16
_SPELL_REPORTS = 6


@frozen
class MetricBehaviour:
    """How one metric behaves.

    Attributes:
        mid: the vendor's metric id.
        base, spread: values are within `spread` of `base`, in the metric's unit.
        burst: the most that a bad spell of the network adds; negative if lower is worse, such as fps.
        step: values are multiples of it: 1 for whole numbers, 0.25 for fractions.
        top: the highest possible value.
        every: only every n-th report has it.
        strained: whether the network's `strain` multiplies `base` and `spread`.
        video: whether only sessions with video have it.
    """

    mid: int
    base: float
    spread: float
    burst: float = 0
    step: float = 1
    top: float = 100_000
    every: int = 1
    strained: bool = False
    video: bool = False


DEVICE = (
    MetricBehaviour(20001, 18, 9, step=0.25, top=100, every=3),
    MetricBehaviour(20002, 35, 20, step=0.25, top=100, every=3),
    MetricBehaviour(20022, 12, 10, burst=300, strained=True),
    MetricBehaviour(20021, 3, 3, burst=20, every=4),
    MetricBehaviour(20039, 9, 2, step=0.25, top=100, every=5),
    MetricBehaviour(20040, 55, 10, step=0.25, top=100, every=5),
    MetricBehaviour(UNKNOWN_MID, 40, 40, every=7),
)
"""What every session reports about its device."""

UPLINK = (
    MetricBehaviour(20003, 48, 14, burst=-30),
    MetricBehaviour(20015, 0.4, 0.4, burst=25, step=0.25, top=100, strained=True),
    MetricBehaviour(20025, 60, 40, top=255, every=2),
    MetricBehaviour(20024, 800, 250, burst=-500, video=True),
    MetricBehaviour(20007, 15, 1, every=2, video=True),
    MetricBehaviour(20008, 15, 2, burst=-10, video=True),
    MetricBehaviour(20017, 0.5, 0.5, burst=30, step=0.25, top=100, strained=True, video=True),
    MetricBehaviour(20013, 27, 6, burst=12, top=51, every=3, video=True),
    MetricBehaviour(20027, 640, 0, every=8, video=True),
    MetricBehaviour(20028, 360, 0, every=8, video=True),
)
"""What a sending session reports about its own stream."""

DOWNLINK = (
    MetricBehaviour(20004, 48, 14, burst=-30),
    MetricBehaviour(20005, 0, 0, burst=900, every=2),
    MetricBehaviour(20016, 0.5, 0.5, burst=30, step=0.25, top=100, strained=True),
    MetricBehaviour(20026, 60, 40, top=255, every=2),
    MetricBehaviour(20009, 800, 250, burst=-500, video=True),
    MetricBehaviour(20010, 15, 2, burst=-12, video=True),
    MetricBehaviour(20011, 0, 0, burst=2400, video=True),
    MetricBehaviour(20018, 0.6, 0.6, burst=35, step=0.25, top=100, strained=True, video=True),
    MetricBehaviour(20019, 640, 0, every=8, video=True),
    MetricBehaviour(20020, 360, 0, every=8, video=True),
)
"""What a session reports about each peer that it receives."""


@frozen
class SampleTiming:
    """How often sessions report.

    Attributes:
        interval: the mean time between two reports in seconds. The real distances vary by up to half of it.
        gap_share: the share of time without reports.
        null_share: the share of points without a value.
        max_series: the most series of a session.
    """

    interval: int = 4
    gap_share: float = 0.02
    null_share: float = 0.01
    max_series: int = 40


_Plan = tuple[tuple[MetricBehaviour, Peer | None], ...]


@frozen(eq=False)
class _Rows:
    """The series of a session. The parameters are column vectors with an element for each series."""

    plan: _Plan
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
    """The reports of a session in a window: a row for each series, a column for each report. `present` marks the cells that exist."""

    rows: _Rows
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    present: NDArray[np.bool_]


def points_of(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> list[SeriesTruth]:
    """Return the series of a session with start <= ts <= end. Series without points are left out."""
    measured = _measured(session, start, end, timing)
    ts = measured.ts
    return [
        SeriesTruth(
            mid=metric.mid,
            peer_uid=peer.uid if peer else "0",
            peer_is_number=peer.uid_is_number if peer else True,
            ts=ts[kept],
            value=value[kept],
            whole=metric.step >= 1,
        )
        for (metric, peer), value, kept in zip(
            measured.rows.plan, measured.value, measured.present, strict=True
        )
        if kept.any()
    ]


def sums_of(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> tuple[int, float, int]:
    """Return the number of points in a window, the sum of their values (nulls excluded) and the sum of their times."""
    measured = _measured(session, start, end, timing)
    present = measured.present
    valued = present & ~np.isnan(measured.value)
    times = int(present.sum(axis=0) @ measured.ts)
    return int(present.sum()), float(measured.value.sum(where=valued)), times


def _measured(session: SessionTruth, start: int, end: int, timing: SampleTiming) -> _Measured:
    k, ts = report_times(session, max(start, session.join_ts), min(end, session.leave_ts), timing)
    rows = _rows(session, timing.max_series)
    present = (k % rows.every == rows.every // 2) & (ts >= rows.first) & (ts <= rows.last)
    return _Measured(rows, ts, _values(session, rows, k, ts, timing.null_share), present)


def report_times(
    session: SessionTruth, low: int, high: int, timing: SampleTiming
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers and the times of the reports between two times, both included."""
    jitter = timing.interval // 2
    first = max((low - session.join_ts - jitter) // timing.interval, 0)
    k = np.arange(first, (high - session.join_ts) // timing.interval + 1, dtype=np.int64)
    shift = (bits(key_array(session.key), k) % np.uint64(jitter + 1)).astype(np.int64)
    ts = session.join_ts + timing.interval * k + shift
    in_gap = units(bits(key_array(session.key ^ _GAP), k // _GAP_REPORTS))[0] < timing.gap_share
    kept = (ts >= low) & (ts <= high) & ~in_gap
    return k[kept], ts[kept]


def _values(
    session: SessionTruth, rows: _Rows, k: NDArray[np.int64], ts: NDArray[np.int64], null_share: float
) -> NDArray[np.float64]:
    """Return a value for each series and report, as a matrix with a row for each series."""
    # Bad spells belong to the session: loss, delay and freezes get worse together, and more often in busy hours.
    chance = units(bits(key_array(session.key ^ _SPELL), k // _SPELL_REPORTS))[0]
    spell = chance < session.spells * (0.4 + 0.6 * busyness(ts))
    first, second, third = units(bits(rows.keys, k))
    value = rows.base + rows.spread * (first + second - 1)
    value += rows.burst * (spell * first)
    value = np.rint(np.clip(value, 0, rows.top) / rows.step) * rows.step
    value[third < null_share] = np.nan
    return value


@lru_cache(maxsize=64)
def _rows(session: SessionTruth, max_series: int) -> _Rows:
    plan: list[tuple[MetricBehaviour, Peer | None]] = [(metric, None) for metric in DEVICE]
    if session.speaker:
        plan += [(metric, None) for metric in UPLINK if session.video or not metric.video]
    for peer in session.peers:
        plan += [(metric, peer) for metric in DOWNLINK if session.video or not metric.video]
    plan = plan[:max_series]
    strain = _column([session.strain if metric.strained else 1.0 for metric, _ in plan])
    stays = [peer or session for _, peer in plan]
    return _Rows(
        plan=tuple(plan),
        keys=key_array(*(session.key * 31 + 7919 * number + 1 for number in range(len(plan))))[:, None],
        base=_column([metric.base for metric, _ in plan]) * strain,
        spread=_column([metric.spread for metric, _ in plan]) * strain,
        burst=_column([metric.burst for metric, _ in plan]),
        step=_column([metric.step for metric, _ in plan]),
        top=_column([metric.top for metric, _ in plan]),
        every=_column([metric.every for metric, _ in plan], np.int64),
        first=_column([stay.join_ts for stay in stays], np.int64),
        last=_column([stay.leave_ts for stay in stays], np.int64),
    )


def _column(values: Sequence[float], dtype: type[np.generic] = np.float64) -> NDArray[Any]:
    return np.array(values, dtype=dtype)[:, None]
