"""The event that an alert fires or is resolved, with its text and the body of its webhook."""

import json
from hashlib import sha256
from typing import Any, Literal

from attrs import frozen

from agora_analytics.alerts.rules import AlertRule, AlertSource, with_unit
from agora_analytics.core.record import Record
from agora_analytics.instants import iso


@frozen(kw_only=True)
class AlertEvent(Record):
    """An alert fires, or is resolved.

    Attributes:
        status: `firing` or `resolved`.
        rule: the rule.
        group: the value of the rule's `by`; None without `by`.
        since: when the condition began to hold, UTC epoch seconds.
        at: the end of the window that decided, UTC epoch seconds.
        until: for `resolved`, when the condition ceased to hold.
        value: the value of that window; None without one.
        worst: the worst value since `since`; None if it is not known.
        users: the number of users in that window; None if it is not known.
        reason: why it was resolved, if not by a value: no data, or a changed rule.
        is_silenced: the event is not delivered, because of a silence.

    Example:
        >>> rule = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05, duration=120, by="country")
        >>> event = AlertEvent(status="firing", rule=rule, group="India", since=0, at=120, value=0.2, worst=0.3)
        >>> print(event)
        freezes (India): video_freeze_rate > 5 % since 1970-01-01T00:00:00Z, now 20 %, worst 30 %
    """

    status: Literal["firing", "resolved"]
    rule: AlertRule
    group: str | None = None
    since: float
    at: float
    until: float | None = None
    value: float | None
    worst: float | None
    users: int | None = None
    reason: str = ""
    is_silenced: bool = False

    def __str__(self) -> str:
        unit = self.rule.unit
        name = self.rule.name if self.group is None else f"{self.rule.name} ({self.group})"
        worst = "" if self.worst is None else f", worst {with_unit(self.worst, unit)}"
        if self.status == "firing":
            now = "" if self.value is None else f", now {with_unit(self.value, unit)}"
            return f"{name}: {self.rule.condition} since {iso(self.since)}{now}{worst}"
        reason = f" ({self.reason})" if self.reason else ""
        span = f"{iso(self.since)} to {iso(self.at if self.until is None else self.until)}"
        return f"{name}: resolved{reason}; {self.rule.condition} from {span}{worst}"

    def payload(self, source: AlertSource) -> dict[str, Any]:
        """Return the body of the webhook as JSON values: `type`, `timestamp`, `text` for people, and `data`."""
        rule = self.rule
        parts = json.dumps([source, rule.name, self.group, self.since])
        return {
            "type": f"alert.{self.status}",
            "timestamp": iso(self.at),
            "text": str(self),
            "data": {
                "incident": sha256(parts.encode()).hexdigest()[:32],
                "source": source,
                "alert": rule.name,
                "status": self.status,
                "metric": rule.metric,
                "unit": rule.unit,
                "condition": {"above": rule.above, "below": rule.below, "for_seconds": rule.duration},
                "by": rule.by,
                "group": self.group,
                "since": iso(self.since),
                "at": iso(self.at),
                "until": None if self.until is None else iso(self.until),
                "value": self.value,
                "worst": self.worst,
                "users": self.users,
                "reason": self.reason,
            },
        }
