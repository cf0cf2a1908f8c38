"""The metrics of a stay, by second: of the device, of the streams that it sends, and of those that it receives.

Browsers report the loss of packets as the metrics of WebRTC, 20036 to 20038, instead of 20018, 20015 and 20017. 20036 is
the loss of the downlink, 20018 that of the whole way from the sender.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, Self

import numpy as np
from attrs import define
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import SessionTruth
from agora_analytics.simulator.impairments.media_path import KBPS_OF_PACKETS, CallMedia, Seconds
from agora_analytics.simulator.impairments.media_sent import LOW_FPS, LOW_SCALE, encoded_share
from agora_analytics.simulator.impairments.noise_over_time import Series


@define(eq=False)
class ReportedMetric:
    """One metric by second of the call, before it is reported.

    Attributes:
        per_second: the value in each second.
        present: the seconds that have a value.
        step: values are multiples of it.
        of: what a report has of the seconds since the previous one.
        every: only every n-th report has the metric.
        noise: the error of the measurement, as a share of the value.
        packets: a second, for the share of packets that are lost. A report counts the packets that it covers.
    """

    mid: int
    per_second: Series
    present: Seconds
    step: float = 1
    of: Literal["mean", "sum", "last"] = "mean"
    every: int = 1
    noise: float = 0
    packets: Series | None = None

    @classmethod
    def loss(cls, mid: int, share: Series, packets: Series, present: Seconds) -> Self:
        """Return a metric of lost packets, in percent, from their share in each second."""
        return cls(mid, share * packets, present & (packets > 0), 0.25, "sum", packets=packets)

    @cached_property
    def _packet_sums(self) -> Series:
        sums = np.zeros(len(self.per_second) + 1)
        if self.packets is not None:
            np.cumsum(np.where(self.present, self.packets, 0.0), out=sums[1:])
        return sums

    def counted(self, first: NDArray[np.int64], last: NDArray[np.int64], rng: np.random.Generator) -> Series:
        """Return the percent of packets lost in the seconds [first, last) of each report; NaN without packets."""
        sent = self._packet_sums[last] - self._packet_sums[first]
        lost = np.nan_to_num(self.over(first, last))
        number = np.maximum(np.rint(sent), 1).astype(np.int64)
        chance = np.clip(lost / np.maximum(sent, 1e-9), 0, 1)
        return np.where(sent >= 1, 100 * rng.binomial(number, chance) / number, np.nan)

    @cached_property
    def _sums(self) -> tuple[Series, NDArray[np.int64]]:
        values = np.concatenate([[0.0], np.cumsum(np.where(self.present, self.per_second, 0.0))])
        return values, np.concatenate([[0], np.cumsum(self.present)])

    def over(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> Series:
        """Return the value of the seconds [first, last) of each report; NaN if none of them has one."""
        if self.of == "last":
            return np.where(self.present[last - 1], self.per_second[last - 1], np.nan)
        values, counts = self._sums
        total, seconds = values[last] - values[first], counts[last] - counts[first]
        if self.of == "sum":
            return np.where(seconds > 0, total, np.nan)
        mean: Series = np.divide(total, seconds, out=np.full(len(first), np.nan), where=seconds > 0)
        return mean


def of_the_device(media: CallMedia, stay: SessionTruth) -> Iterator[ReportedMetric]:
    """Return the metrics of a user's device."""
    here = media.conditions(stay)
    always = np.ones(media.seconds, dtype=np.bool_)
    yield ReportedMetric(20022, media.own_round_trip(stay), here.online, noise=0.04)
    # Browsers do not expose the usage of the device.
    if stay.platform == "Web":
        return
    yield ReportedMetric(20001, 100 * here.app_cpu, always, 0.25, every=2)
    yield ReportedMetric(20002, 100 * here.system_cpu, always, 0.25, every=2)
    yield ReportedMetric(20021, here.scheduling_delay, always, every=2, noise=0.1)
    yield ReportedMetric(20039, here.app_memory, always, 0.25, every=5, noise=0.02)
    yield ReportedMetric(20040, here.system_memory, always, 0.25, every=5, noise=0.02)


def of_the_uplink(media: CallMedia, stay: SessionTruth) -> Iterator[ReportedMetric]:
    """Return the metrics of the streams that a user sends."""
    here, sent = media.conditions(stay), media.sent(stay)
    audio, video = here.sends_audio, here.sends_video
    yield ReportedMetric(20003, sent.audio_kbps, audio, noise=0.04)
    is_browser = stay.platform == "Web"
    packets = here.speech.packets * (sent.audio_kbps > 0)
    yield ReportedMetric.loss(20037 if is_browser else 20015, sent.link.loss, packets, audio & here.online)
    yield ReportedMetric(20025, here.speech.loudness, audio, every=2)
    if not stay.video:
        return
    frames = np.maximum(here.capture * encoded_share(here), 0.05)
    ratio = np.clip(sent.video_kbps / (here.video.kbps * frames), 0.05, 1)
    width, height = here.profile.width, here.profile.height
    yield ReportedMetric(20024, sent.video_kbps, video, noise=0.04)
    yield ReportedMetric(20007, sent.capture_fps, video, noise=0.06)
    yield ReportedMetric(20008, sent.fps, video, noise=0.06)
    packets = sent.video_kbps / KBPS_OF_PACKETS
    yield ReportedMetric.loss(20038 if is_browser else 20017, sent.link.loss, packets, video & here.online)
    yield ReportedMetric(20013, here.video.qp - 8 * np.log(ratio), video & (sent.fps > 0), every=3)
    yield ReportedMetric(20027, width * sent.scale, video, every=4, of="last")
    yield ReportedMetric(20028, height * sent.scale, video, every=4, of="last")
    if not here.two_streams:
        return
    yield ReportedMetric(20006, sent.low_kbps, video, noise=0.04)
    yield ReportedMetric(20023, np.minimum(LOW_FPS, sent.fps) * (sent.low_kbps > 0), video, noise=0.06)
    yield ReportedMetric(20034, np.full(media.seconds, width * LOW_SCALE), video, every=4, of="last")
    yield ReportedMetric(20035, np.full(media.seconds, height * LOW_SCALE), video, every=4, of="last")


def of_the_downlink(media: CallMedia, stay: SessionTruth, sender: SessionTruth) -> Iterator[ReportedMetric]:
    """Return the metrics of the streams that a user receives of another one."""
    received, here, profile = (
        media.received(stay, sender),
        media.conditions(stay),
        media.conditions(sender).profile,
    )
    audio, video = received.audio_present, received.video_present
    yield ReportedMetric(20004, received.audio_kbps, audio, noise=0.04)
    yield ReportedMetric(20005, received.audio_freeze, audio, of="sum")
    yield ReportedMetric.loss(20016, received.audio_loss, received.audio_packets, audio & here.online)
    yield ReportedMetric(20026, received.volume, audio, every=2)
    if not (stay.video and sender.video):
        return
    high, low = video & ~received.is_low, video & received.is_low
    width, height = profile.width * received.scale, profile.height * received.scale
    yield ReportedMetric(20009, received.video_kbps, high, noise=0.04)
    yield ReportedMetric(20010, received.fps, high, noise=0.06)
    yield ReportedMetric(20011, received.video_freeze, video, of="sum")
    mid, loss = (20036, received.downlink_loss) if stay.platform == "Web" else (20018, received.video_loss)
    yield ReportedMetric.loss(mid, loss, received.video_packets, video & here.online)
    yield ReportedMetric(20019, width, high, every=4, of="last")
    yield ReportedMetric(20020, height, high, every=4, of="last")
    yield ReportedMetric(20030, received.video_kbps, low, noise=0.04)
    yield ReportedMetric(20031, received.fps, low, noise=0.06)
    yield ReportedMetric(20032, width, low, every=4, of="last")
    yield ReportedMetric(20033, height, low, every=4, of="last")
