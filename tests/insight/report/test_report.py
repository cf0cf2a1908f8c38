"""`report` on stores: numbers sample by sample, planted differences, channels, and stores without calls."""

from collections import defaultdict
from types import SimpleNamespace

import pytest

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight import report
from agora_analytics.insight.quality_report.report_text import missing_sentences
from agora_analytics.schemas import POINTS
from agora_analytics.scoring.profiles import PROFILES
from tests.insight.report.report_calls import DAY, NOON, SINCE, UNTIL, harvested, random_calls
from tests.insight.scored_calls import BEGIN as POINTS_BEGIN
from tests.insight.scored_calls import DAY as POINTS_DAY
from tests.insight.scored_calls import opentok_points, point, table
from tests.insight.stored_calls import ROUND_TRIP, StoredCall, User, store_calls
from tests.store.rollup_samples import covered, is_measured

MEASURES = {
    "audio_freeze_time": "freeze", "video_freeze_time": "freeze", "round_trip_time": "delay",
    **{f"{kind}_packet_loss_{way}": "loss" for kind in ("audio", "video") for way in ("sent", "received")},
}  # fmt: skip
LIMITS = {each.metric: each for each in PROFILES["agora"].sampled}


def counted(store):
    """Yield each sample that a report counts, with its session, its seconds and those beyond the limit."""
    sessions = {row["sid"]: row for row in store.table("sessions").to_pylist()}
    for row, seconds in covered(store):
        if (measure := MEASURES.get(row["metric"])) and row["call_id"] is not None:
            measured = is_measured(row["value"])
            beyond = seconds if measured and LIMITS[row["metric"]].is_exceeded(row["value"], seconds) else 0.0
            session = sessions[row["session_id"]]
            yield SimpleNamespace(
                **{
                    **row,
                    "measure": measure,
                    "seconds": seconds,
                    "beyond": beyond,
                    "measured": measured,
                    "session": session,
                }
            )


@pytest.fixture(scope="module")
def samples(world_store):
    return list(counted(world_store))


@pytest.fixture(scope="module")
def found(world_store):
    return report(world_store, since=SINCE, until=UNTIL)


def shares(samples, group=lambda _: "all"):
    """Return the share of time beyond a limit by group and measure."""
    sums = defaultdict(lambda: [0.0, 0.0])
    for each in samples:
        sums[group(each), each.measure][0] += each.beyond
        sums[group(each), each.measure][1] += each.seconds
    return {key: beyond / seconds for key, (beyond, seconds) in sums.items()}


def rates(groups):
    return {
        (group.group, rate.measure): rate.rate
        for group in groups
        for rate in group.rates
        if rate.rate is not None
    }


def test_totals_are_those_of_the_samples(found, samples):
    assert rates([found.total]) == pytest.approx(shares(samples))
    assert found.calls == len({each.call_id for each in samples})
    assert found.users == len({each.user_id for each in samples})
    assert found.measures == ("freeze", "loss", "delay")


@pytest.mark.parametrize("by", ["network", "platform", "sdk_version"])
def test_panel_has_the_shares_calls_and_users_of_each_group(found, samples, by):
    (panel,) = (each for each in found.panels if each.by == by)

    def group(each):
        return each.session[by] or "(unknown)"

    assert rates(panel.groups) == pytest.approx(shares(samples, group))
    for each in panel.groups:
        own = [sample for sample in samples if group(sample) == each.group]
        assert each.calls == len({sample.call_id for sample in own})
        assert each.users == len({sample.user_id for sample in own})


def test_panel_by_hour_of_day_has_the_hours_of_the_samples(found, samples):
    (panel,) = (each for each in found.panels if each.by == "hour_of_day")
    expected = shares(samples, lambda each: f"{each.ts.hour:02}:00")
    assert rates(panel.groups) == pytest.approx(expected)
    assert [each.group for each in panel.groups] == sorted({hour for hour, _ in expected})


def test_intervals_over_time_add_up_to_the_total(found, samples):
    for each in found.over_time:
        inside = [sample for sample in samples if each.start <= sample.ts.timestamp() < each.end]
        expected = {measure: share for (_, measure), share in shares(inside).items()}
        assert {rate.measure: rate.rate for rate in each.rates if rate.rate is not None} == pytest.approx(
            expected
        )
        assert each.calls == len({sample.call_id for sample in inside})


def test_poor_users_have_a_mean_beyond_a_limit(found, samples):
    sums = defaultdict(lambda: [0.0, 0, 0.0])
    for each in samples:
        entry = sums[each.call_id, each.user_id, each.metric]
        entry[0] += each.value if each.measured else 0.0
        entry[1] += each.measured
        entry[2] += each.seconds
    poor = defaultdict(bool)
    for (call_id, user_id, metric), (total, count, seconds) in sums.items():
        value = total if LIMITS[metric].share_of_time else total / count if count else None
        poor[call_id, user_id] |= value is not None and LIMITS[metric].is_exceeded(value, seconds)
    assert found.poor_users.rate == pytest.approx(sum(poor.values()) / len(poor))
    calls = {call_id for call_id, _ in poor}
    assert found.poor_calls.rate == pytest.approx(
        len({call for (call, _), bad in poor.items() if bad}) / len(calls)
    )


def test_worst_calls_are_ordered_by_their_largest_share(found, samples):
    expected = shares(samples, lambda each: each.call_id)
    listed = [max(dict(call.shares).values()) for call in found.worst_calls]
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == 20
    for call in found.worst_calls:
        assert dict(call.shares) == pytest.approx(
            {measure: share for (call_id, measure), share in expected.items() if call_id == call.call_id}
        )
        of_users = shares(
            (each for each in samples if each.call_id == call.call_id), lambda each: each.user_id
        )
        assert max(of_users.items(), key=lambda each: each[1])[1] == pytest.approx(
            max(share for (uid, _), share in of_users.items() if uid == call.uid)
        )


def test_scores_are_those_of_the_view(found, world_store):
    rows = world_store.sql(
        "select media, sum(score * seconds) / sum(seconds), min(worst_window) from stream_scores group by all"
    ).fetchall()
    assert {each.media: (each.mean, each.worst_window) for each in found.total.scores} == {
        media: (pytest.approx(mean, abs=1e-6), pytest.approx(worst, abs=1e-6)) for media, mean, worst in rows
    }


def test_roll_ups_do_not_change_a_report(store):
    store_calls(store, random_calls(calls=5, seed=4))
    before = report(store, since=SINCE, until=UNTIL)
    assert store.writer.compact(closed_before="2027-01-01").skipped == ()
    assert store.writer.build_rollups().valid > 0
    assert report(store, since=SINCE, until=UNTIL) == before


def test_impaired_network_is_named(found):
    (panel,) = (each for each in found.panels if each.by == "network")
    worse = {each.group for each in panel.groups if each.rate("loss").verdict == "worse"}
    assert worse == {"4G"}
    assert "network 4G" in found.summary[-1]


def test_nothing_is_named_without_an_impairment(tmp_path):
    found = report(harvested(tmp_path / "store", seed=9), since=SINCE, until=UNTIL)
    assert {rate.verdict for panel in found.panels for group in panel.groups for rate in group.rates} <= {
        "none",
        "unknown",
    }
    assert found.comparisons > 10
    assert (
        found.summary[-1]
        == "No network, platform, SDK version or hour of day is worse than the rest by more than chance."
    )


def test_planted_version_and_the_change_are_named(planted):
    verdicts = {
        (panel.by, group.group, rate.measure): rate.verdict
        for panel in planted.panels
        for group in panel.groups
        for rate in group.rates
    }
    assert {key for key, verdict in verdicts.items() if verdict == "worse"} == {
        ("sdk_version", "4.6.0", "freeze")
    }
    changed = {each.measure: each.verdict for each in planted.changes}
    assert changed == {"users": "none", "freeze": "worse", "loss": "none", "delay": "unknown"}
    assert planted.calls_before == 60
    assert "freeze got worse" in planted.summary[3]
    assert "SDK version 4.6.0" in planted.summary[4]


def test_same_seed_gives_the_same_report(planted_store, planted):
    assert report(planted_store, since=SINCE, until=UNTIL) == planted
    assert report(planted_store, since=SINCE, until=UNTIL, seed=1) != planted


def test_selected_channel_has_the_report_of_a_store_without_the_others(planted_store, store):
    store_calls(store, random_calls(calls=30, seed=3, channel="other"))
    alone = report(store, since=SINCE, until=UNTIL, channels=["other"])
    assert report(planted_store, since=SINCE, until=UNTIL, channels=["other"]) == alone
    assert alone.calls == 30
    assert alone.changes == ()


def test_several_channels_are_counted_together(planted_store):
    found = report(planted_store, since=SINCE, until=UNTIL, channels=["room", "other", "room"])
    assert (found.calls, found.channels) == (90, ("room", "other"))


def test_call_that_began_days_before_is_counted_in_its_hours(store):
    user = User(uid="1", values={ROUND_TRIP: [10.0] * (3 * DAY // 4) + [500.0] * 900})
    long = StoredCall(call_id="long", start=NOON - 3 * DAY, users=[user], seconds=3 * DAY + 3600)
    store_calls(store, [long])
    found = report(store, since=NOON, until=NOON + 3600)
    assert (found.calls, found.calls_before) == (1, 1)
    assert found.total.rate("delay").rate == 1.0
    assert [(each.before, each.after) for each in found.changes if each.measure == "delay"] == [(0.0, 1.0)]


def test_one_call_has_no_interval_and_no_verdict(store):
    store_calls(store, random_calls(calls=1, seed=4))
    found = report(store, since=SINCE, until=UNTIL)
    assert found.calls == 1
    assert found.poor_users.low is None
    assert found.comparisons == 0
    assert {rate.verdict for panel in found.panels for group in panel.groups for rate in group.rates} == {
        "unknown"
    }
    assert found.summary[3:] == (
        "The store has no calls of the period before, so no change is shown.",
        "There are too few calls to compare groups of users.",
    )
    assert "1 call with" in found.summary[0]


def test_missing_data_is_counted_and_named(store):
    store_calls(store, random_calls(calls=3, seed=4, since=NOON - 7200, until=NOON))
    quiet = StoredCall(call_id="quiet", start=NOON - 3000, users=[User(uid="1", values={20003: [40.0] * 3})])
    store_calls(store, [quiet])
    found = report(store, since=NOON - 2 * DAY, until=NOON)
    assert found.calls == 3
    assert found.missing.without_samples.named == ("quiet",)
    assert found.missing.days_without_calls == ("2026-11-17", "2026-11-18")
    assert found.missing.days_before_without_calls == ()
    assert dict(found.missing.without_measure) == {"freeze": 0, "loss": 0, "delay": 0}


def test_days_of_the_period_before_without_calls_are_named(store):
    store_calls(store, random_calls(calls=3, seed=4, since=NOON - 7200, until=NOON))
    store_calls(store, random_calls(calls=3, seed=5, since=NOON, until=NOON + 7200))
    found = report(store, since=NOON, until=NOON + 2 * DAY)
    assert found.calls_before == 3
    assert found.missing.days_before_without_calls == ("2026-11-17", "2026-11-18")
    assert any("in the period before" in sentence for sentence in missing_sentences(found))


def test_profile_selects_the_limits(planted_store):
    found = report(planted_store, since=SINCE, until=UNTIL, profile="bluejeans")
    assert found.measures == ("loss", "delay")
    assert {each.metric for each in found.limits if each.measure} == {
        "round_trip_time",
        "video_packet_loss_received",
    }
    assert "Not counted: no vendor sends it." in {each.note for each in found.limits}


def test_opentok_has_the_metrics_that_it_sends(store):
    rows = table(list(opentok_points()), POINTS)
    store.writer.put("points", "m", rows, app_id="46", day=POINTS_DAY, pending=False)
    found = report(store, since=POINTS_BEGIN, until=POINTS_BEGIN + 3600)
    assert (found.vendor, found.calls, found.measures) == ("opentok", 1, ("loss",))
    reasons = {panel.by: panel.reason for panel in found.panels}
    assert reasons["network"] == "The data of opentok has no such column."
    assert reasons["hour_of_day"] == ""


def test_two_vendors_need_a_choice(store):
    store.writer.put(
        "points", "m", table(list(opentok_points()), POINTS), app_id="46", day=POINTS_DAY, pending=False
    )
    store_calls(store, random_calls(calls=2, seed=5, since=POINTS_BEGIN, until=POINTS_BEGIN + 3600))
    with pytest.raises(InvalidRequest, match="agora and opentok have calls in this time range"):
        report(store, since=POINTS_BEGIN, until=POINTS_BEGIN + 3600)
    for choice in ({"vendor": "opentok"}, {"app_id": "46"}):
        assert report(store, since=POINTS_BEGIN, until=POINTS_BEGIN + 3600, **choice).vendor == "opentok"


def test_store_of_totals_only_is_refused(store):
    stuck = [point("apsaravideo", "video_freeze_rate", 300, 0.1, channel="live")]
    store.writer.put("points", "a", table(stuck, POINTS), app_id="live", day=POINTS_DAY, pending=False)
    with pytest.raises(InvalidRequest, match="apsaravideo sends totals of all users, without calls"):
        report(store, since=POINTS_BEGIN, until=POINTS_BEGIN + 3600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "the store is empty"),
        ({"channels": ["nobody"]}, "no samples of the channels 'nobody'"),
        ({"channels": "room"}, "give a list of channels"),
        ({"profile": "agra"}, "no threshold profile 'agra'"),
        ({"vendor": "zoom"}, "no vendor 'zoom'"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"until": SINCE}, "the same time"),
        ({"until": SINCE - 1}, "is not before"),
    ],
)
def test_wrong_arguments_are_refused(store, arguments, message):
    with pytest.raises(InvalidRequest, match=message):
        report(store, **({"since": SINCE, "until": UNTIL} | arguments))


def test_range_without_calls_names_the_days_of_the_store(planted_store):
    with pytest.raises(InvalidRequest, match="the store has days from 2026-11-15 to 2026-11-19"):
        report(planted_store, since="2026-10-01", until="2026-10-02")


def test_report_of_a_store_is_data(planted):
    data = planted.to_dict()
    assert data["calls"] == planted.calls
    assert data["panels"][0]["groups"][0]["rates"][0]["measure"] == "freeze"
