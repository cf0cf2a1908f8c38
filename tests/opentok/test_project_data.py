"""Project data: Pacific days, intervals, groups, filters; rows against the simulated world."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.errors import InvalidRequest, WindowOutOfReach
from agora_analytics.opentok import (
    DISTRIBUTIONS,
    ERRORS,
    PARTICIPANTS,
    QUALITY,
    USAGE,
    ProjectRow,
    pacific_midnight,
    pagination,
)
from agora_analytics.simulator import OpenTokWorld
from tests.opentok.harness import DAY, NOW, data, listed, make_harness, scripted

FEB_2026 = OpenTokWorld.generate(seed=7, since=NOW - 380 * DAY, until=NOW, sessions=1)
PUBLISHED = "usage.streamedPublishedMinutes"


def rows_of(*args, harness=None, **asked):
    return (harness or make_harness(FEB_2026)).run(
        lambda client: client.project_data(*args, **asked).collect()
    )


# ---- midnights


@given(st.dates(date(2008, 1, 1), date(2035, 1, 1)))
def test_pacific_days_start_at_7_or_8_and_are_contiguous(day):
    begin, end = pacific_midnight(day), pacific_midnight(day + timedelta(days=1))
    assert begin.tzinfo is UTC
    assert begin.hour in (7, 8)
    assert end - begin in (timedelta(hours=23), timedelta(hours=24), timedelta(hours=25))
    assert pacific_midnight(day.isoformat()) == begin


def test_days_of_clock_changes():
    lengths = {
        day: pacific_midnight(day + timedelta(days=1)) - pacific_midnight(day)
        for day in (date(2026, 3, 8), date(2026, 11, 1), date(2026, 11, 2))
    }
    assert [length // timedelta(hours=1) for length in lengths.values()] == [23, 25, 24]


@pytest.mark.parametrize("day", ["", "2026-13-01", "tomorrow"])
def test_invalid_day_is_refused(day):
    with pytest.raises(InvalidRequest, match="is not a day"):
        pacific_midnight(day)


# ---- intervals


def test_daily_rows_are_the_pacific_days_of_the_range():
    begin, end = (
        pacific_midnight("2026-10-30"),
        pacific_midnight("2026-11-04"),
    )  # the clocks change within the range
    rows = rows_of(begin, end, interval="DAILY")
    assert [row.interval_start for row in rows] == [
        pacific_midnight(date(2026, 10, 30) + timedelta(days=i)) for i in range(5)
    ]
    assert [row.interval_end for row in rows] == [row.interval_start for row in rows]
    assert [row.interval_until for row in rows] == [row.interval_start for row in rows[1:]] + [end]
    assert rows_of(begin, begin + timedelta(seconds=1), interval="DAILY") == rows[:1]
    assert len(rows_of(begin - timedelta(seconds=1), begin + timedelta(seconds=1), interval="DAILY")) == 2


def test_interval_end_of_a_month_is_the_start_of_its_last_day():
    """The guide shows February, which ends on the 29th at 08:00Z."""
    rows = rows_of("300d", interval="MONTHLY")
    march = next(row for row in rows if row.interval_start == pacific_midnight("2026-03-01"))
    assert march.interval_end == pacific_midnight("2026-03-31")
    assert march.interval_until == pacific_midnight("2026-04-01")
    assert march.interval_start.hour == 8
    assert march.interval_until.hour == 7


def test_one_row_without_an_interval():
    (row,) = rows_of("30d")
    assert (row.interval_start, row.interval_end, row.interval_until) == (None, None, None)
    daily = rows_of("30d", interval="DAILY")
    assert row.values[PUBLISHED] == pytest.approx(sum(one.values[PUBLISHED] for one in daily))


def test_start_zero_is_the_earliest():
    harness = make_harness(FEB_2026)
    assert len(rows_of(0, interval="DAILY", harness=harness)) >= 87
    assert "projectData(start: 0," in harness.transport.bodies[0]["query"]


def test_groups_add_up_to_the_total():
    begin, end = pacific_midnight("2026-11-01"), pacific_midnight("2026-11-03")
    rows = rows_of(
        begin,
        end,
        interval="DAILY",
        group_by=["COUNTRY", "SDK_TYPE", "BROWSER", "BROWSER_VERSION", "REGION", "SDK_VERSION"],
    )
    whole = rows_of(begin, end, interval="DAILY")
    assert {row.country for row in rows} >= {"US", "GB"}
    assert {row.sdk_type for row in rows} >= {"JS", "IOS"}
    assert all((row.region is None) == (row.country != "US") for row in rows)
    assert all((row.browser is None) == (row.sdk_type != "JS") for row in rows)
    assert sum(row.values[PUBLISHED] or 0 for row in rows) == pytest.approx(
        sum(row.values[PUBLISHED] for row in whole)
    )


@pytest.mark.parametrize(
    ("filters", "attribute", "values"),
    [
        ({"country": "US"}, "country", {"US"}),
        ({"country": ["US", "GB"]}, "country", {"US", "GB"}),
        ({"sdk_type": "IOS"}, "sdk_type", {"IOS"}),
        ({"browser": ["FIREFOX", "SAFARI"]}, "browser", {"FIREFOX", "SAFARI"}),
        ({"sdk_version": "2.27.1"}, "sdk_version", {"2.27.1"}),
        ({"region": ["CA", "NY"]}, "region", {"CA", "NY"}),
        ({"browser_version": "126.0.0"}, "browser_version", {"126.0.0"}),
    ],
)
def test_filters(filters, attribute, values):
    rows = rows_of("20d", group_by=attribute.upper(), **filters)
    assert {getattr(row, attribute) for row in rows} == values


def test_rows_on_several_pages(monkeypatch):
    monkeypatch.setattr(pagination, "PAGE_BUDGET", 200)  # a page of 125
    harness = make_harness(FEB_2026)
    groups = ["COUNTRY", "REGION", "SDK_VERSION", "BROWSER"]
    rows = rows_of("90d", interval="DAILY", group_by=groups, harness=harness)
    assert len(rows) > 900
    assert harness.requests.total() == len(rows) // 125 + 1
    groups_of_rows = {
        tuple(getattr(row, name.lower()) for name in ("interval_start", *groups)) for row in rows
    }
    assert len(groups_of_rows) == len(rows)


def test_every_field_can_be_requested():
    fields = (*USAGE, *PARTICIPANTS, *QUALITY, *DISTRIBUTIONS, *ERRORS)
    (row,) = rows_of("30d", fields=fields)
    assert list(row.values) == list(fields)
    assert all(isinstance(value, float) for value in row.values.values())


def test_rows_as_columns():
    pa = pytest.importorskip("pyarrow")

    async def job(client):
        asked = client.project_data("10d", interval="DAILY", group_by="COUNTRY", fields=[PUBLISHED])
        return await asked.to_arrow(), await asked.collect()

    table, rows = make_harness(FEB_2026).run(job)
    assert table[PUBLISHED].to_pylist() == [row.values[PUBLISHED] for row in rows]
    assert table.schema.field("interval_start").type == pa.timestamp("ms", "UTC")
    assert table["country"].to_pylist() == [row.country for row in rows]


# ---- read tolerantly


def test_nulls_numbers_as_text_and_unknown_fields():
    row = {
        "country": "ZZ",
        "browser": "",
        "usage": None,
        "errors": {"connect": {"attempts": "12", "failures": True}},
        "new": 1,
    }
    harness = scripted(
        data({"projectData": listed(row | {"intervalStart": "2026-11-01T07:00:00.000Z"}, None)})
    )
    (found,) = harness.run(
        lambda client: client.project_data("30d", interval="DAILY", group_by="COUNTRY").collect()
    )
    assert (found.country, found.browser) == ("ZZ", None)
    assert found.interval_start == datetime(2026, 11, 1, 7, tzinfo=UTC)
    assert found.values["errors.connect.attempts"] == 12.0
    assert found.values["errors.connect.failures"] is None
    assert found.values[PUBLISHED] is None


def test_interval_that_ends_at_a_clock_change():
    row = ProjectRow(interval_end=datetime(2026, 11, 1, 7, tzinfo=UTC))
    assert row.interval_until == datetime(2026, 11, 2, 8, tzinfo=UTC)


# ---- refused before a request is spent


@pytest.mark.parametrize(
    ("args", "asked", "error", "words"),
    [
        (("1d", "2d"), {}, InvalidRequest, "earlier time first"),
        ((NOW * 1000,), {}, InvalidRequest, "milliseconds"),
        ((datetime(2026, 11, 1),), {}, InvalidRequest, "time zone"),  # noqa: DTZ001
        ((0, "400d"), {}, WindowOutOfReach, "too far back"),
        ((NOW + DAY,), {}, WindowOutOfReach, "too recent"),
        (("30d",), {"fields": []}, InvalidRequest, "no field"),
        (("30d",), {"fields": ["usage { x }"]}, InvalidRequest, "is not a field name"),
        (("30d",), {"interval": "daily"}, InvalidRequest, "enum value"),
        (("30d",), {"country": "us"}, InvalidRequest, "enum value"),
        (("30d",), {"group_by": ["COUNTRY", "a b"]}, InvalidRequest, "enum value"),
    ],
)
def test_invalid_arguments_are_refused_before_a_request(args, asked, error, words):
    harness = make_harness(FEB_2026)

    async def job(client):
        with pytest.raises(error, match=words):
            await client.project_data(*args, **asked).collect()

    harness.run(job)
    assert harness.requests.total() == 0
