"""The reports of the sessions of a call: means and sums of their metrics since the previous report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import bits, key_array, units
from agora_analytics.simulator.ground_truth.records import Peer, SeriesTruth, SessionTruth
from agora_analytics.simulator.ground_truth.series import SampleTiming, report_times
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.reported_metrics import (
    ReportedMetric,
    of_the_device,
    of_the_downlink,
    of_the_uplink,
)

_SILENT = 3  # s after joining, before the first report
_LOST = 0x3C6EF372FE94F82B  # arbitrary
_LOST_SHARE, _LOST_IN_A_ROW = 0.4, 4  # how often reports are lost, relative to the longer gaps

_Metrics = Sequence[tuple[Peer | None, ReportedMetric]]


@frozen(eq=False)
class _Reports:
    """The reports of a session: their numbers and times, and the seconds [first, last) of the call that each covers."""

    session: SessionTruth
    number: NDArray[np.int64]
    ts: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def every(self, nth: int) -> "_Reports":
        """Return every n-th report. The seconds that each covers do not change."""
        kept = self.number % nth == nth // 2
        return _Reports(self.session, self.number[kept], self.ts[kept], self.first[kept], self.last[kept])


def reported(media: CallMedia, timing: SampleTiming) -> Mapping[str, Sequence[SeriesTruth]]:
    """Return the series that each session of a call reports, by its sid."""
    series: dict[str, Sequence[SeriesTruth]] = {each.sid: () for each in media.sessions}
    for stays in media.stays.values():
        for sessions in stays.values():
            metrics = list(_metrics(media, sessions[0]))
            for session in sessions:
                reports = _reports(media, session, timing)
                series[session.sid] = _merged(_sampled(reports, metrics, timing))[: timing.max_series]
    return series


def _metrics(media: CallMedia, stay: SessionTruth) -> Iterator[tuple[Peer | None, ReportedMetric]]:
    yield from ((None, metric) for metric in of_the_device(media, stay))
    if stay.speaker:
        yield from ((None, metric) for metric in of_the_uplink(media, stay))
    for peer in stay.peers:
        for sender in media.senders(stay, peer.uid):
            yield from ((peer, metric) for metric in of_the_downlink(media, stay, sender))


def _reports(media: CallMedia, session: SessionTruth, timing: SampleTiming) -> _Reports:
    online = media.conditions(session).online
    # The sessions of one device have different reports.
    session = evolve(session, key=session.key + session.join_ts)
    number, ts = report_times(session, session.join_ts + _SILENT, session.leave_ts, timing)
    begin = media.call.created_ts
    connected = online[ts - begin]
    number, ts = number[connected], ts[connected]
    last = ts - begin + 1  # excluded
    first = np.concatenate([[session.join_ts - begin], last[:-1]])[: len(ts)]
    # A report has the seconds of at most two intervals.
    first = np.maximum(first, last - 2 * timing.interval)
    kept = ~_lost(session, number, timing)
    return _Reports(session, number[kept], ts[kept], first[kept], last[kept])


def _lost(session: SessionTruth, number: NDArray[np.int64], timing: SampleTiming) -> NDArray[np.bool_]:
    """Return which reports do not arrive although the user is connected: one to four in a row."""
    lost = np.zeros(len(number), dtype=np.bool_)
    for lag in range(_LOST_IN_A_ROW):
        begins, length, _ = units(bits(key_array(session.key ^ _LOST), number - lag))
        lost |= (begins < _LOST_SHARE * timing.gap_share) & (length * _LOST_IN_A_ROW >= lag)
    return lost


def _sampled(reports: _Reports, metrics: _Metrics, timing: SampleTiming) -> Iterator[SeriesTruth]:
    every = {nth: reports.every(nth) for nth in {metric.every for _, metric in metrics}}
    for peer, metric in metrics:
        some = every[metric.every]
        key = (reports.session.key * 31 + metric.mid * 7 + _number_of(peer)) & 0xFFFFFFFFFFFFFFFF
        draws = units(bits(key_array(key), some.number))
        if metric.packets is None:
            value = metric.over(some.first, some.last)
        else:
            value = metric.counted(some.first, some.last, np.random.default_rng(key))
        value = value * (1 + metric.noise * (draws[0] + draws[1] - 1))
        has_value = ~np.isnan(value)
        if not has_value.any():
            continue
        value = np.where(draws[2] < timing.null_share, np.nan, np.rint(value / metric.step) * metric.step)
        yield SeriesTruth(
            mid=metric.mid,
            peer_uid=peer.uid if peer else "0",
            peer_is_number=peer.uid_is_number if peer else True,
            ts=some.ts[has_value],
            value=value[has_value],
            whole=metric.step >= 1,
        )


def _merged(series: Iterable[SeriesTruth]) -> list[SeriesTruth]:
    """Return one series for each metric and peer. A peer who changed the device has several before."""
    merged: dict[tuple[int, str], SeriesTruth] = {}
    for each in series:
        found = merged.get((each.mid, each.peer_uid))
        merged[each.mid, each.peer_uid] = _joined(found, each) if found else each
    return list(merged.values())


def _joined(one: SeriesTruth, other: SeriesTruth) -> SeriesTruth:
    ts, at = np.unique(np.concatenate([one.ts, other.ts]), return_index=True)
    return evolve(one, ts=ts, value=np.concatenate([one.value, other.value])[at])


def _number_of(peer: Peer | None) -> int:
    """Return a number that differs between the peers of a session."""
    return sum(ord(letter) * 131**place for place, letter in enumerate(peer.uid[-8:])) if peer else 0
