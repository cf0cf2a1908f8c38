"""The detectors of the peers, on hand-made calls and on planted ones."""

import json
import sys

import numpy as np
import pytest

from benchmarks import diagnosis
from benchmarks._diagnosis_figures import NONE, UNKNOWN
from benchmarks._planted_tables import planted_tables
from benchmarks.diagnosis_peers import PEERS, microsoft_cqd, peermetrics, twilio_voice, webrtc_issue_detector
from benchmarks.diagnosis_peers.client_samples import ClientsOfCall, hold, mean_of_polls
from benchmarks.diagnosis_peers.issues import Issue, Rule, read

from .calls import BEGIN, LENGTH, STEP, User, healthy, tables

NAMES = tuple(PEERS)
SAMPLES = LENGTH // STEP
NAN = float("nan")


def burst(value, samples, quiet=0.0, after=10):
    """Return a series with a value in some successive samples."""
    return [value if after <= place < after + samples else quiet for place in range(SAMPLES)]


def issues(module, *users, uid="1"):
    found = {}
    for issue in module.detect(ClientsOfCall(*tables(*users)), uid):
        found[issue.kind] = found.get(issue.kind, 0) + issue.seconds
    return found


def said(name, *users):
    return PEERS[name](*tables(*users), "1")


def changed(**values):
    """Return two users, of whom the first has other values: `_20015=...`, or `_20016=...` of what it receives."""
    own = {(int(mid[1:]), "2" if mid.startswith("r") else "0"): value for mid, value in values.items()}
    return healthy("1", "2", values=own), healthy("2", "1")


# seconds


def test_sample_is_the_value_of_the_seconds_before_it():
    found = hold(np.array([3, 5, 40]), np.array([7.0, NAN, 9.0]), 42)
    assert np.array_equal(found[:6], [NAN, NAN, 7, 7, NAN, NAN], equal_nan=True)
    assert np.flatnonzero(found == 9).tolist() == list(range(21, 41))  # a gap counts as 20 s at most


def test_poll_has_the_mean_of_the_seconds_with_a_value():
    values = np.array([1.0, 3.0, NAN, 5.0, NAN, NAN, 7.0])
    assert np.array_equal(mean_of_polls(values, 2), [2, 5, NAN], equal_nan=True)


def test_sessions_of_a_user_are_one_client():
    first = healthy("1", "2", length=80, sid="A")
    again = healthy("1", "2", begin=BEGIN + 100, length=80, sid="B")
    clients = ClientsOfCall(*tables(first, again, healthy("2", "1")))
    client = clients.client("1")
    assert (client.begin, client.length, list(client.senders)) == (BEGIN, 181, ["2"])
    assert clients.sessions_without_samples("1") == 0


# all peers


@pytest.mark.parametrize("name", NAMES)
def test_healthy_call_has_no_cause(name):
    assert said(name, healthy("1", "2"), healthy("2", "1")).verdict == NONE


@pytest.mark.parametrize("name", NAMES)
def test_user_without_samples_is_unknown(name):
    users = healthy("1", "2"), healthy("2", "1")
    sessions, metrics = tables(*users)
    mine = metrics["sid"].to_numpy(zero_copy_only=False) == "S0"
    assert PEERS[name](sessions, metrics.filter(~mine), "1").verdict == UNKNOWN
    assert PEERS[name](sessions, metrics.slice(0, 0), "1").verdict == UNKNOWN


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("webrtc-issue-detector", {"_20015": 20, "_20017": 20}, ("receiver", "uplink_loss")),
        ("webrtc-issue-detector", {"_20022": 300}, ("receiver", "high_delay")),
        ("webrtc-issue-detector", {"r20016": 20, "r20018": 20}, ("receiver", "downlink_loss")),
        ("webrtc-issue-detector", {"r20009": 0}, ("sender", "capture_stopped")),
        ("Microsoft CQD", {"_20015": 11}, ("receiver", "uplink_loss")),
        ("Microsoft CQD", {"_20022": 501}, ("receiver", "high_delay")),
        ("Microsoft CQD", {"r20016": 11}, ("receiver", "downlink_loss")),
        ("Twilio Voice", {"_20022": 401}, ("receiver", "high_delay")),
        ("Twilio Voice", {"r20016": 15}, ("receiver", "downlink_loss")),
        ("Twilio Voice", {"r20004": 0}, ("sender", "reconnects")),
        ("Twilio Voice", {"_20025": 1}, ("receiver", "silent_microphone")),
        ("peermetrics", {"_20022": 900}, ("receiver", "high_delay")),
    ],
)
def test_cause_of_the_whole_call_is_named(name, values, verdict):
    found = said(name, *changed(**values))
    assert (found.verdict, found.is_poor) == (verdict, True)
    assert found.party == ("1" if verdict[0] == "receiver" else "2")


@pytest.mark.parametrize("name", ["webrtc-issue-detector", "Microsoft CQD"])
def test_loss_that_the_sender_reports_is_the_senders(name):
    receiver = healthy("1", "2", values={(20016, "2"): 20, (20018, "2"): 20})
    sender = healthy("2", "1", values={(20015, "0"): 20, (20017, "0"): 20})
    found = said(name, receiver, sender)
    assert (found.verdict, found.party) == (("sender", "uplink_loss"), "2")


@pytest.mark.parametrize("name", ["webrtc-issue-detector", "Microsoft CQD", "Twilio Voice"])
def test_loss_of_several_receivers_is_the_servers(name):
    users = [
        healthy(uid, peer, values={(20016, peer): 20, (20018, peer): 20})
        for uid, peer in (("1", "2"), ("2", "1"))
    ]
    found = said(name, *users)
    assert (found.verdict, found.party) == (("server", "server_loss"), None)


def test_short_issue_does_not_count_but_is_reported():
    found = said("webrtc-issue-detector", *changed(_20015=burst(40, 3), _20017=burst(40, 3)))
    assert (found.verdict, found.is_poor) == (NONE, True)


def test_first_rule_that_applies_counts():
    rules = (
        Rule(kind="a", about="own", cause="cpu", least=20),
        Rule(kind="b", about="received", cause="downlink_loss"),
    )
    both = {"1": [Issue("a", 20), Issue("b", 100, "2")], "2": []}
    assert read(both, rules, "1").verdict == ("receiver", "cpu")
    assert read({"1": [Issue("a", 19), Issue("b", 100, "2")], "2": []}, rules, "1").verdict == (
        "receiver",
        "downlink_loss",
    )
    other = read({"1": [], "2": [Issue("a", 50)]}, rules, "1")
    assert (other.verdict, other.party, other.is_poor) == (("sender", "cpu"), "2", False)


# webrtc-issue-detector


def test_loss_is_rounded_and_weighted_by_packets():
    """In the tool, 5.4 % is 5 % and no issue. Video has more packets than audio."""
    kind = webrtc_issue_detector.OUTBOUND
    assert kind not in issues(webrtc_issue_detector, *changed(_20015=5.4, _20017=5.4))
    assert issues(webrtc_issue_detector, *changed(_20015=5.6, _20017=5.6))[kind] == 5 * (LENGTH // 5 - 1)
    assert kind not in issues(webrtc_issue_detector, *changed(_20015=12, _20017=0))
    assert kind in issues(webrtc_issue_detector, *changed(_20015=0, _20017=12))


def test_long_round_trip_with_loss_is_no_server_issue():
    assert issues(webrtc_issue_detector, *changed(_20022=250)).keys() == {"server-issue"}
    found = issues(webrtc_issue_detector, *changed(_20022=250, r20016=20, r20018=20))
    assert found.keys() == {"inbound-network-quality"}


def test_frozen_video_is_reported_unless_the_network_is_bad():
    frozen = {"r20011": burst(2000, 10)}
    assert issues(webrtc_issue_detector, *changed(**frozen))["frozen-video-track"] >= 20
    bad = frozen | {"r20016": 40, "r20018": 40}
    assert "frozen-video-track" not in issues(webrtc_issue_detector, *changed(**bad))
    assert "frozen-video-track" not in issues(webrtc_issue_detector, *changed(r20011=burst(1000, 10)))


def test_volatile_frame_rate_is_a_busy_decoder():
    varying = [15 if place % 6 < 3 else 11 for place in range(SAMPLES)]
    assert "decoder-cpu-throttling" in issues(webrtc_issue_detector, *changed(r20010=varying))
    assert "decoder-cpu-throttling" not in issues(
        webrtc_issue_detector, *changed(r20010=[15, 14] * (SAMPLES // 2))
    )
    resized = {"r20010": varying, "r20019": [640, 640, 640, 320, 320, 320] * 8}
    assert "decoder-cpu-throttling" not in issues(webrtc_issue_detector, *changed(**resized))


def test_stream_is_missing_after_two_polls_without_bytes():
    assert webrtc_issue_detector.missing_polls(np.array([9.0, 0, 9, 0, 0, 0, 9])) == 2
    assert webrtc_issue_detector.missing_polls(np.array([0.0, NAN, 0])) == 0


def test_score_of_webrtc_issue_detector():
    """Its score at a round trip of 600 ms without loss is 2.27."""
    found = webrtc_issue_detector.inbound_mos(np.array([50.0, 600.0]), np.array([5.0, 0.0]))
    assert found.round(2).tolist() == [3.99, 2.27]


# Microsoft CQD


def test_cqd_judges_the_average_of_a_stream():
    assert issues(microsoft_cqd, *changed(_20015=burst(40, 10))) == {}
    assert issues(microsoft_cqd, *changed(_20015=burst(90, 10))).keys() == {"sent: packet loss"}


def test_cqd_does_not_judge_streams_of_500_packets():
    assert issues(microsoft_cqd, *changed(_20015=[50.0, 50.0])) == {}
    assert issues(microsoft_cqd, *changed(_20015=[50.0, 50.0, 50.0])).keys() == {"sent: packet loss"}


def test_cqd_judges_video_by_its_frame_rate():
    assert issues(microsoft_cqd, *changed(r20010=6.5)).keys() == {"received: video frame rate"}
    assert said("Microsoft CQD", *changed(r20010=6.5)).verdict == NONE


# Twilio


def test_three_of_five_seconds_raise_a_warning():
    beyond = np.array([0, 1, 0, 1, 0, 1, 0, 0, 0, 0], bool)
    known = np.ones(10, bool)
    assert twilio_voice.raised(beyond, known, 5, 3) == 1
    known[3] = False
    assert twilio_voice.raised(beyond, known, 5, 3) == 0


def test_mean_loss_of_seven_seconds_raises_a_warning():
    assert "high-packet-loss" in issues(twilio_voice, *changed(r20016=burst(6, 1)))
    assert "high-packet-loss" not in issues(twilio_voice, *changed(r20016=burst(5, 1)))


def test_levels_of_audio_are_constant_over_ten_samples():
    assert twilio_voice.constant_levels(np.array([5.0] * 9)) == 0
    assert twilio_voice.constant_levels(np.array([5.0] * 11)) == 16
    assert twilio_voice.constant_levels(np.array([5.0, 15.0] * 10)) == 0


def test_score_of_twilio():
    found = twilio_voice.voice_mos(np.array([50.0, 600.0, 50.0, NAN]), np.array([0.0, 0.0, 20.0, 0.0]))
    assert found.round(2)[:3].tolist() == [4.41, 2.35, 2.23]
    assert np.isnan(found[3])


# peermetrics


def test_loss_hardly_lowers_the_score_of_peermetrics():
    """The share of lost packets is added to a constant in percent."""
    loss, speech = np.array([0.0, 0.2, 0.0]), np.array([48.0, 48.0, 48.0])
    found = peermetrics.emos(loss, np.array([60.0, 60.0, 900.0]), speech)
    assert found.tolist() == [4.41, 4.37, 2.5]


def test_low_score_must_last_for_30_seconds():
    assert issues(peermetrics, *changed(_20022=burst(900, 5, quiet=60))) == {}
    assert issues(peermetrics, *changed(_20022=burst(900, 12, quiet=60))).keys() == {"very_low_emos"}


def test_third_session_is_a_reconnect_and_two_failed_sessions_are_a_failed_join():
    parts = [healthy("1", "2", begin=BEGIN + 70 * n, length=60, sid=f"A{n}") for n in range(3)]
    assert said("peermetrics", *parts, healthy("2", "1")).verdict == ("receiver", "reconnects")
    assert said("peermetrics", *parts[:2], healthy("2", "1")).verdict == NONE
    failed = [User(uid="1", begin=BEGIN + 10 * n, length=5, sid=f"F{n}") for n in range(2)]
    assert said("peermetrics", *failed, healthy("2", "1")).verdict == ("receiver", "join_failure")


# planted calls


@pytest.fixture(scope="module")
def planted():
    return list(planted_tables(range(8)))


@pytest.mark.parametrize("name", NAMES)
def test_peers_answer_planted_calls_with_missing_data(name, planted):
    for call in planted:
        for each in (call, call.without_samples(0.3), call.without_metrics(12), call.without_metrics(1000)):
            found = PEERS[name](each.sessions, each.metrics, call.planted.uid)
            assert found.verdict[0] in ("sender", "receiver", "server", "none", "unknown")
            assert (found.party is None) == (found.verdict[0] in ("server", "none", "unknown"))


def test_planted_delays_and_losses_are_found():
    """The causes that webrtc-issue-detector has an issue for."""
    planted = list(planted_tables([35, 37, 44, 48, 123]))
    found = [
        PEERS["webrtc-issue-detector"](each.sessions, each.metrics, each.planted.uid) for each in planted
    ]
    assert [(*each.verdict, each.party) for each in found] == [each.planted.answer for each in planted]
    assert {each.planted.answer[1] for each in planted} == {"uplink_loss", "downlink_loss", "high_delay"}


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["diagnosis", *arguments])
    diagnosis.main()
    return capsys.readouterr().out


def test_program_prints_a_table_for_each_variant_and_classifier(monkeypatch, capsys):
    text = run(
        monkeypatch, capsys, "--calls", "4", "--drop", "0.01", "--missing", "3", "--only", "peermetrics"
    )
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## All samples", "## 1.0% of the samples lost", "## 3 metric ids missing", "## Confusion table of peermetrics",
    ]  # fmt: skip


def test_program_prints_json(monkeypatch, capsys):
    found = json.loads(run(monkeypatch, capsys, "--calls", "3", "--only", "Microsoft CQD", "--json"))
    assert [(each["samples"], each["classifier"]) for each in found] == [("all samples", "Microsoft CQD")]
    assert sum(each["calls"] for each in found[0]["confusion"]) <= 3


def test_program_lists_wrong_answers(monkeypatch, capsys):
    lines = run(monkeypatch, capsys, "--calls", "6", "--only", "Microsoft CQD", "--wrong").splitlines()
    assert all(line.startswith("all samples; Microsoft CQD; ") for line in lines)


@pytest.mark.parametrize("arguments", [("--wrong",), ("--calls", "10"), ("--first", "1")])
def test_held_out_calls_are_used_all_at_once_or_not_at_all(monkeypatch, capsys, arguments):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "--held-out", *arguments)
    assert "--held-out is for all of its calls" in capsys.readouterr().err


def test_unknown_classifier_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "--only", "nobody")
    assert "no classifier nobody" in capsys.readouterr().err
