"""The samples of one call as values by second, for each user and for each pair of a receiver and a sender."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.scoring.samples import SAMPLE_INTERVALS

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.agora.records import Session
    from agora_analytics.core.columns import Series

Values = NDArray[np.float64]
"""A value for each second; NaN where there is none."""
Seconds = NDArray[np.bool_]
"""Whether something holds, for each second."""

_OWN = "0"
_MID = {metric.name: metric.mid for metric in METRIC_IDS.values()}
_SESSION_COLUMNS = ["sid", "uid", "join_ts", "leave_ts", "speaker", "platform", "device_type"]
_INTERVAL = SAMPLE_INTERVALS["agora"]


@frozen(kw_only=True)
class Stay:
    """One session of a user. Times are seconds from the start of the timeline, both included."""

    sid: str
    uid: str
    join: int
    leave: int
    speaker: bool
    platform: str
    device: str


@frozen(eq=False)
class _Samples:
    """The samples of one series: their times, and the values of all and of those that are not null."""

    ts: NDArray[np.int32]
    value: Values


@define(eq=False)
class CallTimeline:
    """The sessions and samples of a call, by second.

    A sample holds for the time that it covers; see `agora_analytics.scoring.samples`. Times are seconds from `start`, which is
    the first join, in UTC epoch seconds.
    """

    start: int
    seconds: int
    stays: Mapping[str, Sequence[Stay]]
    _series: Mapping[tuple[str, int, str], _Samples] = field(repr=False)
    _known: dict[tuple[str, str, str], Values] = field(factory=dict, init=False, repr=False)
    _senders: dict[str, list[str]] = field(factory=dict, init=False, repr=False)
    _receivers: dict[str, list[str]] = field(factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, sessions: "pa.Table", *metrics: "pa.Table") -> Self:
        """Return the timeline of a call.

        Args:
            sessions: rows of the store's table with this name, of one call.
            metrics: rows of the store's table with this name. All samples of a session are in one of several tables.
        """
        return cls.of_tables(sessions, metrics)

    @classmethod
    def of_tables(cls, sessions: "pa.Table", metrics: "Iterable[pa.Table]") -> Self:
        """Return the timeline of a call, as `of`. Each table is read before the next one is asked for."""
        stays = [
            (row["sid"], row["uid"], _epoch(row["join_ts"]), _epoch(row["leave_ts"]), row)
            for row in sessions.select(_SESSION_COLUMNS).to_pylist()
        ]
        start = min((join for _, _, join, _, _ in stays), default=0)
        return cls._made(
            start,
            [
                Stay(
                    sid=sid,
                    uid=uid,
                    join=join - start,
                    leave=leave - start,
                    speaker=bool(row["speaker"]),
                    platform=row["platform"] or "",
                    device=row["device_type"] or "",
                )
                for sid, uid, join, leave, row in stays
            ],
            {key: samples for table in metrics for key, samples in _split(table, start)},
        )

    @classmethod
    def of_records(cls, sessions: "Sequence[Session]", series: "Iterable[Series]") -> Self:
        """Return the timeline of a call.

        Args:
            sessions: of the call.
            series: their metrics; a long call has several parts of a series.
        """
        start = min((session.join_ts for session in sessions), default=0)
        parts: dict[tuple[str, int, str], list[Series]] = {}
        for each in series:
            parts.setdefault((each.sid, each.mid, each.peer_uid), []).append(each)
        samples = {}
        for key, found in parts.items():
            ts = np.concatenate([np.asarray(each.ts, dtype=np.int64) for each in found]) - start
            value = np.concatenate([np.asarray(each.value, dtype=np.float64) for each in found])
            ts, first = np.unique(ts, return_index=True)
            if len(ts):
                samples[key] = _Samples(ts.astype(np.int32), value[first])
        stays = [
            Stay(
                sid=session.sid,
                uid=session.uid,
                join=session.join_ts - start,
                leave=session.leave_ts - start,
                speaker=bool(session.speaker),
                platform=session.platform or "",
                device=session.device_type or "",
            )
            for session in sessions
        ]
        return cls._made(start, stays, samples)

    @classmethod
    def _made(
        cls, start: int, stays: "Sequence[Stay]", samples: "dict[tuple[str, int, str], _Samples]"
    ) -> Self:
        by_uid: dict[str, list[Stay]] = {}
        for stay in sorted(stays, key=lambda stay: (stay.join, stay.sid)):
            by_uid.setdefault(stay.uid, []).append(stay)
        end = max((stay.leave for stay in stays), default=0)
        return cls(start, max(end, 0) + 1, by_uid, samples)

    @property
    def uids(self) -> Sequence[str]:
        """The users, in the order of their first join."""
        return list(self.stays)

    def own(self, uid: str, metric: str) -> Values:
        """Return a metric that a user's device reports of itself and of the streams that it sends."""
        return self.received(uid, _OWN, metric)

    def received(self, uid: str, sender: str, metric: str) -> Values:
        """Return a metric that a user's device reports of a stream that it receives."""
        key = (uid, sender, metric)
        if key not in self._known:
            self._known[key] = self._by_second(uid, sender, _MID[metric])
        return self._known[key]

    def senders(self, uid: str) -> list[str]:
        """Return the users of the call of whose streams a user reports samples."""
        if uid not in self._senders:
            found = self._peers(uid)
            self._senders[uid] = [sender for sender in self.uids if sender in found and sender != uid]
        return self._senders[uid]

    def _peers(self, uid: str) -> set[str]:
        sids = {stay.sid for stay in self.stays.get(uid, ())}
        return {peer for sid, _, peer in self._series if sid in sids and peer != _OWN}

    def present(self, uid: str) -> Seconds:
        """Return in which seconds any session of a user is in the call."""
        inside = np.zeros(self.seconds, dtype=np.bool_)
        for stay in self.stays.get(uid, ()):
            inside[stay.join : stay.leave + 1] = True
        return inside

    def receivers(self, sender: str) -> list[str]:
        """Return the users who report samples of a user's streams."""
        if sender not in self._receivers:
            self._receivers[sender] = [uid for uid in self.uids if sender in self.senders(uid)]
        return self._receivers[sender]

    def samples(self, uid: str, metric: str, sender: str = _OWN) -> tuple[NDArray[np.int64], Values, Values]:
        """Return the samples of a metric that have a value: their times, their values, and the seconds that each covers."""
        found = [
            samples
            for stay in self.stays.get(uid, ())
            if (samples := self._series.get((stay.sid, _MID[metric], sender))) is not None
        ]
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
        ts = np.concatenate([each.ts for each in found])
        value = np.concatenate([each.value for each in found])
        covers = np.concatenate([covered(each.ts) for each in found])
        order = np.argsort(ts, kind="stable")
        order = order[~np.isnan(value[order])]
        return ts[order], value[order], covers[order]

    def reports(self, uid: str) -> NDArray[np.int64]:
        """Return the times of all samples of a user, without repetition."""
        sids = {stay.sid for stay in self.stays.get(uid, ())}
        times = [samples.ts for (sid, _, _), samples in self._series.items() if sid in sids]
        return np.unique(np.concatenate(times)) if times else np.zeros(0, dtype=np.int64)

    def has_samples(self, sid: str) -> bool:
        """Return whether a session reported anything."""
        return any(key[0] == sid for key in self._series)

    def _by_second(self, uid: str, sender: str, mid: int) -> Values:
        values = np.full(self.seconds, np.nan)
        for stay in self.stays.get(uid, ()):
            samples = self._series.get((stay.sid, mid, sender))
            if samples is not None:
                _paint(values, samples)
        return values


def _paint(values: Values, samples: _Samples) -> None:
    """Write each sample to the seconds that it covers."""
    ts, value = samples.ts, samples.value
    first, last = max(int(ts[0]) - int(_INTERVAL.longest), 0), int(ts[-1]) + 1
    at = np.arange(first, min(last, len(values)))
    covers = covered(ts)
    position = np.minimum(np.searchsorted(ts, at), len(ts) - 1)
    inside = (at <= ts[position]) & (at > ts[position] - covers[position])
    values[at[inside]] = value[position[inside]]


def covered(ts: "NDArray[np.int32] | NDArray[np.int64]") -> Values:
    """Return the seconds that each sample of a series covers.

    Example:
        >>> covered(np.array([4, 8, 40])).tolist()
        [4.0, 4.0, 20.0]
    """
    if len(ts) < 2:
        return np.full(len(ts), _INTERVAL.nominal)
    steps = np.diff(ts).astype(np.float64)
    covers: Values = np.minimum(np.concatenate([steps[:1], steps]), _INTERVAL.longest)
    return covers


def _split(metrics: "pa.Table", start: int) -> Iterator[tuple[tuple[str, int, str], _Samples]]:
    """Yield each series of a table of samples: its sid, metric id and peer, and its samples in order of time."""
    if not metrics.num_rows:
        return
    sids, sid_code = _codes(metrics["sid"])
    peers, peer_code = _codes(metrics["peer_uid"])
    mid = metrics["mid"].to_numpy().astype(np.int64)
    ts = _epochs(metrics["ts"]) - start
    value = metrics["value"].to_numpy().astype(np.float64)
    order = np.lexsort((ts, peer_code, mid, sid_code))
    keys = np.stack([sid_code[order], mid[order], peer_code[order]])
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(keys, axis=1) != 0).any(axis=0)]))
    for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
        rows = order[first:last]
        key = (sids[sid_code[rows[0]]], int(mid[rows[0]]), peers[peer_code[rows[0]]])
        times = ts[rows]
        once = np.concatenate([np.diff(times) > 0, [True]])
        yield key, _Samples(times[once].astype(np.int32), value[rows][once])


def _codes(column: "pa.ChunkedArray") -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts of a column, and the position of each row's text among them."""
    encoded = column.cast("string").combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _epoch(moment: object) -> int:
    return int(moment.timestamp()) if hasattr(moment, "timestamp") else int(moment)  # type: ignore[call-overload]


def _epochs(column: "pa.ChunkedArray") -> NDArray[np.int64]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s", column.type.tz)).cast(pa.int64())
    seconds: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return seconds
