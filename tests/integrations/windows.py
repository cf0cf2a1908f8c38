"""Real-time windows for the tests of exported metrics."""

from agora_analytics.agora.follow import LiveWindow
from agora_analytics.agora.stat_records import Point

METRICS = ("userCount", "videoFreezeRate")


def live_window(ts, *points, metrics=METRICS):
    """Return a window with points (metric, value, country); without a country, a point is of all users."""
    rows = tuple(
        Point(
            ts=ts,
            metric=metric,
            value=value,
            dimension="country" if country else None,
            dimension_value=country,
        )
        for metric, value, country in points
    )
    return LiveWindow(ts=int(ts), rows=rows, metrics=metrics)
