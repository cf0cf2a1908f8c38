"""Each impairment has its symptoms in the metrics of those who have them, and changes nothing else."""

import numpy as np
import pytest
from attrs import evolve

from agora_analytics.simulator import (
    IMPAIRMENT_CAUSES,
    CallTruth,
    Impairment,
    Peer,
    SampleTiming,
    SessionTruth,
)
from agora_analytics.simulator.impairments.experience import poor_seconds
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.rejoins import sessions_under
from agora_analytics.simulator.impairments.reports import reported

BEGIN, LENGTH = 1_795_000_000, 600
START, END = BEGIN + 200, BEGIN + 400
TIMING = SampleTiming(gap_share=0, null_share=0, max_series=100)
USERS = ("11", "22", "33")
APP_CPU, SYSTEM_CPU, SCHEDULING_DELAY, ROUND_TRIP = 20001, 20002, 20021, 20022
SENT_LOSS, RECEIVED_LOSS = 20015, 20016  # of audio, which is sent also if no video fits
SENT_VIDEO_LOSS, RECEIVED_VIDEO_LOSS = 20017, 20018
CAPTURED_FPS, SENT_FPS, RECEIVED_FPS, SENT_KBPS, RECEIVED_KBPS = 20007, 20008, 20010, 20024, 20009
LOW_KBPS, CAPTURE_VOLUME, PLAYBACK_VOLUME, AUDIO_SENT = 20030, 20025, 20026, 20003
AUDIO_FREEZE, VIDEO_FREEZE = 20005, 20011


def make_call(*, key=1001, platform="Windows"):
    """Return a call of three users who see and hear each other."""
    everybody = [Peer(uid=uid, uid_is_number=True, join_ts=BEGIN, leave_ts=BEGIN + LENGTH) for uid in USERS]
    sessions = tuple(
        SessionTruth(
            sid=f"S{uid}",
            uid=uid,
            join_ts=BEGIN,
            leave_ts=BEGIN + LENGTH,
            platform=platform,
            device_type=f"device of {uid}",
            peers=tuple(peer for peer in everybody if peer.uid != uid),
            key=key + 2 * number,
        )
        for number, uid in enumerate(USERS)
    )
    return CallTruth(
        call_id="c", cname="room", created_ts=BEGIN, destroyed_ts=BEGIN + LENGTH, sessions=sessions
    )


def fault(cause, severity=0.8, **more):
    return Impairment(cause=cause, severity=severity, since=START, until=END, **{"uid": "11"} | more)


def series_of(call, *impairments):
    """Return all series by uid, metric id and peer. The series of a user's sessions are joined."""
    sessions = sessions_under(call, impairments)
    media = CallMedia(
        CallTruth(
            call_id=call.call_id,
            cname=call.cname,
            created_ts=call.created_ts,
            destroyed_ts=call.destroyed_ts,
            sessions=sessions,
        ),
        impairments,
    )
    found = {}
    points = reported(media, TIMING)
    for session in sessions:
        for series in points[session.sid]:
            ts, value = found.get((session.uid, series.mid, series.peer_uid), ([], []))
            found[session.uid, series.mid, series.peer_uid] = (
                [*ts, *series.ts.tolist()],
                [*value, *series.value.tolist()],
            )
    return {key: (np.array(ts), np.array(value)) for key, (ts, value) in found.items()}


def during(series, uid, mid, peer="0"):
    """Return the mean of a metric while the fault acts."""
    ts, value = series[uid, mid, peer]
    found = value[(ts > START + 20) & (ts < END - 5)]
    assert len(found), f"no values of {mid}"
    return found.mean()


@pytest.fixture(scope="module")
def healthy():
    return series_of(make_call())


def changed(series, healthy):
    """Return which series differ from those of the same call without an impairment: (uid, metric id, peer)."""
    return {
        key
        for key in series.keys() | healthy.keys()
        if key not in series or key not in healthy or not np.array_equal(series[key][1], healthy[key][1])
    }


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


def test_a_browser_reports_the_losses_of_webrtc(healthy):
    native, web = {20015, 20017, 20018}, {20036, 20037, 20038}
    assert {mid for _, mid, _ in healthy} & (native | web) == native
    series = series_of(make_call(platform="Web"), fault("uplink_loss"))
    assert {mid for _, mid, _ in series} & (native | web) == web
    assert during(series, "11", 20038) > 10
    assert during(series, "22", 20036, "11") < 2 < during(series, "22", 20016, "11")


def test_reports_count_packets(healthy):
    """Streams on one link lose the same share of packets, and their reports still differ."""
    audio, video = healthy["11", 20015, "0"], healthy["11", 20017, "0"]
    _, one, other = np.intersect1d(audio[0], video[0], return_indices=True)
    assert np.mean(audio[1][one] == video[1][other]) < 0.9
    ones, others = healthy["11", RECEIVED_VIDEO_LOSS, "22"], healthy["11", RECEIVED_VIDEO_LOSS, "33"]
    _, one, other = np.intersect1d(ones[0], others[0], return_indices=True)
    assert np.mean(ones[1][one] == others[1][other]) < 0.9


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


@pytest.mark.parametrize("cause", ["server_loss", "downlink_loss"])
def test_receivers_get_less_if_packets_are_lost(cause):
    """Congestion control reacts to all losses, so that it does not show where they are."""
    call = make_call()
    media = CallMedia(call, [fault(cause, uid=None if cause == "server_loss" else "11")])
    receiver, sender = call.sessions[:2]
    received, late = media.received(receiver, sender), slice(START - BEGIN + 60, END - BEGIN)
    arrived = media.sent(sender).video_kbps * (1 - received.video_loss)
    assert received.video_kbps[late].mean() < 0.7 * arrived[late].mean()


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


def test_a_receiver_gets_one_stream_of_a_user_at_a_time():
    """A uid that is used twice at the same time has the stream of the longer stay, as have its earlier devices."""
    call = make_call()
    one, peer = call.sessions[:2]
    first = evolve(peer, sid="first", leave_ts=BEGIN + 200)
    again = evolve(peer, sid="again", join_ts=BEGIN + 250, key=5)
    twice = evolve(peer, sid="twice", join_ts=BEGIN + 300, leave_ts=BEGIN + 400, key=7)
    media = CallMedia(evolve(call, sessions=(one, first, again, twice)), [])
    assert {each.sid for each in media.senders(one, "22")} == {"first", "again"}
    ts = [
        series.ts
        for series in reported(media, TIMING)[one.sid]
        if (series.mid, series.peer_uid) == (20004, "22")
    ]
    assert len(ts) == 1
    assert (np.diff(ts[0]) > 0).all()
    assert ts[0][0] < BEGIN + 50 < BEGIN + 550 < ts[0][-1]


def test_each_of_many_sessions_has_its_points():
    call, end = two_party(1002), BEGIN + 4 * 3600
    call = evolve(
        call, destroyed_ts=end, sessions=tuple(evolve(each, leave_ts=end) for each in call.sessions)
    )
    bad = Impairment(cause="reconnects", severity=0.9, since=BEGIN, until=end)
    sessions = sessions_under(call, [bad])
    assert len(sessions) > 200
    points = reported(CallMedia(evolve(call, sessions=sessions), [bad]), TIMING)
    for session in sessions:
        assert len(points[session.sid]) > 10
        for series in points[session.sid]:
            assert session.join_ts <= series.ts.min() <= series.ts.max() <= session.leave_ts


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


def two_party(key):
    """Return a call of two users. The key decides whether they send a stream of low quality."""
    call = make_call(key=key)
    sessions = tuple(
        SessionTruth(
            sid=each.sid, uid=each.uid, join_ts=each.join_ts, leave_ts=each.leave_ts, platform=each.platform,
            device_type=each.device_type, key=each.key, peers=tuple(peer for peer in each.peers if peer.uid != "33"),
        )
        for each in call.sessions[:2]
    )  # fmt: skip
    return CallTruth(
        call_id="c", cname="room", created_ts=BEGIN, destroyed_ts=BEGIN + LENGTH, sessions=sessions
    )


@pytest.mark.parametrize("users", [2, 3])
@pytest.mark.parametrize("key", range(1001, 1021, 2))
def test_a_narrow_downlink_carries_no_more_than_its_capacity(users, key):
    call = make_call(key=key) if users == 3 else two_party(key)
    media = CallMedia(call, [fault("low_bitrate")])
    receiver, *senders = call.sessions
    received = [media.received(receiver, sender) for sender in senders]
    total = sum(each.audio_kbps + each.video_kbps for each in received)
    capacity = media.conditions(receiver).downlink_kbps
    assert (total <= 1.01 * capacity).all()
    narrow = slice(START - BEGIN + 20, END - BEGIN)
    assert np.median(received[0].video_loss[narrow]) < 0.1


def test_a_sender_with_one_receiver_follows_the_receivers_downlink():
    """Without a stream of low quality, the server cannot send less than the sender does."""
    followed = []
    for key in range(1001, 1041, 2):
        call = two_party(key)
        media = CallMedia(call, [fault("low_bitrate")])
        sender = call.sessions[1]
        narrow = slice(START - BEGIN + 20, END - BEGIN)
        is_less = (
            media.sent(sender).video_kbps[narrow].mean()
            < 0.7 * media.sent_freely(sender).video_kbps[narrow].mean()
        )
        assert is_less <= (not media.conditions(sender).two_streams)
        followed.append(is_less)
    assert any(followed)


def test_a_narrow_link_delays_little_when_it_begins():
    call = make_call(key=1002)
    media = CallMedia(call, [fault("low_bitrate", 1.0)])
    link = media.sent(call.sessions[0]).link
    assert link.queue.max() < 500
    assert link.loss[START - BEGIN : START - BEGIN + 30].max() < 0.3


def test_audio_alone_fits_into_a_narrow_link():
    call = make_call(key=1002)
    audio = tuple(evolve(each, video=False) for each in call.sessions)
    media = CallMedia(evolve(call, sessions=audio), [fault("low_bitrate", 0.9)])
    assert poor_seconds(media, "11").sum() < 15


def test_a_sender_reports_the_stream_of_low_quality():
    reporting = set()
    for key in range(1001, 1011):
        series = series_of(make_call(key=key))
        low = {mid for uid, mid, peer in series if uid == "11" and mid in (20006, 20023, 20034, 20035)}
        assert low in (set(), {20006, 20023, 20034, 20035})
        reporting.add(bool(low))
    assert reporting == {True, False}


def test_a_receiver_who_was_offline_reports_the_time_as_frozen(healthy):
    series = series_of(make_call(), fault("reconnects"))
    ts, value = series["11", AUDIO_FREEZE, "22"]
    offline = np.flatnonzero(np.diff(ts) > 2 * TIMING.interval + 2) + 1
    offline = offline[(ts[offline] > START) & (ts[offline] < END)]
    assert (value[offline] > 500).any()
    assert not any(uid == "22" and peer == "33" for uid, _, peer in changed(series, healthy))
