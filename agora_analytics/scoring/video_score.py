"""The video score: 1 to 4.5 from the share of frozen time, the frame rate and the resolution of one interval.

The score is 1 + 3.5 x F x P x Q. Each factor is between 0 and 1 and concerns one input:

- F = (1 - s) / (1 + s / 0.1), where s is the share of the time that was frozen. Half of the quality is lost at about 8 %.
- P = 1 - exp(-f / 5), where f is the frame rate in frames per second.
- Q = 1 - exp(-h / 150), where h is the height in pixels of a 16:9 picture with as many pixels.

A product of inverted exponentials of frame rate and resolution is the form of Q-STAR (Ou, Xue, Wang: IEEE Transactions on
Image Processing 23, 2014). F has the form of the loss term of G.107. The constants are choices of this library, not of a
standard. The scale ends at 4.5, as that of the audio score, so that both can be compared.
"""

from math import exp, isfinite, sqrt

from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring.e_model import MOST_MOS

FREEZE_SCALE = 0.1
"""Peermetrics alerts at this share of frozen time, and Agora's worst group of freeze rates starts at it."""
FRAME_RATE_SCALE = 5.0
"""15 fps have 95 % of the quality of a high frame rate; 3 fps, which Agora calls a fault of the capture, have 45 %."""
HEIGHT_SCALE = 150.0
"""360 lines have 91 % of the quality of a high resolution, 180 lines 70 %."""

ASSUMPTIONS_OF_VIDEO = "resolution=latest known; weights=agora-analytics"
"""The text of the column `assumptions` for video."""


def video_score(
    freeze_share: float | None, frame_rate: float | None, width: float | None, height: float | None
) -> float | None:
    """Return the score of one interval, 1 to 4.5; None if an input is None or the picture has no pixels.

    Args:
        freeze_share: share of the interval that was frozen, 0 to 1; above 1 counts as 1, because a vendor may report a
            long freeze in one sample.
        frame_rate: received frames per second.
        width, height: of the received picture in pixels.

    Raises:
        InvalidRequest: an input is negative or not finite.

    Example:
        >>> [round(video_score(share, 15, 640, 360), 2) for share in (0.0, 0.05, 0.1)]
        [4.02, 2.92, 2.36]
        >>> video_score(0.0, None, 640, 360) is None
        True
    """
    if freeze_share is None or frame_rate is None or width is None or height is None:
        return None
    for value in (freeze_share, frame_rate, width, height):
        if not (value >= 0 and isfinite(value)):
            raise InvalidRequest(f"{value!r} is not a share, a frame rate or a size of 0 or more")
    if not width * height:
        return None
    share = min(freeze_share, 1.0)
    freeze = (1 - share) / (1 + share / FREEZE_SCALE)
    rate = 1 - exp(-frame_rate / FRAME_RATE_SCALE)
    size = 1 - exp(-sqrt(width * height * 9 / 16) / HEIGHT_SCALE)
    return 1 + (MOST_MOS - 1) * freeze * rate * size


def video_score_sql(freeze_share: str, frame_rate: str, width: str, height: str) -> str:
    """Return `video_score` as SQL (DuckDB) over four columns; null where an input is null or out of its range."""
    share = f"least({freeze_share}, 1)"
    valid = " AND ".join(
        f"{column} {operator} 0 AND isfinite({column})"
        for column, operator in ((freeze_share, ">="), (frame_rate, ">="), (width, ">"), (height, ">"))
    )
    return (
        f"CASE WHEN {valid} THEN 1 + {MOST_MOS - 1!r} * (1 - {share}) / (1 + {share} / {FREEZE_SCALE!r})"
        f" * (1 - exp(-{frame_rate} / {FRAME_RATE_SCALE!r}))"
        f" * (1 - exp(-sqrt({width} * {height} * 9 / 16) / {HEIGHT_SCALE!r})) END"
    )
