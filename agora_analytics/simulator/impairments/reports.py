"""The metrics that a session reports of simulated media: means and sums since the previous report."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.noise import bits, key_array, units
from agora_analytics.simulator.ground_truth.records import Peer, SeriesTruth, SessionTruth
from agora_analytics.simulator.ground_truth.series import SampleTiming, report_times
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.noise_over_time import Series

_Present = NDArray[np.bool_]


@frozen(eq=False)
class _Metric:
    """One metric by second, before it is reported.

    Attributes:
        per_second: the value in each second.
        present: the seconds that have a value.
        step: values are multiples of it.
        of: what a report has of the seconds since the previous one.
        every: only every n-th report has the metric.
        noise: the error of the measurement, as a share of the value.
    """

    mid: int
    per_second: Series
    present: _Present
    step: float = 1
    of: Literal["mean", "sum", "last"] = "mean"
    every: int = 1
    noise: float = 0


def reported(media: CallMedia, session: SessionTruth, timing: SampleTiming) -> list[SeriesTruth]:
    """Return the series that a session reports: about its device, its own streams, and each stream that it receives."""
    if not session.joined:
        return []
    number, ts = report_times(session, session.join_ts, session.leave_ts, timing)
    online = media.conditions(session).online
    connected = online[np.clip(ts - media.call.created_ts, 0, len(online) - 1)]
    number, ts = number[connected], ts[connected]
    groups: list[tuple[Peer | None, Iterator[_Metric]]] = [(None, _device(media, session))]
    if session.speaker:
        groups.append((None, _uplink(media, session)))
    groups += [
        (peer, _downlink(media, session, sender))
        for peer in session.peers
        if (sender := media.sender(session, peer.uid)) is not None
    ]
    series = [
        each
        for peer, metrics in groups
        for each in _sampled(session, media.call.created_ts, number, ts, peer, metrics, timing)
    ]
    return series[: timing.max_series]


def _sampled(
    session: SessionTruth,
    begin: int,
    number: NDArray[np.int64],
    ts: NDArray[np.int64],
    peer: Peer | None,
    metrics: Iterator[_Metric],
    timing: SampleTiming,
) -> Iterator[SeriesTruth]:
    last = ts - begin + 1  # excluded
    first = np.concatenate([[session.join_ts - begin], last[:-1]])[: len(ts)]
    first = np.maximum(first, last - 2 * timing.interval)  # an interruption is not in the next report
    for metric in metrics:
        keys = key_array(session.key * 31 + metric.mid * 7 + _number_of(peer))
        draws = units(bits(keys, number))
        value = _over(metric, first, last) * (1 + metric.noise * (draws[0] + draws[1] - 1))
        kept = (number % metric.every == metric.every // 2) & ~np.isnan(value)
        value = np.where(draws[2] < timing.null_share, np.nan, np.rint(value / metric.step) * metric.step)
        if kept.any():
            yield SeriesTruth(
                mid=metric.mid,
                peer_uid=peer.uid if peer else "0",
                peer_is_number=peer.uid_is_number if peer else True,
                ts=ts[kept],
                value=value[kept],
                whole=metric.step >= 1,
            )


def _number_of(peer: Peer | None) -> int:
    """Return a number that differs between the peers of a session."""
    return sum(ord(letter) * 131**place for place, letter in enumerate(peer.uid[-8:])) if peer else 0


def _over(metric: _Metric, first: NDArray[np.int64], last: NDArray[np.int64]) -> Series:
    """Return the value of the seconds [first, last) of each report; NaN if none of them has one."""
    values = np.concatenate([[0.0], np.cumsum(np.where(metric.present, metric.per_second, 0.0))])
    counts = np.concatenate([[0], np.cumsum(metric.present)])
    seconds = counts[last] - counts[first]
    total = values[last] - values[first]
    value: Series
    match metric.of:
        case "last":
            value = np.where(metric.present[last - 1], metric.per_second[last - 1], np.nan)
        case "sum":
            value = np.where(seconds > 0, total, np.nan)
        case "mean":
            value = np.divide(total, seconds, out=np.full(len(first), np.nan), where=seconds > 0)
    return value


def _device(media: CallMedia, session: SessionTruth) -> Iterator[_Metric]:
    here, always = media.conditions(session), media.in_call(session)
    yield _Metric(20022, media.own_round_trip(session), always, noise=0.04)
    if session.platform == "Web":
        return  # a browser does not tell a page how busy the device is
    yield _Metric(20001, 100 * here.app_cpu, always, 0.25, every=2)
    yield _Metric(20002, 100 * here.system_cpu, always, 0.25, every=2)
    late = 4 + 260 * np.clip(here.system_cpu - 0.86, 0, 1) / 0.14
    yield _Metric(20021, late, always, every=2, noise=0.5)
    yield _Metric(20039, np.full(media.seconds, 9.0), always, 0.25, every=5, noise=0.1)
    yield _Metric(20040, np.full(media.seconds, 55.0), always, 0.25, every=5, noise=0.1)


def _uplink(media: CallMedia, session: SessionTruth) -> Iterator[_Metric]:
    here, sent, there = media.conditions(session), media.sent(session), media.in_call(session)
    audio, video = there & here.sends_audio, there & here.sends_video
    yield _Metric(20003, sent.audio_kbps, audio, noise=0.04)
    yield _Metric(20015, 100 * sent.link.loss, audio, 0.25)
    yield _Metric(20025, here.loudness, audio, every=2)
    if not session.video:
        return
    ratio = np.clip(sent.video_kbps / here.video.kbps, 0.05, 1)
    yield _Metric(20024, sent.video_kbps, video, noise=0.04)
    yield _Metric(20007, sent.capture_fps, video, noise=0.06)
    yield _Metric(20008, sent.fps, video, noise=0.06)
    yield _Metric(20017, 100 * sent.link.loss, video, 0.25)
    yield _Metric(20013, 26 - 8 * np.log(ratio), video & (sent.fps > 0), every=3)
    yield _Metric(20027, here.video.width * sent.scale, video, every=4, of="last")
    yield _Metric(20028, here.video.height * sent.scale, video, every=4, of="last")


def _downlink(media: CallMedia, session: SessionTruth, sender: SessionTruth) -> Iterator[_Metric]:
    received, profile = media.received(session, sender), media.conditions(sender).video
    audio, video = received.audio_present, received.video_present
    yield _Metric(20004, received.audio_kbps, audio, noise=0.04)
    yield _Metric(20005, received.audio_freeze, audio, of="sum")
    yield _Metric(20016, 100 * received.loss, audio, 0.25)
    yield _Metric(20026, received.volume, audio, every=2)
    if not (session.video and sender.video):
        return
    high, low = video & ~received.is_low, video & received.is_low
    yield _Metric(20009, received.video_kbps, high, noise=0.04)
    yield _Metric(20010, received.fps, high, noise=0.06)
    yield _Metric(20011, received.video_freeze, video, of="sum")
    yield _Metric(20018, 100 * received.loss, video, 0.25)
    yield _Metric(20019, profile.width * received.scale, high, every=4, of="last")
    yield _Metric(20020, profile.height * received.scale, high, every=4, of="last")
    yield _Metric(20030, received.video_kbps, low, noise=0.04)
    yield _Metric(20031, received.fps, low, noise=0.06)
    yield _Metric(20032, profile.width * received.scale, low, every=4, of="last")
    yield _Metric(20033, profile.height * received.scale, low, every=4, of="last")
