"""A small call for the tests of impairments, one fault in it, and its series by user."""

import numpy as np

from agora_analytics.simulator import CallTruth, Impairment, Peer, SampleTiming, SessionTruth
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


def changed(series, healthy):
    """Return which series differ from those of the same call without an impairment: (uid, metric id, peer)."""
    return {
        key
        for key in series.keys() | healthy.keys()
        if key not in series or key not in healthy or not np.array_equal(series[key][1], healthy[key][1])
    }
