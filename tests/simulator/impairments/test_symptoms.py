"""Each impairment has its symptoms in the metrics of those who have them, and changes nothing else."""

import numpy as np
import pytest
from attrs import evolve

from agora_analytics.simulator import IMPAIRMENT_CAUSES, Impairment
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.rejoins import sessions_under
from tests.simulator.impairments.harness import (
    APP_CPU,
    AUDIO_SENT,
    BEGIN,
    CAPTURE_VOLUME,
    CAPTURED_FPS,
    END,
    LOW_KBPS,
    PLAYBACK_VOLUME,
    RECEIVED_FPS,
    RECEIVED_KBPS,
    RECEIVED_LOSS,
    RECEIVED_VIDEO_LOSS,
    ROUND_TRIP,
    SCHEDULING_DELAY,
    SENT_FPS,
    SENT_KBPS,
    SENT_LOSS,
    START,
    SYSTEM_CPU,
    TIMING,
    USERS,
    VIDEO_FREEZE,
    changed,
    during,
    fault,
    make_call,
    series_of,
)


@pytest.fixture(scope="module")
def healthy():
    return series_of(make_call())


def test_uplink_loss_is_in_the_senders_uplink_and_at_every_receiver(healthy):
    series = series_of(make_call(), fault("uplink_loss"))
    assert during(series, "11", SENT_LOSS) > 10 + during(healthy, "11", SENT_LOSS)
    for receiver in ("22", "33"):
        assert during(series, receiver, RECEIVED_LOSS, "11") > 10 + during(
            healthy, receiver, RECEIVED_LOSS, "11"
        )
        assert during(series, receiver, RECEIVED_VIDEO_LOSS, "11") > 10 + during(
            healthy, receiver, RECEIVED_VIDEO_LOSS, "11"
        )
        assert during(series, receiver, VIDEO_FREEZE, "11") > during(healthy, receiver, VIDEO_FREEZE, "11")
    assert not any(uid != "11" and peer not in ("11", "0") for uid, _, peer in changed(series, healthy))


def test_downlink_loss_is_at_one_receiver_only(healthy):
    series = series_of(make_call(), fault("downlink_loss"))
    for peer in ("22", "33"):
        assert during(series, "11", RECEIVED_LOSS, peer) > 15 + during(healthy, "11", RECEIVED_LOSS, peer)
    assert {uid for uid, _, _ in changed(series, healthy)} == {"11"}
    assert during(series, "11", SENT_LOSS) == during(healthy, "11", SENT_LOSS)


def test_delay_is_in_the_round_trip_of_one_user(healthy):
    series = series_of(make_call(), fault("high_delay"))
    assert during(series, "11", ROUND_TRIP) > 500 + during(healthy, "11", ROUND_TRIP)
    for uid in ("22", "33"):
        assert during(series, uid, ROUND_TRIP) == during(healthy, uid, ROUND_TRIP)


def test_low_capacity_of_the_uplink_reduces_the_video_without_lasting_loss(healthy):
    call = make_call(key=1002)  # an even key: the uplink
    series, healthy = series_of(call, fault("low_bitrate")), series_of(call)
    assert during(series, "11", SENT_KBPS) < 0.5 * during(healthy, "11", SENT_KBPS)
    assert during(series, "22", RECEIVED_KBPS, "11") < 0.5 * during(healthy, "22", RECEIVED_KBPS, "11")
    assert during(series, "11", SENT_LOSS) < 5
    assert during(series, "11", CAPTURED_FPS) == during(healthy, "11", CAPTURED_FPS)


def test_low_capacity_of_the_downlink_reduces_what_one_user_receives(healthy):
    series = series_of(make_call(), fault("low_bitrate"))  # an odd key: the downlink
    assert during(series, "11", SENT_KBPS) == during(healthy, "11", SENT_KBPS)
    for peer in ("22", "33"):
        low = series.get(("11", LOW_KBPS, peer))
        received = low[1].mean() if low is not None else during(series, "11", RECEIVED_KBPS, peer)
        assert received < 0.5 * during(healthy, "11", RECEIVED_KBPS, peer)
    assert {uid for uid, _, _ in changed(series, healthy)} == {"11"}


def test_cpu_slows_capture_scheduling_and_playback(healthy):
    series = series_of(make_call(), fault("cpu"))
    assert during(series, "11", SYSTEM_CPU) > 90
    assert during(series, "11", SCHEDULING_DELAY) > 80
    assert during(series, "11", SENT_FPS) < 0.7 * during(healthy, "11", SENT_FPS)
    for peer in ("22", "33"):
        assert during(series, "11", VIDEO_FREEZE, peer) > 200 + during(healthy, "11", VIDEO_FREEZE, peer)
    assert during(series, "22", VIDEO_FREEZE, "33") == during(healthy, "22", VIDEO_FREEZE, "33")


def test_a_browser_reports_no_cpu():
    series = series_of(make_call(platform="Web"), fault("cpu"))
    assert not {APP_CPU, SYSTEM_CPU, SCHEDULING_DELAY} & {mid for _, mid, _ in series}
    assert during(series, "11", CAPTURED_FPS) < 0.8 * during(
        series_of(make_call(platform="Web")), "11", CAPTURED_FPS
    )


def test_stopped_capture_leaves_audio_as_it_is(healthy):
    series = series_of(make_call(), fault("capture_stopped"))
    assert during(series, "11", CAPTURED_FPS) == during(series, "11", SENT_FPS) == 0
    for receiver in ("22", "33"):
        assert during(series, receiver, RECEIVED_FPS, "11") == 0
    assert during(series, "11", AUDIO_SENT) == during(healthy, "11", AUDIO_SENT)


def test_silent_microphone_still_sends(healthy):
    series = series_of(make_call(), fault("silent_microphone"))
    assert during(series, "11", CAPTURE_VOLUME) < 2 < during(healthy, "11", CAPTURE_VOLUME)
    assert during(series, "11", AUDIO_SENT) > 2
    for receiver in ("22", "33"):
        assert (
            during(series, receiver, PLAYBACK_VOLUME, "11")
            < 2
            < during(healthy, receiver, PLAYBACK_VOLUME, "11")
        )


@pytest.mark.parametrize("key", [1001, 1002], ids=["keeps its session", "has new sessions"])
def test_reconnects_interrupt_the_samples(key):
    call = make_call(key=key)
    sessions = [each for each in sessions_under(call, [fault("reconnects")]) if each.uid == "11"]
    assert (len(sessions) > 1) == (key % 2 == 0)
    assert len({each.sid for each in sessions}) == len(sessions)
    ts, _ = series_of(call, fault("reconnects"))["11", ROUND_TRIP, "0"]
    gaps = np.flatnonzero(np.diff(ts) > 2 * TIMING.interval + 2)
    assert len(gaps) >= 2
    assert (ts[gaps] >= START - 2 * TIMING.interval).all()
    assert (ts[gaps] <= END).all()


@pytest.mark.parametrize("severity", [0.3, 0.9], ids=["then joins", "gives up"])
def test_failed_attempts_to_join_have_no_samples(severity):
    call = make_call()
    failing = Impairment(
        cause="join_failure", severity=severity, since=BEGIN, until=BEGIN + 30, device_type="device of 11"
    )
    sessions = [each for each in sessions_under(call, [failing]) if each.uid == "11"]
    failed = [each for each in sessions if not each.joined]
    assert failed
    assert all(each.leave_ts - each.join_ts < 10 for each in failed)
    assert [each.joined for each in sessions] == [False] * len(failed) + [True] * (severity < 0.5)
    series = series_of(call, failing)
    assert any(uid == "11" for uid, _, _ in series) == (severity < 0.5)
    if severity < 0.5:
        assert series["11", ROUND_TRIP, "0"][0][0] >= failed[-1].leave_ts


def test_loss_of_a_server_is_in_no_uplink_and_at_all_receivers(healthy):
    series = series_of(make_call(), fault("server_loss", uid=None))
    for receiver in USERS:
        assert during(series, receiver, SENT_LOSS) == during(healthy, receiver, SENT_LOSS)
        for peer in set(USERS) - {receiver}:
            assert during(series, receiver, RECEIVED_LOSS, peer) > 10 + during(
                healthy, receiver, RECEIVED_LOSS, peer
            )


@pytest.mark.parametrize("cause", [cause for cause in IMPAIRMENT_CAUSES if cause != "join_failure"])
def test_an_impairment_changes_nothing_before_it_begins(cause, healthy):
    series = series_of(make_call(), fault(cause, uid=None if cause == "server_loss" else "11"))
    assert changed(series, healthy)
    for key, (ts, value) in healthy.items():
        before = ts < START
        later_ts, later = series[key]
        assert np.array_equal(later[later_ts < START], value[before]), key


@pytest.mark.parametrize(
    ("field", "value"), [("device_type", "device of 22"), ("platform", "iOS"), ("sdk_version", "4.6.0")]
)
def test_an_impairment_acts_on_those_whose_fields_match(field, value, healthy):
    series = series_of(make_call(), fault("high_delay", uid=None, **{field: value}))
    slow = {uid for uid in USERS if during(series, uid, ROUND_TRIP) > 300 + during(healthy, uid, ROUND_TRIP)}
    assert slow == ({"22"} if field == "device_type" else set())


@pytest.mark.parametrize("cause", [cause for cause in IMPAIRMENT_CAUSES if cause != "join_failure"])
def test_a_fault_does_not_depend_on_other_faults(cause):
    """With another cause in the same session, the faulty seconds and their strength are the same."""
    call = make_call()
    other = "cpu" if cause == "reconnects" else "reconnects"
    one = fault(cause, intermittent=True, uid=None if cause == "server_loss" else "11")
    alone, both = CallMedia(call, [one]), CallMedia(call, [fault(other, intermittent=True), one])
    session, sender = call.sessions[:2]
    for name in (
        "uplink_loss",
        "downlink_loss",
        "round_trip",
        "uplink_kbps",
        "downlink_kbps",
        "capture",
        "dead_microphone",
    ):
        assert np.array_equal(
            getattr(alone.conditions(session), name), getattr(both.conditions(session), name)
        ), name
    if cause in ("reconnects", "cpu"):
        name = {"reconnects": "online", "cpu": "system_cpu"}[cause]
        assert np.array_equal(
            getattr(alone.conditions(session), name), getattr(both.conditions(session), name)
        )
    if cause == "server_loss":
        assert np.array_equal(
            alone.received(sender, session).video_loss, both.received(sender, session).video_loss
        )


def test_server_users_are_affected_only_by_their_uid():
    call = make_call()
    server = evolve(call.sessions[0], server=True)
    assert not fault("cpu", uid=None).acts_on(server)
    assert fault("cpu", uid="11").acts_on(server)


@pytest.mark.parametrize("field", ["uid", "device_type", "platform", "sdk_version", "network"])
def test_server_loss_of_single_users_is_refused(field):
    with pytest.raises(ValueError, match="region"):
        fault("server_loss", **{"uid": None, field: "11"})


def test_an_unknown_cause_is_refused():
    with pytest.raises(ValueError, match="cause"):
        fault("gremlins")
