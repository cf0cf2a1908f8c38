"""When an alert fires and is resolved."""

import random

import pytest
from attrs import evolve

from agora_analytics.alerts.conditions import AlertState, AlertValue, evaluate, expire
from agora_analytics.alerts.rules import AlertRule, Silence
from agora_analytics.errors import InvalidRequest

RULE = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05, duration=60)
BAD, GOOD, NONE = 0.2, 0.01, None


def run(rule, values, *, silences=(), users=None, state=None):
    """Return (status, since, at) of the events of consecutive windows of 20 seconds."""
    state, events = state or AlertState(), []
    for number, value in enumerate(values):
        window = AlertValue(start=20 * number, end=20 * number + 20, value=value, users=users)
        state, more = evaluate(rule, state, window, silences)
        events += more
    return [(event.status, event.since, event.at) for event in events if not event.is_silenced]


def test_alert_fires_after_the_condition_held_for_long_enough():
    assert run(RULE, [BAD, BAD, GOOD, BAD, BAD, BAD]) == [("firing", 60, 120)]


def test_alert_fires_once_and_is_resolved_after_the_same_time():
    values = [BAD] * 10 + [GOOD, GOOD, BAD, GOOD, GOOD, GOOD, GOOD]
    assert run(RULE, values) == [("firing", 0, 60), ("resolved", 0, 320)]


def test_rule_without_a_duration_needs_one_window():
    assert run(evolve(RULE, duration=0), [GOOD, BAD, GOOD]) == [("firing", 20, 40), ("resolved", 20, 60)]


def test_windows_without_a_value_neither_confirm_nor_end_the_condition():
    assert run(RULE, [BAD, NONE, BAD]) == [("firing", 0, 60)]
    assert run(RULE, [BAD, BAD, NONE]) == []


def test_alert_is_resolved_after_five_minutes_without_a_value():
    state, (fired,) = evaluate(evolve(RULE, duration=0), AlertState(), AlertValue(start=0, end=20, value=BAD))
    assert fired.status == "firing"
    assert expire(RULE, state, 319, group=None) == (state, [])
    state, (resolved,) = expire(RULE, state, 320, group=None)
    assert (resolved.status, resolved.until, resolved.reason) == ("resolved", 20, "no data")
    assert state.phase == "ok"


def test_gap_between_values_ends_a_pending_condition():
    values = [BAD, BAD] + [NONE] * 15 + [BAD, BAD]
    assert run(RULE, values) == []
    assert run(RULE, [*values, BAD]) == [("firing", 340, 400)]


def test_windows_with_few_users_do_not_count():
    rule = evolve(RULE, min_users=5)
    assert run(rule, [BAD] * 9, users=4) == []
    assert run(rule, [BAD] * 9, users=None) == []  # not known
    assert run(rule, [BAD] * 9, users=5) == [("firing", 0, 60)]


def test_alert_does_not_fire_again_within_its_silence():
    incident = [BAD] * 3 + [GOOD] * 3
    assert run(evolve(RULE, silence=121), incident * 2) == [("firing", 0, 60), ("resolved", 0, 120)]
    assert len(run(evolve(RULE, silence=120), incident * 2)) == 4


def test_alert_fires_when_a_silence_ends_during_an_incident():
    silence = Silence(since=0, until=200, alerts=("freezes",))
    assert run(RULE, [BAD] * 12, silences=[silence]) == [("firing", 0, 200)]
    assert run(RULE, [BAD] * 12, silences=[evolve(silence, alerts=("others",))]) == [("firing", 0, 60)]


def test_incident_within_a_silence_is_not_reported_as_resolved():
    assert run(RULE, [BAD] * 4 + [GOOD] * 4, silences=[Silence(since=0, until=100)]) == []


def test_condition_below_a_limit():
    rule = AlertRule(name="joins", metric="join_success_rate", below=0.9, duration=20)
    state, (event,) = evaluate(rule, AlertState(), AlertValue(start=0, end=20, value=0.5))
    state, _ = evaluate(rule, state, AlertValue(start=20, end=40, value=0.3))
    assert (event.worst, state.worst) == (0.5, 0.3)
    assert str(event).startswith("joins: join_success_rate < 90 % since")


def test_events_do_not_depend_on_where_the_program_was_restarted():
    """Windows that are passed again, as after a crash, change nothing either."""
    for seed in range(200):
        dice = random.Random(seed)
        values = [dice.choice([BAD, BAD, GOOD, NONE]) for _ in range(60)]
        windows = [AlertValue(start=20 * n, end=20 * n + 20, value=value) for n, value in enumerate(values)]
        rule = evolve(RULE, silence=dice.choice([0.0, 200.0]))
        whole, again, events, twice = AlertState(), AlertState(), [], []
        for number, window in enumerate(windows):
            whole, more = evaluate(rule, whole, window)
            events += more
            for repeated in windows[max(0, number - dice.randrange(4)) : number + 1]:
                again, more = evaluate(rule, AlertState(**asdict(again)), repeated)
                twice += more
        assert twice == events
        shown = [event.status for event in events if not event.is_silenced]
        assert shown == ["firing", "resolved"] * (len(shown) // 2) + ["firing"] * (len(shown) % 2)


def asdict(state):
    import attrs

    return attrs.asdict(state)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"above": None}, "give a limit"),
        ({"below": 0.1}, "give a limit"),
        ({"above": float("nan")}, "not a number"),
        ({"above": 5}, "0.05 means 5 %"),
        ({"metric": "video_freeze_rat"}, "did you mean 'video_freeze_rate'"),
        ({"by": "contry"}, "did you mean 'country'"),
        ({"only": ["a"]}, "add by"),
        ({"by": "channel", "only": [""]}, "empty value"),
        ({"above": 10**400}, "too large"),
        ({"min_users": 0}, "at least 1"),
        ({"name": ""}, "1 to 100 printable characters"),
    ],
)
def test_wrong_rule_is_refused(values, reason):
    right = {"name": "freezes", "metric": "video_freeze_rate", "above": 0.05}
    with pytest.raises(InvalidRequest) as caught:
        AlertRule(**right | values)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("source", "values", "reason"),
    [
        ("store", {"metric": "user_count", "above": 5}, "only --follow has"),
        ("store", {"by": "country"}, "a store has no country"),
        ("store", {"product": "WebRTC"}, 'use by = "platform"'),
        ("realtime", {"metric": "audio_score", "above": 3}, "use the rule with a store"),
        ("realtime", {"by": "channel"}, "name them"),
        ("realtime", {"by": "vendor"}, "cannot group by vendor"),
    ],
)
def test_rule_without_values_in_a_source_is_refused(source, values, reason):
    right = {"name": "freezes", "metric": "video_freeze_rate", "above": 0.05}
    with pytest.raises(InvalidRequest) as caught:
        AlertRule(**right | values).check_source(source)
    assert reason in str(caught.value)
