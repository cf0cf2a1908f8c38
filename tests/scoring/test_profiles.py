"""The threshold profiles are consistent data, and their SQL is the same comparison."""

import random

import pytest

from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring.profiles import (
    DEFAULT_PROFILE,
    NOT_SENT,
    PROFILES,
    SCORE_METRICS,
    Threshold,
    find_profile,
)

SAMPLED_WITHOUT_COMMON_NAME = {"task_scheduling_delay", "video_capture_frame_rate"}
THRESHOLDS = [(profile.name, each) for profile in PROFILES.values() for each in profile.thresholds]


@pytest.mark.parametrize("name", PROFILES)
def test_profile_names_its_source_and_known_metrics(name):
    profile = PROFILES[name]
    assert profile.name == name
    assert profile.source
    known = COMMON_METRICS.keys() | SAMPLED_WITHOUT_COMMON_NAME | NOT_SENT | SCORE_METRICS
    assert {each.metric for each in profile.thresholds} <= known
    keys = [(each.metric, each.level) for each in profile.thresholds]
    assert len(keys) == len(set(keys))
    assert set(profile.sampled).isdisjoint(profile.not_evaluated)


@pytest.mark.parametrize(("name", "threshold"), THRESHOLDS)
def test_units_are_the_common_ones(name, threshold):
    """Ratios are between 0 and 1: a limit of 5 would be a per cent taken for a ratio."""
    unit = COMMON_METRICS.get(threshold.metric, ("", ""))[0]
    if unit == "ratio" or threshold.share_of_time:
        assert 0 < threshold.value < 1
    elif unit == "ms":
        assert threshold.value >= 50
    assert not threshold.share_of_time or unit == "ms"


def test_levels_of_a_metric_are_ordered():
    for profile in PROFILES.values():
        for metric in {each.metric for each in profile.thresholds}:
            values = [each.value for each in profile.of(metric)]
            levels = [("fair", "poor", "bad").index(each.level) for each in profile.of(metric)]
            assert levels == sorted(levels)
            assert values == sorted(values, reverse=profile.of(metric)[0].direction == "below")


@pytest.mark.parametrize(
    ("threshold", "beyond", "within"),
    [
        (Threshold(metric="m", value=400), (401, 0), (400, 0)),
        (Threshold(metric="m", value=400, inclusive=True), (400, 0), (399, 0)),
        (Threshold(metric="m", value=3, direction="below"), (2, 0), (3, 0)),
        (Threshold(metric="m", value=3, direction="below", inclusive=True), (3, 0), (4, 0)),
        (Threshold(metric="m", value=0.05, share_of_time=True), (201, 4), (200, 4)),
    ],
)
def test_sample_is_compared_with_a_threshold(threshold, beyond, within):
    assert threshold.is_exceeded(*beyond)
    assert not threshold.is_exceeded(*within)


def test_sql_and_python_compare_alike():
    duckdb = pytest.importorskip("duckdb")
    draws = random.Random(16)
    rows = [(draws.choice([draws.uniform(0, 1), draws.uniform(0, 600)]), 4.0) for _ in range(500)]
    rows += [(each.value, 4.0) for _, each in THRESHOLDS]
    with duckdb.connect() as connection:
        connection.execute("create table samples (value double, seconds double)")
        connection.executemany("insert into samples values (?, ?)", rows)
        for _, threshold in THRESHOLDS:
            counted = connection.sql(f"select count(*) from samples where {threshold.exceeded_sql()}")
            assert counted.fetchall() == [(sum(threshold.is_exceeded(*row) for row in rows),)]


def test_default_profile_exists_and_unknown_names_are_refused():
    assert find_profile(DEFAULT_PROFILE) is PROFILES["agora"]
    assert find_profile(PROFILES["vidyo"]) is PROFILES["vidyo"]
    with pytest.raises(InvalidRequest, match="did you mean 'twilio'"):
        find_profile("twillio")
    with pytest.raises(InvalidRequest, match="use one of agora, teams-cqd"):
        find_profile("zzz")


def test_teams_loss_is_ten_per_cent_and_vidyo_has_three_levels():
    """Spot checks against the published tables."""
    assert PROFILES["teams-cqd"].of("audio_packet_loss_received")[0].value == 0.1
    assert [each.level for each in PROFILES["vidyo"].of("round_trip_time")] == ["fair", "poor", "bad"]
    assert [each.metric for each in PROFILES["twilio"].not_evaluated] == ["jitter"]
