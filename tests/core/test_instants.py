"""Moments, as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import epoch_seconds, iso, next_midnight, utc_day
from tests.conftest import NOW


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (NOW, NOW),
        (int(NOW), NOW),
        ("now", NOW),
        ("90s", NOW - 90),
        ("6h", NOW - 6 * 3600),
        ("2 d", NOW - 2 * 86_400),
        ("1.5h", NOW - 5400),
        (str(int(NOW)), NOW),
        ("2026-11-19T12:00Z", NOW),
        ("2026-11-19 12:00", NOW),
        ("2026-11-19T14:00+02:00", NOW),
        ("20261119", NOW - 43_200),
        ("2026-11-18", NOW - 1.5 * 86_400),
        ("today", NOW - 43_200),
        (" yesterday ", NOW - 1.5 * 86_400),
        (datetime(2026, 11, 19, 12, tzinfo=UTC), NOW),
        (datetime(2026, 11, 19, 7, tzinfo=timezone(timedelta(hours=-5))), NOW),
    ],
)
def test_every_documented_form_of_a_time_is_parsed(moment, seconds):
    assert epoch_seconds(moment, now=NOW) == seconds


@pytest.mark.parametrize(
    "moment", [NOW * 1000, int(NOW * 1000), str(int(NOW * 1000)), float("nan"), float("inf")]
)
def test_milliseconds_are_refused(moment):
    with pytest.raises(InvalidRequest, match=r"since=.*looks like milliseconds"):
        epoch_seconds(moment, now=NOW, name="since")


def test_a_naive_datetime_is_refused():
    with pytest.raises(InvalidRequest, match="has no time zone"):
        epoch_seconds(datetime(2026, 11, 19), now=NOW)  # noqa: DTZ001


@pytest.mark.parametrize(
    "moment", ["", "tomorrow", "Today", "6 hours", "-6h", "99999999999999d", "25:00", True]
)
def test_other_values_are_refused_and_named(moment):
    with pytest.raises(InvalidRequest):
        epoch_seconds(moment, now=NOW)


@given(st.text() | st.from_regex(r"\A\d{1,15}(\.\d+)? ?[smhdw]\Z") | st.datetimes().map(str))
def test_any_text_is_parsed_or_refused(text):
    try:
        moment = epoch_seconds(text, now=NOW)
    except InvalidRequest:
        return
    assert isinstance(moment, float)


def test_days_are_utc_days():
    midnight = 1_795_132_800.0
    assert [utc_day(midnight - 1), utc_day(midnight)] == ["2026-11-19", "2026-11-20"]
    assert [next_midnight(midnight - 0.5), next_midnight(midnight)] == [midnight, midnight + 86_400]
    assert iso(midnight) == "2026-11-20T00:00:00Z"
