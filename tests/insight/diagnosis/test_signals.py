"""The signals that the rules use, on timelines made by hand."""

import numpy as np
import pyarrow as pa
import pytest

from agora_analytics.insight.diagnosis.attribution import attribute, signals_of
from agora_analytics.insight.diagnosis.call_timeline import CallTimeline
from agora_analytics.insight.diagnosis.limits import DiagnosisLimits
from agora_analytics.insight.diagnosis.microphone import silent_seconds
from agora_analytics.insight.diagnosis.moving import lasting, moving_mean, moving_median, runs
from agora_analytics.insight.diagnosis.outages import offline_seconds
from agora_analytics.insight.diagnosis.rules import ALWAYS, CAUSES, RECEIVED, SENT
from agora_analytics.insight.diagnosis.words import cause_in_words

VOLUME, FREEZE, ROUND_TRIP, CAPTURE = 20025, 20005, 20022, 20007
LIMITS = DiagnosisLimits.of("agora")


def timeline(samples, *, sessions=None, seconds=400):
    """Return a timeline of users with samples: (uid, metric id, peer) -> {second: value}."""
    uids = dict.fromkeys([uid for uid, _, _ in samples])
    rows = sessions or [(uid, 0, seconds) for uid in uids]
    table = pa.table(
        {
            "sid": [f"{uid}-{at}" for at, (uid, _, _) in enumerate(rows)],
            "uid": [uid for uid, _, _ in rows],
            "join_ts": [join for _, join, _ in rows],
            "leave_ts": [leave for _, _, leave in rows],
            "speaker": [True] * len(rows),
            "platform": ["iOS"] * len(rows),
            "device_type": ["iPhone"] * len(rows),
        }
    )

    def sid(uid, ts):
        return next(
            f"{each}-{at}"
            for at, (each, join, leave) in enumerate(rows)
            if each == uid and join <= ts <= leave
        )

    flat = [
        (sid(uid, ts), mid, peer, ts, value)
        for (uid, mid, peer), series in samples.items()
        for ts, value in series.items()
    ]
    names = ("sid", "mid", "peer_uid", "ts", "value")
    columns = dict(zip(names, zip(*flat, strict=True), strict=True))
    return CallTimeline.of(table, pa.table({name: pa.array(list(columns[name])) for name in names}))


def every(step, values, first=4):
    return {first + step * at: float(value) for at, value in enumerate(values)}


def test_a_sample_holds_for_the_time_that_it_covers():
    line = timeline({("1", ROUND_TRIP, "0"): {4: 10.0, 8: 20.0, 60: 30.0}}, seconds=80)
    values = line.own("1", "router_round_trip")
    assert values[1:9].tolist() == [10.0] * 4 + [20.0] * 4
    assert np.isnan(values[9:41]).all(), "no sample covers more than 20 s"
    assert values[41:61].tolist() == [30.0] * 20
    assert np.isnan(values[61:]).all()


def test_short_disturbances_do_not_change_a_median():
    values = np.array([0.0] * 20 + [0.5] * 6 + [0.0] * 20)
    assert moving_median(values, 13).max() == 0
    assert moving_mean(values, 11).max() > 0.25
    assert moving_median(np.full(5, np.nan), 13).tolist() == pytest.approx([np.nan] * 5, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_moving_windows_equal_their_definition(seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(50) < 0.3, np.nan, rng.normal(size=50))
    window = int(rng.integers(1, 8)) * 2 + 1
    for at in range(50):
        part = values[max(0, at - window // 2) : at - window // 2 + window]
        known = part[~np.isnan(part)]
        expected = (known.mean(), np.median(known)) if len(known) else (np.nan, np.nan)
        found = (moving_mean(values, window)[at], moving_median(values, window)[at])
        assert found == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_runs_and_lasting_conditions():
    seconds = np.array([False, True, True, False, True])
    assert runs(seconds) == [(1, 3), (4, 5)]
    assert lasting(seconds, 2).tolist() == [False, True, True, False, False]
    assert runs(np.zeros(3, dtype=np.bool_)) == []


@pytest.mark.parametrize(
    ("volumes", "is_silent"),
    [
        (
            [90, 12, 100, 14, 80, 9, 120, 11, 95, 13, 12, 10] + [0] * 6,
            True,
        ),  # no gate: silent all of a sudden
        ([90, 0, 100, 0, 0, 7, 120, 0, 95, 0, 0, 10] * 3, False),  # a noise gate
        ([90, 0, 100, 0, 0, 7, 120, 0, 95, 0, 0, 10] + [0] * 14, True),  # a gate, but silent for two minutes
        ([0] * 40, True),
        ([0, 0], False),  # too few samples
        ([120, 90, 14, 12, 80], False),
    ],
)
def test_silence_is_no_proof_where_a_noise_gate_is_silent_too(volumes, is_silent):
    line = timeline({("1", VOLUME, "0"): every(8, volumes)}, seconds=700)
    silent = silent_seconds(line, "1", LIMITS.silence)
    assert silent.any() == is_silent
    if is_silent:
        zeros = [4 + 8 * at for at, value in enumerate(volumes) if value == 0]
        assert silent[zeros[-1]]
        assert silent.sum() <= 8 * len(zeros)


def reports(missing=()):
    return {ts: 20.0 for ts in range(4, 200, 4) if not any(first < ts < last for first, last in missing)}


def freezes(frozen):
    return {
        ts: 1000.0 * len([at for at in range(ts - 3, ts + 1) if frozen[0] <= at < frozen[1]])
        for ts in range(4, 200, 4)
    }


def test_an_outage_is_a_gap_that_the_others_see_frozen():
    gap = (100, 116)
    own = {ts: value for ts, value in freezes(gap).items() if not gap[0] < ts < gap[1]}
    line = timeline(
        {
            ("1", ROUND_TRIP, "0"): reports([gap]),
            ("1", FREEZE, "2"): own | {116: 4000.0},
            ("2", ROUND_TRIP, "0"): reports(),
            ("2", FREEZE, "1"): freezes(gap),
        },
        seconds=200,
    )
    offline = offline_seconds(line, "1")
    assert 10 <= offline.sum() <= 16
    assert offline[105:115].all()
    assert not offline_seconds(line, "2").any()


def test_a_lost_report_is_no_outage():
    gap = (100, 116)
    still = dict.fromkeys(reports(), 0.0)
    line = timeline(
        {
            ("1", ROUND_TRIP, "0"): reports([gap]),
            ("1", FREEZE, "2"): dict.fromkeys(reports([gap]), 0.0),
            ("2", FREEZE, "1"): still,
        },
        seconds=200,
    )
    assert not offline_seconds(line, "1").any()


def test_a_user_who_leaves_and_comes_back_has_no_outage_but_one_who_rejoins_again_and_again_does():
    once = [("1", 0, 80), ("1", 90, 200), ("2", 0, 200)]
    again = [("1", 0, 50), ("1", 60, 100), ("1", 112, 200), ("2", 0, 200)]
    for sessions, gaps, is_offline in ((once, [(80, 90)], False), (again, [(50, 60), (100, 112)], True)):
        samples = {("1", ROUND_TRIP, "0"): reports(gaps), ("2", ROUND_TRIP, "0"): reports()}
        line = timeline(samples, sessions=sessions, seconds=200)
        assert offline_seconds(line, "1").any() == is_offline


def test_a_user_without_streams_and_a_call_of_one_user_have_an_answer():
    line = timeline({("1", ROUND_TRIP, "0"): reports()}, seconds=200)
    found = attribute(signals_of(line, LIMITS), "1")
    assert found.explanations == []
    assert found.unexplained == 0


def test_each_rule_has_a_cause_with_limits_and_words():
    causes = {rule.cause for rule in (*RECEIVED, *ALWAYS, *SENT)} | {"join_failure"}
    assert causes == CAUSES.keys()
    for cause, limits in CAUSES.items():
        assert limits.least > 0
        assert 0 < limits.weight <= 1
        assert cause_in_words(cause, "42") != cause_in_words("none", None)
    assert {rule.whose for rule in ALWAYS} == {"sender"}


@pytest.mark.parametrize("profile", ["agora", "teams-cqd", "twilio", "sinch", "vidyo", "peermetrics"])
def test_every_profile_has_all_limits(profile):
    limits = DiagnosisLimits.of(profile)
    assert 0 < limits.loss <= 0.1
    assert 200 <= limits.round_trip <= 500
    assert limits.scheduling_delay == 80
