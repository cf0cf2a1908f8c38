"""The time that a sample covers, which weights it in a mean and in a sum of seconds.

A sample of a metric covers the time since the previous sample of its series. The first sample of a series covers as much
as the second one. The only sample of a series covers the vendor's nominal interval. No sample covers more than the longest
interval of its vendor, so a gap without samples does not count. A sample without a value covers time like any other.
"""

from collections.abc import Mapping

from attrs import frozen


@frozen
class SampleInterval:
    """How often a vendor samples a metric.

    Attributes:
        nominal: usual seconds between two samples of a series.
        longest: the most seconds that one sample covers.
    """

    nominal: float
    longest: float


SAMPLE_INTERVALS: Mapping[str, SampleInterval] = {
    "agora": SampleInterval(nominal=4, longest=20),
    "opentok": SampleInterval(nominal=30, longest=60),
    "apsaravideo": SampleInterval(nominal=300, longest=300),
}
"""By vendor. Agora reports about every 4 s (2 to 6 s), OpenTok every 30 s, ApsaraVideo a total every 5 minutes."""

SERIES = ("app_id", "call_id", "session_id", "peer_id", "source_metric")
"""The columns of the view `quality` that identify a series of samples, in addition to `vendor`."""


def seconds_sql(series: str = ", ".join(SERIES), *, vendor: str = "vendor", ts: str = "ts") -> str:
    """Return the SQL (DuckDB) of the seconds that each sample covers, as a double.

    Args:
        series: the columns that identify a series, separated by commas. All rows must be of the vendor's samples.
        vendor: the column with the vendor, or the name of one vendor in quotes, such as `"'agora'"`.
        ts: the column with the time of the sample, a timestamp.

    Example:
        >>> seconds_sql("sid, mid", vendor="'agora'")
        'least(coalesce(epoch(ts) - lag(epoch(ts)) OVER (PARTITION BY sid, mid ORDER BY ts),
        lead(epoch(ts)) OVER (PARTITION BY sid, mid ORDER BY ts) - epoch(ts), 4), 20)'
    """
    window = f"OVER (PARTITION BY {series} ORDER BY {ts})"
    before = f"epoch({ts}) - lag(epoch({ts})) {window}"
    after = f"lead(epoch({ts})) {window} - epoch({ts})"
    return f"least(coalesce({before}, {after}, {nominal_sql(vendor)}), {longest_sql(vendor)})"


def nominal_sql(vendor: str = "vendor") -> str:
    """Return the SQL of the nominal interval of a vendor, in seconds."""
    return _lookup({name: interval.nominal for name, interval in SAMPLE_INTERVALS.items()}, vendor)


def longest_sql(vendor: str = "vendor") -> str:
    """Return the SQL of the most seconds that one sample of a vendor covers."""
    return _lookup({name: interval.longest for name, interval in SAMPLE_INTERVALS.items()}, vendor)


def _lookup(values: Mapping[str, float], vendor: str) -> str:
    name = vendor.strip("'")
    if name != vendor:
        return f"{values[name]:g}"
    cases = " ".join(f"WHEN '{each}' THEN {value:g}" for each, value in values.items())
    return f"CASE {vendor} {cases} END"
