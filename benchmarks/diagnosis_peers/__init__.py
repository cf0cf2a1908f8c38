"""Peers of the diagnosis: the detectors of other tools, applied to Agora's samples.

Each is a function of the tables `sessions` and `metrics` of a call and of the uid who complains.
"""

from benchmarks.diagnosis_peers import microsoft_cqd, peermetrics, twilio_voice, webrtc_issue_detector

PEERS = {
    "webrtc-issue-detector": webrtc_issue_detector.classify,
    "Microsoft CQD": microsoft_cqd.classify,
    "Twilio Voice": twilio_voice.classify,
    "peermetrics": peermetrics.classify,
}
