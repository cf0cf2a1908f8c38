"""Simulated OpenTok project data: Pacific days, intervals, groups, filters and sums."""

from datetime import UTC, date, datetime
from functools import reduce

import pytest

from agora_analytics.simulator import OpenTokWorld
from agora_analytics.simulator.opentok import Rules
from agora_analytics.simulator.opentok.dates import days_between, midnight_ms, pacific_day
from agora_analytics.simulator.opentok.usage import BITRATE_KBPS, LATENCY_MS, bucket
from tests.simulator.insights_client import DAY, NOW, connected

YEAR = OpenTokWorld.generate(since=NOW - 500 * DAY, until=NOW, sessions=0)
MARCH = datetime(2026, 3, 20, 12, tzinfo=UTC).timestamp()
FIELDS = "usage {streamedPublishedMinutes streamedSubscribedMinutes} errors {connect {attempts failures}}"


def query(arguments, fields="intervalStart intervalEnd", **more):
    return (
        f"query($after: String) {{project(projectId: 45000001) {{projectData({arguments}, first: 1000, endCursor: $after)"
        f" {{interval totalCount resources {{{fields}}}}}}}}}"
    )


async def rows(arguments, fields="intervalStart intervalEnd", *, now=NOW, world=YEAR, **settings):
    async with connected(world, now=now, **settings) as client:
        return (await client.project(query(arguments, fields)))["projectData"]["resources"]


def total(listed, *path):
    """Return the sum of one field, where it is not null."""
    *above, last = path
    held = [reduce(lambda part, step: part and part[step], above, row) for row in listed]
    return sum(part[last] for part in held if part)


def test_pacific_day_begins_at_eight_in_winter_and_at_seven_in_summer():
    assert midnight_ms(date(2026, 1, 15)) == datetime(2026, 1, 15, 8, tzinfo=UTC).timestamp() * 1000
    assert midnight_ms(date(2026, 7, 15)) == datetime(2026, 7, 15, 7, tzinfo=UTC).timestamp() * 1000
    for day in days_between(date(2026, 3, 7), date(2026, 3, 10)):
        assert pacific_day(midnight_ms(day)) == day == pacific_day(midnight_ms(day) + 3_600_000)
    assert midnight_ms(date(2026, 3, 9)) - midnight_ms(date(2026, 3, 8)) == 23 * 3_600_000
    assert midnight_ms(date(2026, 11, 2)) - midnight_ms(date(2026, 11, 1)) == 25 * 3_600_000


async def test_days_around_dst_changes_begin_at_their_own_midnight():
    listed = await rows(
        'start: "2026-03-07T08:00:00Z", end: "2026-03-10T07:00:00Z", interval: DAILY', now=MARCH
    )
    assert [row["intervalStart"] for row in listed] == [
        "2026-03-07T08:00:00.000Z",
        "2026-03-08T08:00:00.000Z",
        "2026-03-09T07:00:00.000Z",
    ]
    assert all(row["intervalStart"] == row["intervalEnd"] for row in listed)


async def test_interval_end_is_its_last_day():
    listed = await rows(
        'start: "2026-02-01T08:00:00Z", end: "2026-03-01T08:00:00Z", interval: MONTHLY', now=MARCH
    )
    assert listed == [
        {"intervalStart": "2026-02-01T08:00:00.000Z", "intervalEnd": "2026-02-28T08:00:00.000Z"}
    ]


@pytest.mark.parametrize("interval", ["DAILY", "WEEKLY", "MONTHLY", "AUTO", None])
async def test_every_interval_has_the_same_sum(interval):
    name = f", interval: {interval}" if interval else ""
    listed = await rows(
        f"start: {NOW - 60 * DAY}, end: {NOW - 10 * DAY}{name}", f"intervalStart intervalEnd {FIELDS}"
    )
    single = await rows(f"start: {NOW - 60 * DAY}, end: {NOW - 10 * DAY}", FIELDS)
    for path in (("usage", "streamedPublishedMinutes"), ("errors", "connect", "attempts")):
        assert total(listed, *path) == pytest.approx(total(single, *path))
    assert len(listed) == {"DAILY": 51, "WEEKLY": 9, "AUTO": 9, "MONTHLY": 3, None: 1}[interval]
    spans = [(row["intervalStart"], row["intervalEnd"]) for row in listed]
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    "names", ["SDK_TYPE", "COUNTRY", "REGION", "BROWSER", "SDK_VERSION", "BROWSER_VERSION"]
)
async def test_groups_have_their_field_and_add_up(names):
    field = {"SDK_TYPE": "sdkType", "SDK_VERSION": "sdkVersion", "BROWSER_VERSION": "browserVersion"}.get(
        names, names.lower()
    )
    span = f"start: {NOW - 30 * DAY}"
    listed = await rows(f"{span}, groupBy: {names}", f"{field} {FIELDS}")
    (alone,) = await rows(span, f"{field} {FIELDS}")
    values = [row[field] for row in listed]
    assert len(values) == len(set(values)) > 2
    assert alone[field] is None  # null unless the rows are grouped by it
    assert total(listed, "errors", "connect", "attempts") == alone["errors"]["connect"]["attempts"]


async def test_filters_keep_the_named_values():
    span = f"start: {NOW - 30 * DAY}"
    by_group = await rows(f"{span}, groupBy: [COUNTRY, SDK_TYPE]", f"country sdkType {FIELDS}")
    wanted = [row for row in by_group if row["country"] in {"US", "IN"} and row["sdkType"] == "JS"]
    (listed,) = await rows(f"{span}, country: [US, IN], sdkType: JS", FIELDS)
    assert total(wanted, "usage", "streamedSubscribedMinutes") == pytest.approx(
        listed["usage"]["streamedSubscribedMinutes"]
    )
    for narrowed in ('region: "TX"', "browser: EDGE", 'sdkVersion: "2.26.4", browserVersion: "125.0.0"'):
        (listed,) = await rows(f"{span}, {narrowed}", FIELDS)
        assert listed["errors"]["connect"]["attempts"] > 0
    assert await rows(f'{span}, region: "ZZ"', FIELDS) == []  # rows without data are not listed


async def test_participants_and_archives_are_available_by_country_only():
    fields = (
        "usage {streamedPublishedMinutes participantMinutes {from1To2Publishers} sdArchiveComposedMinutes}"
    )
    span = f"start: {NOW - 30 * DAY}"
    for arguments in (span, f"{span}, groupBy: COUNTRY", f"{span}, country: US"):
        for row in await rows(arguments, fields):
            assert row["usage"]["participantMinutes"]["from1To2Publishers"] > 0
            assert row["usage"]["sdArchiveComposedMinutes"] > 0
    for arguments in (f"{span}, groupBy: SDK_TYPE", f"{span}, browser: CHROME", f'{span}, region: "CA"'):
        for row in await rows(arguments, fields):
            assert row["usage"]["streamedPublishedMinutes"] > 0
            assert row["usage"]["participantMinutes"] is row["usage"]["sdArchiveComposedMinutes"] is None


async def test_row_without_minutes_has_no_usage():
    listed = await rows(
        f"start: {NOW - 89 * DAY}, interval: DAILY, groupBy: [COUNTRY, REGION, SDK_TYPE, BROWSER]", FIELDS
    )
    quiet = [row for row in listed if row["usage"] is None]
    assert 0 < len(quiet) < len(listed) / 10
    assert all(row["errors"]["connect"]["failures"] > 0 for row in quiet)


async def test_quality_average_lies_between_the_filled_buckets():
    latency = " ".join([*(f"ms{bound}" for bound in LATENCY_MS), "ms1000Plus"])
    bitrate = " ".join([*(f"kbps{bound}" for bound in BITRATE_KBPS), "kbps3000Plus"])
    one = f"videoBitrateKbpsAvg latencyMsAvg latencyDistribution {{{latency}}} videoBitrateDistribution {{{bitrate}}}"
    (listed,) = await rows(
        f"start: {NOW - 30 * DAY}", f"quality {{publisher {{{one}}} subscriber {{{one}}}}}"
    )
    for side in ("publisher", "subscriber"):
        quality = listed["quality"][side]
        assert 50 < quality["latencyMsAvg"] < 1000
        assert 200 < quality["videoBitrateKbpsAvg"] < 2000
        streams = sum(quality["latencyDistribution"].values())
        assert streams == sum(quality["videoBitrateDistribution"].values()) > 100


@pytest.mark.parametrize(
    ("value", "name"), [(0, "ms50"), (50, "ms50"), (50.1, "ms100"), (1000, "ms1000"), (1000.1, "ms1000Plus")]
)
def test_bucket_is_named_by_its_upper_bound(value, name):
    assert bucket(value, LATENCY_MS, "ms") == name


async def test_daily_rows_are_available_for_90_days_and_monthly_for_a_year():
    daily = await rows("start: 0, interval: DAILY")
    monthly = await rows("start: 0, interval: MONTHLY")
    assert daily[0]["intervalStart"] == "2026-08-21T07:00:00.000Z"
    assert daily[-1]["intervalStart"] == "2026-11-16T08:00:00.000Z"  # over for 48 hours
    assert len(daily) == 88
    assert len(monthly) == 13
    assert monthly[0]["intervalStart"] == "2025-11-18T08:00:00.000Z"


async def test_day_is_available_after_the_delay():
    over = midnight_ms(date(2026, 11, 17)) / 1000
    for delay in (36 * 3600, 48 * 3600):
        rules = Rules(project_delay=delay)
        before = await rows("start: 0, interval: DAILY", now=over + delay - 1, rules=rules)
        after = await rows("start: 0, interval: DAILY", now=over + delay, rules=rules)
        assert before[-1]["intervalStart"] == "2026-11-15T08:00:00.000Z"
        assert after[-1]["intervalStart"] == "2026-11-16T08:00:00.000Z"


@pytest.mark.parametrize(
    "start",
    ["1790000000", "1790000000000", '"1790000000"', '"2026-09-21T14:13:20Z"', '"2026-09-21T07:13:20-07:00"'],
)
async def test_every_date_format_is_accepted(start):
    assert pacific_day(1_790_000_000_000) == date(2026, 9, 21)
    (first, *_) = await rows(f"start: {start}, interval: DAILY")
    assert first["intervalStart"] == "2026-09-21T07:00:00.000Z"
