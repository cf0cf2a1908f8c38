"""The thresholds whose seconds the roll-ups count: those of all profiles, so that any profile can be chosen later."""

from collections.abc import Iterator, Mapping

from agora_analytics.scoring.profiles import (
    DEFAULT_PROFILE,
    PROFILES,
    Level,
    Threshold,
    find_profile,
)


def _limit(threshold: Threshold) -> tuple[float, str, bool, bool]:
    return threshold.value, threshold.direction, threshold.inclusive, threshold.share_of_time


def _distinct() -> Iterator[tuple[str, tuple[Threshold, ...]]]:
    sampled = [threshold for profile in PROFILES.values() for threshold in profile.sampled]
    for metric in sorted({threshold.metric for threshold in sampled}):
        limits = {_limit(threshold): threshold for threshold in sampled if threshold.metric == metric}
        yield metric, tuple(limits[limit] for limit in sorted(limits))


THRESHOLDS: Mapping[str, tuple[Threshold, ...]] = dict(_distinct())
"""The distinct limits of each metric, in the order of the columns `beyond_1`, `beyond_2`, ... of the roll-ups."""

COLUMNS = tuple(f"beyond_{number}" for number in range(1, max(map(len, THRESHOLDS.values())) + 1))
"""The columns of a roll-up with the seconds beyond each limit. They are null where a metric has fewer limits."""


def seconds_beyond_sql(profile: str = DEFAULT_PROFILE, *, level: Level = "poor") -> str:
    """Return the SQL of the seconds beyond a profile's thresholds, for the columns of `quality_hours`.

    It is null for a metric without a threshold of this level. `persistence` of a threshold does not count: each sample
    is judged alone.

    Args:
        profile: the name of a profile.
        level: the level of the thresholds.

    Raises:
        InvalidRequest: if there is no such profile.

    Example:
        >>> seconds_beyond_sql("sinch")
        "CASE metric WHEN 'round_trip_time' THEN beyond_5 END"
    """
    cases = [
        f"WHEN '{threshold.metric}' THEN {COLUMNS[_position(threshold)]}"
        for threshold in find_profile(profile).sampled
        if threshold.level == level
    ]
    return f"CASE metric {' '.join(cases)} END" if cases else "NULL"


def _position(threshold: Threshold) -> int:
    return [_limit(each) for each in THRESHOLDS[threshold.metric]].index(_limit(threshold))
