"""Threshold profiles: the published limits of several vendors and tools, as data with their sources.

Published thresholds contradict each other: a round trip is called poor from 150 ms by one vendor and from 500 ms by
another. A profile is the set of one publisher, so a result can name the thresholds that it used.
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest

Direction = Literal["above", "below"]
"""On which side of its value a threshold is exceeded."""
Level = Literal["fair", "poor", "bad"]
"""The grade of a metric beyond a threshold."""

LOSS_METRICS = (
    "audio_packet_loss_sent",
    "audio_packet_loss_received",
    "video_packet_loss_sent",
    "video_packet_loss_received",
)
SCORE_METRICS = frozenset({"audio_mos"})
"""Metrics of thresholds that are computed: columns of the score views, not samples."""
NOT_SENT = frozenset({"jitter", "jitter_buffer_delay", "mean_freeze_time"})
"""Metrics of thresholds that no supported vendor sends. Their thresholds are listed, and never evaluated."""


@frozen(kw_only=True)
class Persistence:
    """How long a metric must be beyond a threshold.

    Attributes:
        samples: the number of consecutive samples that are judged together; None: a time instead.
        at_least: how many of them must be beyond the threshold; None: their mean must be.
        seconds: how long the metric must stay beyond the threshold; None: a number of samples instead.
    """

    samples: int | None = None
    at_least: int | None = None
    seconds: float | None = None


@frozen(kw_only=True)
class Threshold:
    """One published limit of a metric.

    Attributes:
        metric: the name of the metric in the view `quality`, in `SCORE_METRICS`, or in `NOT_SENT`.
        direction: on which side of `value` a sample is beyond the threshold.
        value: the limit in the common unit of the metric (ratios 0 to 1, milliseconds). If `share_of_time`, the ratio of
            the sample's value, which is in milliseconds, to the time that the sample covers.
        level: the publisher's grade beyond the limit. Most publish one limit, `poor`.
        inclusive: whether the limit itself is beyond the threshold.
        share_of_time: whether `value` is a share of the time that the sample covers.
        persistence: how long the publisher wants the metric to be beyond the limit; None: one sample suffices.
        note: what the publisher measures differently, or how the limit is applied here.
    """

    metric: str
    direction: Direction = "above"
    value: float
    level: Level = "poor"
    inclusive: bool = False
    share_of_time: bool = False
    persistence: Persistence | None = None
    note: str = ""

    @property
    def is_sampled(self) -> bool:
        """Whether samples in the view `quality` can be compared with this threshold."""
        return self.metric not in NOT_SENT | SCORE_METRICS

    def is_exceeded(self, value: float, seconds: float = 0.0) -> bool:
        """Return whether one value is beyond the threshold, without regard to `persistence`.

        Args:
            value: the value of the sample, in the common unit.
            seconds: the time that the sample covers; used only if `share_of_time`.

        Example:
            >>> Threshold(metric="round_trip_time", value=400).is_exceeded(401.0)
            True
        """
        limit = self.value * 1000 * seconds if self.share_of_time else self.value
        if self.direction == "below":
            value, limit = limit, value
        return value >= limit if self.inclusive else value > limit

    def exceeded_sql(self, value: str = "value", seconds: str = "seconds") -> str:
        """Return `is_exceeded` as SQL, over a column with the value and one with the seconds of the sample.

        Example:
            >>> Threshold(metric="video_freeze_time", value=0.05, share_of_time=True).exceeded_sql()
            '(value > 0.05 * 1000 * seconds)'
        """
        operator = {"above": ">", "below": "<"}[self.direction] + "=" * self.inclusive
        limit = f"{self.value!r} * 1000 * {seconds}" if self.share_of_time else repr(self.value)
        return f"({value} {operator} {limit})"


@frozen(kw_only=True)
class Profile:
    """The thresholds of one publisher.

    Attributes:
        name: the name of the profile.
        source: where the thresholds were published.
        thresholds: all of them, also those that are not evaluated here.
        note: what the profile leaves out.
    """

    name: str
    source: str
    thresholds: tuple[Threshold, ...]
    note: str = ""

    @property
    def sampled(self) -> tuple[Threshold, ...]:
        """The thresholds that samples can be compared with."""
        return tuple(each for each in self.thresholds if each.is_sampled)

    @property
    def not_evaluated(self) -> tuple[Threshold, ...]:
        """The thresholds of metrics that no supported vendor sends."""
        return tuple(each for each in self.thresholds if each.metric in NOT_SENT)

    def of(self, metric: str) -> tuple[Threshold, ...]:
        """Return the thresholds of one metric; none if the publisher has no limit for it.

        Example:
            >>> [each.value for each in PROFILES["vidyo"].of("round_trip_time")]
            [100, 250, 450]
        """
        return tuple(each for each in self.thresholds if each.metric == metric)


def _loss(
    value: float, *, level: Level = "poor", persistence: Persistence | None = None
) -> tuple[Threshold, ...]:
    return tuple(
        Threshold(metric=metric, value=value, level=level, persistence=persistence) for metric in LOSS_METRICS
    )


def _one(metric: str, value: float, persistence: Persistence | None = None, note: str = "") -> Threshold:
    return Threshold(metric=metric, value=value, persistence=persistence, note=note)


def _graded(
    metric: str, fair: float, poor: float, bad: float, *, direction: Direction = "above"
) -> tuple[Threshold, ...]:
    return (
        Threshold(metric=metric, direction=direction, value=fair, level="fair"),
        Threshold(metric=metric, direction=direction, value=poor, level="poor"),
        Threshold(metric=metric, direction=direction, value=bad, level="bad"),
    )


_THREE_OF_FIVE = Persistence(samples=5, at_least=3)
_FREEZE_NOTE = "Agora shows rates of all users in red above this limit; here it is applied to each sample."

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="agora",
            source="AgoraIO/Docs-Source: _data-insight, _monitor, _call-search-terms; pub.dev: agora_rtc_engine, mosValue",
            note="Agora's events of single freezes (audio 200 ms, video 600 ms) need times of single freezes, which "
            "are not sent. Its client SDK uses other limits.",
            thresholds=(
                *_loss(0.05),
                _one(
                    "round_trip_time",
                    400,
                    note="Agora publishes 400 ms for the delay from end to end, which is not sent. The same number is "
                    "applied to the round trip between a user and the server.",
                ),
                Threshold(metric="audio_freeze_time", value=0.03, share_of_time=True, note=_FREEZE_NOTE),
                Threshold(metric="video_freeze_time", value=0.05, share_of_time=True, note=_FREEZE_NOTE),
                _one("audio_freeze_rate", 0.03),
                _one("video_freeze_rate", 0.05),
                _one("network_delay_rate", 0.10),
                Threshold(metric="join_success_rate", direction="below", value=0.95),
                Threshold(metric="join_success_in_5s_rate", direction="below", value=0.95),
                _one("task_scheduling_delay", 80),
                Threshold(metric="video_capture_frame_rate", direction="below", value=3),
                *_graded("audio_mos", 3.5, 3, 2.5, direction="below"),
            ),
        ),
        Profile(
            name="teams-cqd",
            source="Microsoft: learn.microsoft.com, stream-classification-in-call-quality-dashboard (audio)",
            note="Microsoft judges the averages of a whole stream with more than 500 packets, here each sample.",
            thresholds=(_one("round_trip_time", 500), *_loss(0.10), _one("jitter", 30)),
        ),
        Profile(
            name="twilio",
            source="Twilio: twilio.com/docs/voice/insights/call-quality-events-twilio-client-sdk",
            thresholds=(
                _one("round_trip_time", 400, _THREE_OF_FIVE),
                *_loss(0.03, persistence=Persistence(samples=7)),
                _one("jitter", 30, _THREE_OF_FIVE),
                Threshold(metric="audio_mos", direction="below", value=3.5, persistence=_THREE_OF_FIVE),
            ),
        ),
        Profile(
            name="sinch",
            source="Sinch: developers.sinch.com/docs/in-app-calling/js/call-quality",
            thresholds=(
                _one("round_trip_time", 300),
                _one("jitter", 30, Persistence(samples=4, at_least=3)),
            ),
        ),
        Profile(
            name="bluejeans",
            source="BlueJeans rooms: Dolby guide 4.5",
            thresholds=(_one("round_trip_time", 150), *_loss(0.01), _one("jitter", 40)),
        ),
        Profile(
            name="vidyo",
            source="Vidyo: support.vidyo.io, article 115002941614",
            thresholds=(
                *_loss(0.01, level="fair"),
                *_loss(0.05),
                *_graded("round_trip_time", 100, 250, 450),
                *_graded("jitter", 10, 100, 200),
            ),
        ),
        Profile(
            name="webrtc-issue-detector",
            source="webrtc-issue-detector: src/detectors",
            thresholds=(
                *_loss(0.05),
                Threshold(metric="round_trip_time", value=250, inclusive=True),
                Threshold(metric="video_freeze_time", value=0.30, share_of_time=True),
                Threshold(metric="jitter", value=200, inclusive=True),
                _one("jitter_buffer_delay", 500),
                _one("mean_freeze_time", 1000),
            ),
        ),
        Profile(
            name="peermetrics",
            source="peermetrics and webrtc-inspector: their alert rules",
            note="The publishers' eMOS is another formula than `audio_mos`.",
            thresholds=(
                Threshold(metric="audio_mos", direction="below", value=4, level="fair"),
                Threshold(
                    metric="audio_mos", direction="below", value=3, persistence=Persistence(seconds=30)
                ),
                Threshold(metric="video_freeze_time", value=0.10, share_of_time=True),
            ),
        ),
    )
}
"""All profiles, by name. Vonage and Zoom publish limits of their own scores only, which no API sends: no profile."""

DEFAULT_PROFILE = "agora"
"""The default: the vendor with the most data publishes it, and it alone has limits for freezes, loss and delay."""


def find_profile(profile: "str | Profile") -> Profile:
    """Return a profile by its name. A profile of your own is returned unchanged.

    Raises:
        InvalidRequest: there is no such profile.

    Example:
        >>> find_profile("teams-cqd").of("round_trip_time")[0].value
        500
    """
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        advice = did_you_mean(profile, PROFILES) or f"; use one of {', '.join(PROFILES)}"
        raise InvalidRequest(f"there is no threshold profile {profile!r}{advice}")
    return PROFILES[profile]
