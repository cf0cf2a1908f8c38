"""The colors of values: thresholds of the profile `agora`, which the project documents with their sources."""

from agora_analytics.scoring.profiles import find_profile

_PROFILE = find_profile("agora")
SOURCE = "Red: Agora's own limit (profile agora)."
"""What the description of a panel says about its threshold."""


def red_above(metric: str, factor: float = 1.0) -> tuple[tuple[float, str], ...]:
    """Return the threshold of a metric that is poor above it. `factor` converts it to the unit of the panel.

    Example:
        >>> red_above("video_freeze_rate")
        ((0.05, 'red'),)
    """
    return ((_limit(metric) * factor, "red"),)


def green_above(metric: str) -> tuple[tuple[float, str], ...]:
    """Return the threshold of a metric that is poor below it; the color below the first threshold is red."""
    return ((_limit(metric), "green"),)


def grades_of_scores() -> tuple[tuple[float, str], ...]:
    """Return the thresholds of scores, whose color below the first is red.

    Example:
        >>> grades_of_scores()
        ((2.5, 'orange'), (3, 'yellow'), (3.5, 'green'))
    """
    colors = {"bad": "orange", "poor": "yellow", "fair": "green"}
    grades = sorted(_PROFILE.of("audio_mos"), key=lambda threshold: threshold.value)
    return tuple((grade.value, colors[grade.level]) for grade in grades)


def _limit(metric: str) -> float:
    (threshold,) = (each for each in _PROFILE.of(metric) if each.level == "poor")
    return threshold.value
