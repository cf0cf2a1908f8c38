"""Issues that a tool reports for single clients, and what somebody who reads all of them would answer.

The tools name neither a side nor, mostly, a cause. The reading is as favourable for them as their words allow:

1. An issue of the complaining user's own client about what the user sends, or about the device, is the user's: `receiver`.
2. An issue about what the user receives is the sender's, if the sender's client reports an issue of its own. Otherwise it
   is read as the mapping of the tool says.
3. If the user's client reports nothing, the issues that the senders' clients report about themselves count.
4. Of several answers, the one whose issues last longest counts.
5. Without issues the answer is `none`. Without samples of the user it is `unknown`, which none of the tools says.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import pyarrow as pa
from attrs import frozen

from benchmarks._diagnosis_figures import NONE, UNKNOWN, Said
from benchmarks.diagnosis_peers.client_samples import ClientsOfCall


@frozen
class Issue:
    """An issue that a tool reports.

    Attributes:
        kind: the tool's name of the issue.
        seconds: how long it lasts, or how often it is reported times the interval.
        sender: the user whose stream it is about; None for all that a client receives, and for what it sends.
    """

    kind: str
    seconds: float
    sender: str | None = None


@frozen
class Reading:
    """What the issues of a tool mean.

    Attributes:
        own: the cause, by kind of issue about what a client sends or about its device and connection.
        received: whose fault it is and the cause, by kind of issue about what a client receives.
    """

    own: Mapping[str, str]
    received: Mapping[str, tuple[Literal["sender", "receiver"], str]]


Detector = Callable[[ClientsOfCall, str], Sequence[Issue]]
"""Returns the issues that a tool reports for the client of a user."""


def answer(detect: Detector, reading: Reading, clients: ClientsOfCall, uid: str) -> Said:
    """Return what a tool's issues say about the call of a user."""
    if not clients.client(uid).has_samples:
        return Said(UNKNOWN)
    issues = list(detect(clients, uid))
    votes: Counter[tuple[str, str, str]] = Counter()
    own_issues = {sender: _own(detect, reading, clients, sender) for sender in clients.client(uid).senders}
    for issue in issues:
        if issue.kind in reading.own:
            votes["receiver", reading.own[issue.kind], uid] += issue.seconds
        else:
            votes[_of_received(issue, reading, own_issues, uid)] += issue.seconds
    if not votes:
        for sender, own in own_issues.items():
            for cause, seconds in own.items():
                votes["sender", cause, sender] += seconds
    if not votes:
        return Said(NONE)
    ((side, cause, party), _) = votes.most_common(1)[0]
    return Said((side, cause), party, is_poor=bool(issues))


def _own(detect: Detector, reading: Reading, clients: ClientsOfCall, uid: str) -> Counter[str]:
    """Return the seconds of the issues that a client reports about itself, by cause."""
    causes: Counter[str] = Counter()
    for issue in detect(clients, uid):
        if issue.kind in reading.own:
            causes[reading.own[issue.kind]] += issue.seconds
    return causes


def _of_received(
    issue: Issue, reading: Reading, own_issues: Mapping[str, Counter[str]], uid: str
) -> tuple[str, str, str]:
    blamed = [
        (seconds, cause, sender)
        for sender, own in own_issues.items()
        if issue.sender in (None, sender)
        for cause, seconds in own.items()
    ]
    if blamed:
        _, cause, sender = max(blamed)
        return "sender", cause, sender
    side, cause = reading.received[issue.kind]
    return (side, cause, issue.sender) if side == "sender" and issue.sender else ("receiver", cause, uid)


def peer(detect: Detector, reading: Reading) -> Callable[[pa.Table, pa.Table, str], Said]:
    """Return a classifier of calls from the tables `sessions` and `metrics` and the uid who complains."""
    return lambda sessions, metrics, uid: answer(detect, reading, ClientsOfCall.of(sessions, metrics), uid)
