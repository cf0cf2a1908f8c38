"""Issues that a tool reports for single clients, and what somebody who has all of them would answer.

The tools name neither a side nor, mostly, a cause. They are read as favourably as their words allow: by somebody who has the
issues of the complaining user's client and of all clients that the user receives media from, and who knows which issues are
telling. The order of the rules of a tool, and how long an issue must last to count, were searched for with 1,200 calls of
`TUNING_SEEDS`; docs/diagnosis-accuracy.md says what the search maximized, and what else was tried.

1. The first rule that applies to an issue of the user's client counts.
2. An issue about what a client sends, or about its device or connection, is its own: the side is `receiver`.
3. An issue about what the user receives is the sender's, if the sender's client reports an issue of its own. If no sender
   does and another client has the same issue, it is the servers'. Otherwise it is what the rule says.
4. If the user's client reports nothing, what the senders' clients report about themselves counts.
5. Without issues the answer is `none`, or `unknown` if the user's client reported no sample. None of the tools says that.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        seconds: how long it lasts; the number of reports times the interval between polls.
        sender: the user whose stream it is about; None for all that a client receives, and for what it sends.
    """

    kind: str
    seconds: float
    sender: str | None = None


@frozen(kw_only=True)
class Rule:
    """What an issue of a client means.

    Attributes:
        kind: the tool's name of the issue.
        about: `own`: what the client sends, its device or its connection; `received`: what it receives.
        cause: the cause.
        side: whose fault an issue about received media is, if nothing else tells.
        least: the seconds that it must last to count.
    """

    kind: str
    about: Literal["own", "received"]
    cause: str
    side: Literal["receiver", "sender"] = "receiver"
    least: float = 0

    def applies(self, issue: Issue) -> bool:
        return issue.kind == self.kind and issue.seconds >= self.least


Detector = Callable[[ClientsOfCall, str], Sequence[Issue]]
"""Returns the issues that a tool reports for the client of a user."""


def peer(detect: Detector, rules: Sequence[Rule]) -> Callable[[pa.Table, pa.Table, str], Said]:
    """Return a classifier of calls from the tables `sessions` and `metrics` and the uid who complains."""

    def classify(sessions: pa.Table, metrics: pa.Table, uid: str) -> Said:
        clients = ClientsOfCall(sessions, metrics)
        client = clients.client(uid)
        said = read({each: detect(clients, each) for each in (uid, *client.senders)}, rules, uid)
        return said if client.has_samples or said.verdict != NONE else Said(UNKNOWN)

    return classify


def read(issues: Mapping[str, Sequence[Issue]], rules: Sequence[Rule], uid: str) -> Said:
    """Return what the issues of some clients say about the call of one user. Keys are uids."""
    own = {sender: found for sender in issues if sender != uid and (found := _own(issues[sender], rules))}
    for rule in rules:
        applying = [issue for issue in issues[uid] if rule.applies(issue)]
        if not applying:
            continue
        issue = max(applying, key=lambda each: each.seconds)
        if rule.about == "own":
            return Said(("receiver", rule.cause), uid, is_poor=True)
        return _of_received(rule, issue, issues, own, uid)
    for sender, (_, cause) in sorted(own.items(), key=lambda item: -item[1][0]):
        return Said(("sender", cause), sender, is_poor=bool(issues[uid]))
    return Said(NONE, is_poor=bool(issues[uid]))


def _own(issues: Iterable[Issue], rules: Iterable[Rule]) -> tuple[float, str] | None:
    """Return how long the most telling issue lasts that a client reports about itself, and its cause."""
    found: Iterator[tuple[float, str]] = (
        (issue.seconds, rule.cause)
        for rule in rules
        if rule.about == "own"
        for issue in issues
        if rule.applies(issue)
    )
    return next(found, None)


def _of_received(
    rule: Rule,
    issue: Issue,
    issues: Mapping[str, Sequence[Issue]],
    own: Mapping[str, tuple[float, str]],
    uid: str,
) -> Said:
    at_fault = Counter({each: own[each][0] for each in own if issue.sender in (None, each)})
    if at_fault:
        sender = at_fault.most_common(1)[0][0]
        return Said(("sender", own[sender][1]), sender, is_poor=True)
    others = [other for each, found in issues.items() if each != uid for other in found]
    if rule.cause == "downlink_loss" and any(rule.applies(other) for other in others):
        return Said(("server", "server_loss"), is_poor=True)
    if rule.side == "sender" and issue.sender:
        return Said(("sender", rule.cause), issue.sender, is_poor=True)
    return Said(("receiver", rule.cause), uid, is_poor=True)
