"""The time that a sample covers."""

import pytest

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pytz")

from agora_analytics.scoring.samples import SAMPLE_INTERVALS, seconds_sql  # noqa: E402


def covered(vendor: str, *times: float) -> list[float]:
    values = ", ".join(f"('{vendor}', make_timestamptz({round(each * 1e6)}))" for each in times)
    rows = duckdb.sql(
        f"select {seconds_sql('vendor')} from (values {values}) as samples(vendor, ts) order by ts"
    )
    return [seconds for (seconds,) in rows.fetchall()]


def test_sample_covers_the_time_since_the_previous_one():
    assert covered("agora", 100, 104, 110, 112.5) == [4, 4, 6, 2.5]


def test_first_sample_covers_as_much_as_the_second():
    assert covered("agora", 100, 106, 108) == [6, 6, 2]


@pytest.mark.parametrize("vendor", SAMPLE_INTERVALS)
def test_single_sample_covers_the_nominal_interval(vendor):
    assert covered(vendor, 100) == [SAMPLE_INTERVALS[vendor].nominal]


@pytest.mark.parametrize("vendor", SAMPLE_INTERVALS)
def test_gap_counts_as_the_longest_interval(vendor):
    longest = SAMPLE_INTERVALS[vendor].longest
    assert covered(vendor, 0, 10_000, 10_001) == [longest, longest, 1]


def test_series_do_not_affect_each_other():
    rows = duckdb.sql(
        f"""select sid, {seconds_sql("sid", vendor="'agora'")} as seconds
        from (values ('a', 0), ('b', 1), ('a', 4), ('b', 7)) as samples(sid, s), (select make_timestamptz(s * 1000000) as ts)
        order by all"""
    ).fetchall()
    assert rows == [("a", 4), ("a", 4), ("b", 6), ("b", 6)]
