"""The state of an alert: when a condition fires and is resolved. Pure functions of a state and a value."""

from collections.abc import Collection
from typing import Literal

from attrs import evolve, frozen

from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.rules import AlertRule, Silence

NO_DATA_AFTER = 300.0
"""Seconds without a value after which an alert is resolved or forgotten, or the rule's `duration` if that is longer."""


@frozen(kw_only=True)
class AlertValue:
    """The value of a rule's metric in one window.

    Attributes:
        start, end: the window in epoch seconds, the end excluded.
        group: the value of the rule's `by`; None without `by`.
        value: None if nothing was measured or the value could not be fetched.
        users: the number of users; None if it is not known.
    """

    start: float
    end: float
    group: str | None = None
    value: float | None
    users: int | None = None


@frozen(kw_only=True)
class AlertState:
    """What is known about one rule and group after a window. All times are the ends or beginnings of windows.

    Attributes:
        phase: `pending`: the condition holds, but not for long enough.
        since: the beginning of the first window of this phase in which the condition held.
        ok_since: while firing, the beginning of the first window since which the condition does not hold.
        value_end: the end of the last window with a value.
        end: the end of the last window.
        worst: the worst value since `since`; None if it is not known.
        is_reported: whether an event `firing` was returned, which was not silenced.
        reported_at: the time of the last such event, also of an earlier alert.
    """

    phase: Literal["ok", "pending", "firing"] = "ok"
    since: float = 0.0
    ok_since: float | None = None
    value_end: float = 0.0
    end: float = 0.0
    worst: float | None = None
    is_reported: bool = False
    reported_at: float | None = None


def evaluate(
    rule: AlertRule, state: AlertState, value: AlertValue, silences: Collection[Silence] = ()
) -> tuple[AlertState, list[AlertEvent]]:
    """Return the state after a window, and the events of it.

    A window that was evaluated before changes nothing, so windows may be passed again. A window without a value, or with
    fewer users than `min_users`, neither confirms nor ends the condition. An event that a silence covers is returned with
    `is_silenced`; if the alert still fires when the silence ends, another event follows.

    Args:
        rule: the rule.
        state: the state after the previous window of the same rule and group.
        value: the next window.
        silences: times in which alerts do not fire.

    Example:
        >>> rule = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05)
        >>> state, (event,) = evaluate(rule, AlertState(), AlertValue(start=0, end=20, value=0.2))
        >>> event.status, event.since, state.phase
        ('firing', 0, 'firing')
    """
    if value.end <= state.end:
        return state, []
    state, events = expire(rule, state, value.start, group=value.group)
    state = evolve(state, end=value.end)
    few = rule.min_users > 1 and (value.users or 0) < rule.min_users  # also if the number is not known
    if value.value is None or few:
        return state, events
    state = evolve(state, value_end=value.end)
    if rule.holds(value.value):
        state, more = _holds(rule, state, value, value.value, silences)
    else:
        state, more = _ended(rule, state, value, value.value)
    return state, [*events, *more]


def expire(
    rule: AlertRule, state: AlertState, time: float, *, group: str | None
) -> tuple[AlertState, list[AlertEvent]]:
    """Return the state at a time up to which windows are known, and an event if the alert is resolved by a lack of values."""
    if state.phase == "ok" or time - state.value_end < max(NO_DATA_AFTER, rule.duration):
        return state, []
    return _closed(
        rule, state, group, at=time, until=state.value_end, reason="no data", value=None, users=None
    )


def closed_early(
    rule: AlertRule, state: AlertState, *, group: str | None, at: float, reason: str
) -> list[AlertEvent]:
    """Return the event that resolves an alert for another reason than a value; none if it does not fire."""
    return _closed(rule, state, group, at=at, until=at, reason=reason, value=None, users=None)[1]


def _holds(
    rule: AlertRule, state: AlertState, value: AlertValue, number: float, silences: Collection[Silence]
) -> tuple[AlertState, list[AlertEvent]]:
    if state.phase == "ok":
        state = evolve(state, phase="pending", since=value.start, worst=number)
    worst = number if state.worst is None else rule.worse(state.worst, number)
    state = evolve(state, worst=worst, ok_since=None)
    begins = state.phase == "pending" and value.end - state.since >= rule.duration
    if not begins and (state.phase == "pending" or state.is_reported):
        return state, []
    last = state.reported_at
    is_silenced = (last is not None and value.end - last < rule.silence) or any(
        silence.covers(rule.name, value.end) for silence in silences
    )
    if is_silenced and not begins:
        return state, []
    event = AlertEvent(
        status="firing", rule=rule, group=value.group, since=state.since, at=value.end, value=number,
        worst=state.worst, users=value.users, is_silenced=is_silenced,
    )  # fmt: skip
    state = evolve(state, phase="firing")
    return (state if is_silenced else evolve(state, is_reported=True, reported_at=value.end)), [event]


def _ended(
    rule: AlertRule, state: AlertState, value: AlertValue, number: float
) -> tuple[AlertState, list[AlertEvent]]:
    if state.phase != "firing":
        return evolve(state, phase="ok"), []
    since = value.start if state.ok_since is None else state.ok_since
    if value.end - since < rule.duration:
        return evolve(state, ok_since=since), []
    return _closed(
        rule, state, value.group, at=value.end, until=since, reason="", value=number, users=value.users
    )


def _closed(
    rule: AlertRule,
    state: AlertState,
    group: str | None,
    *,
    at: float,
    until: float,
    reason: str,
    value: float | None,
    users: int | None,
) -> tuple[AlertState, list[AlertEvent]]:
    closed = evolve(state, phase="ok", ok_since=None, is_reported=False)
    if state.phase != "firing":
        return closed, []
    event = AlertEvent(
        status="resolved", rule=rule, group=group, since=state.since, at=at, until=until, value=value,
        worst=state.worst, users=users, reason=reason, is_silenced=not state.is_reported,
    )  # fmt: skip
    return closed, [event]
