"""What the client of each user measured, second by second, from the samples of a call.

A sample is the value of the seconds since the previous sample of its series; see `agora_analytics.scoring.samples`. Tools
that poll a client every few seconds get the mean of the seconds since their previous poll. Seconds without samples are NaN.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pyarrow as pa
from attrs import define, field
from numpy.typing import NDArray

from agora_analytics.scoring.samples import SAMPLE_INTERVALS

Seconds = NDArray[np.float64]
"""One value for each second, or for each poll."""

OWN = "0"
ROUND_TRIP, SYSTEM_CPU, CAPTURE_VOLUME, PLAYBACK_VOLUME = (20022,), (20002,), (20025,), (20026,)
# Browsers report 20037, 20038 and 20036 instead of 20015, 20017 and 20018.
AUDIO_SENT_LOSS, VIDEO_SENT_LOSS = (20015, 20037), (20017, 20038)
AUDIO_RECEIVED_LOSS, VIDEO_RECEIVED_LOSS = (20016,), (20018, 20036)
AUDIO_SENT_KBPS, VIDEO_SENT_KBPS, VIDEO_SENT_FPS = (20003,), (20024,), (20008,)
# A received video is the stream of high or of low quality.
AUDIO_RECEIVED_KBPS, VIDEO_RECEIVED_KBPS = (20004,), (20009, 20030)
RECEIVED_FPS, RECEIVED_WIDTH, VIDEO_FREEZE = (20010, 20031), (20019, 20032), (20011,)
AUDIO_PACKETS = 50.0
"""Packets of audio a second: 20 ms each, the default of Opus."""
KBPS_OF_VIDEO_PACKETS = 9.6
"""Kilobits of a packet of video: 1,200 bytes."""


@define(eq=False)
class ClientSamples:
    """The samples that the sessions of one user reported.

    Attributes:
        begin: the first second, in epoch seconds; the others follow.
        length: the number of seconds.
        series: times and values by metric id and peer, of all sessions.
    """

    begin: int
    length: int
    series: dict[tuple[int, str], list[tuple[NDArray[np.int64], Seconds]]]
    _held: dict[tuple[tuple[int, ...], str], Seconds] = field(factory=dict, init=False)

    @property
    def has_samples(self) -> bool:
        return bool(self.series)

    @cached_property
    def senders(self) -> Sequence[str]:
        """The users whose media this one received."""
        return sorted({peer for _, peer in self.series} - {OWN})

    def held(self, mids: tuple[int, ...], peer: str = OWN) -> Seconds:
        """Return a metric by second. Of several metric ids, the first one with a value counts."""
        if (mids, peer) not in self._held:
            values = np.full(self.length, np.nan)
            for mid in mids:
                for ts, value in self.series.get((mid, peer), ()):
                    values = np.where(np.isnan(values), hold(ts - self.begin, value, self.length), values)
            self._held[mids, peer] = values
        return self._held[mids, peer]

    def share_of_time(self, mids: tuple[int, ...], peer: str = OWN) -> Seconds:
        """Return a metric that sums up milliseconds as a share of each second."""
        values = np.full(self.length, np.nan)
        for mid in mids:
            for ts, value in self.series.get((mid, peer), ()):
                share = hold(ts - self.begin, value / (1000 * covered_seconds(ts)), self.length)
                values = np.where(np.isnan(values), share, values)
        return values

    def samples(self, mids: tuple[int, ...], peer: str = OWN) -> Seconds:
        """Return the values of a metric as they were reported, without their times."""
        found = [value for mid in mids for _, value in self.series.get((mid, peer), ())]
        return np.concatenate(found) if found else np.empty(0)

    def polled(self, seconds: int, mids: tuple[int, ...], peer: str = OWN) -> Seconds:
        """Return the mean of a metric since the previous poll, for each poll."""
        return mean_of_polls(self.held(mids, peer), seconds)


@define(eq=False)
class ClientsOfCall:
    """The users of a call and what their clients measured."""

    _sessions: pa.Table
    _metrics: pa.Table
    _clients: dict[str, ClientSamples] = field(factory=dict, init=False)

    @cached_property
    def _by_sid(self) -> dict[str, dict[tuple[int, str], tuple[NDArray[np.int64], Seconds]]]:
        return series_by_sid(self._metrics)

    @cached_property
    def stays(self) -> dict[str, list[tuple[str, int, int]]]:
        """The sessions of each user by uid: sid, first and last second."""
        columns = [self._sessions["sid"].to_pylist(), self._sessions["uid"].to_pylist()]
        columns += [self._sessions[name].cast(pa.int64()).to_pylist() for name in ("join_ts", "leave_ts")]
        stays: dict[str, list[tuple[str, int, int]]] = {}
        for sid, uid, join, leave in sorted(zip(*columns, strict=True), key=lambda row: row[2]):
            stays.setdefault(uid, []).append((sid, join, leave))
        return stays

    def sessions_without_samples(self, uid: str) -> int:
        """Return how many sessions of a user reported nothing."""
        return sum(sid not in self._by_sid for sid, _, _ in self.stays.get(uid, ()))

    def client(self, uid: str) -> ClientSamples:
        """Return what a user's client measured; nothing for a user who is not in the call."""
        if uid not in self._clients:
            stays = self.stays.get(uid, [])
            begin = min((join for _, join, _ in stays), default=0)
            end = max((leave for _, _, leave in stays), default=0)
            client = ClientSamples(begin, end - begin + 1, {})
            for sid, _, _ in stays:
                for key, samples in self._by_sid.get(sid, {}).items():
                    client.series.setdefault(key, []).append(samples)
            self._clients[uid] = client
        return self._clients[uid]


def series_by_sid(metrics: pa.Table) -> dict[str, dict[tuple[int, str], tuple[NDArray[np.int64], Seconds]]]:
    """Return the times and values of each series, sorted by time, by sid and then by metric id and peer."""
    metrics = metrics.sort_by([(name, "ascending") for name in ("sid", "mid", "peer_uid", "ts")])
    sid, peer = (_coded(metrics[name]) for name in ("sid", "peer_uid"))
    mid: Any = metrics["mid"].to_numpy()
    ts = metrics["ts"].cast(pa.int64()).to_numpy()
    value = metrics["value"].to_numpy()
    new = np.ones(len(mid) + 1, dtype=np.bool_)
    if len(mid):
        new[1:-1] = (sid[0][1:] != sid[0][:-1]) | (mid[1:] != mid[:-1]) | (peer[0][1:] != peer[0][:-1])
    edges = np.flatnonzero(new) if len(mid) else np.empty(0, np.int64)
    found: dict[str, dict[tuple[int, str], tuple[NDArray[np.int64], Seconds]]] = {}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        key = (int(mid[first]), peer[1][peer[0][first]])
        found.setdefault(sid[1][sid[0][first]], {})[key] = (ts[first:last], value[first:last])
    return found


def _coded(column: pa.ChunkedArray) -> tuple[Any, list[str]]:
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.indices.to_numpy(zero_copy_only=False), array.dictionary.to_pylist()


def hold(ts: NDArray[np.int64], value: Seconds, length: int) -> Seconds:
    """Return the value of each second: that of the next sample, if it covers the second.

    >>> hold(np.array([3, 5]), np.array([7.0, 8.0]), 7).tolist()
    [nan, nan, 7.0, 7.0, 8.0, 8.0, nan]
    """
    covered = covered_seconds(ts)
    seconds = np.arange(length)
    after = np.searchsorted(ts, seconds)
    at = np.minimum(after, len(ts) - 1)
    return np.where((after < len(ts)) & (ts[at] - seconds < covered[at]), value[at], np.nan)


def covered_seconds(ts: NDArray[np.int64]) -> Seconds:
    """Return the seconds that each sample of a series covers."""
    interval = SAMPLE_INTERVALS["agora"]
    covered = np.diff(ts, prepend=0).astype(np.float64)
    covered[0] = covered[1] if len(ts) > 1 else interval.nominal
    return np.minimum(covered, interval.longest)


def mean_of_polls(values: Seconds, seconds: int) -> Seconds:
    """Return the mean of each full interval of so many seconds, without those that have no value.

    >>> mean_of_polls(np.array([1.0, 3.0, np.nan, 5.0, 7.0]), 2).tolist()
    [2.0, 5.0]
    """
    whole = values[: len(values) // seconds * seconds].reshape(-1, seconds)
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # of intervals without any value
        return np.nanmean(whole, axis=1) if len(whole) else np.empty(0)
