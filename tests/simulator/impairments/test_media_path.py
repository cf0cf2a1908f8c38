"""What links and servers carry, and what sessions report of it."""

import numpy as np
import pytest
from attrs import evolve

from agora_analytics.simulator import Impairment
from agora_analytics.simulator.impairments.experience import poor_seconds
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.rejoins import sessions_under
from agora_analytics.simulator.impairments.reports import reported
from tests.simulator.impairments.harness import (
    AUDIO_FREEZE,
    BEGIN,
    END,
    RECEIVED_VIDEO_LOSS,
    START,
    TIMING,
    changed,
    during,
    fault,
    make_call,
    series_of,
    two_party,
)


@pytest.fixture(scope="module")
def healthy():
    return series_of(make_call())


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


@pytest.mark.parametrize("cause", ["server_loss", "downlink_loss"])
def test_receivers_get_less_if_packets_are_lost(cause):
    """Congestion control reacts to all losses, so that it does not show where they are."""
    call = make_call()
    media = CallMedia(call, [fault(cause, uid=None if cause == "server_loss" else "11")])
    receiver, sender = call.sessions[:2]
    received, late = media.received(receiver, sender), slice(START - BEGIN + 60, END - BEGIN)
    arrived = media.sent(sender).video_kbps * (1 - received.video_loss)
    assert received.video_kbps[late].mean() < 0.7 * arrived[late].mean()


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
