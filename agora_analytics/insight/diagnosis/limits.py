"""The limits of the diagnosis: those of a threshold profile, and those that nobody publishes."""

from typing import Self

from attrs import frozen

from agora_analytics.scoring.profiles import DEFAULT_PROFILE, PROFILES, Profile, find_profile


@frozen(kw_only=True)
class DiagnosisLimits:
    """The limits that a diagnosis applies.

    The first four are those of a threshold profile. No publisher has the others; docs/diagnosis.md has the reason of each.

    Attributes:
        loss: share of packets lost in one direction of a network, 0 to 1.
        round_trip: between a user and the server, in ms.
        scheduling_delay: of the SDK's tasks, in ms.
        one_way_delay: from sender to receiver, in ms, without the time in jitter buffer, encoder and decoder. ITU-T G.114
            has 400 ms as the limit with them, which take 50 to 100 ms.
        processor: the usage above which encoders drop frames, 0 to 1.
        camera: frames a second of a camera below which it has stopped.
        quantisation: the parameter above which an encoder has less rate than its picture needs. VP8, VP9 and H.264 reach
            it at about a third of the rate of a good picture.
        queue: how much the round trip grows, in ms, if packets wait at a narrow link.
        silence: the volume, 0 to 255, of a microphone that delivers nothing.
    """

    loss: float
    round_trip: float
    scheduling_delay: float
    one_way_delay: float = 320
    processor: float = 0.88
    camera: float = 5
    quantisation: float = 34
    queue: float = 10
    silence: float = 2.6

    @classmethod
    def of(cls, profile: str | Profile) -> Self:
        """Return the limits with those of a profile; where it has none, those of the default profile.

        Raises:
            InvalidRequest: there is no such profile.

        Example:
            >>> DiagnosisLimits.of("teams-cqd").loss, DiagnosisLimits.of("teams-cqd").scheduling_delay
            (0.1, 80)
        """
        chosen = find_profile(profile)

        def poor(metric: str) -> float:
            found = chosen.of(metric) or PROFILES[DEFAULT_PROFILE].of(metric)
            return next(each.value for each in found if each.level == "poor")

        return cls(
            loss=poor("video_packet_loss_sent"),
            round_trip=poor("round_trip_time"),
            scheduling_delay=poor("task_scheduling_delay"),
        )
