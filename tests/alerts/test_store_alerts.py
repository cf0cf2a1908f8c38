"""Rules over a store: values, backtests, and evaluation after each harvest."""

import json
import random
from collections import defaultdict

import pytest

from agora_analytics.alerts import AlertDatabase, AlertRule, Silence, backtest, evaluate_store
from agora_analytics.alerts.store_values import store_values
from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.insight import score
from agora_analytics.store import open_store
from agora_analytics.store.stream import reader
from tests.insight.conftest import store as scored_store  # noqa: F401 - a fixture
from tests.insight.scored_calls import BEGIN
from tests.insight.stored_calls import BEFORE, FREEZE, ROUND_TRIP, StoredCall, User, store_calls

START = BEFORE + 36_000  # a whole minute
NOW = START + 3600
DELAY = AlertRule(name="delay", metric="round_trip_time", above=300, duration=120)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "calls.store", create=True, durable=False)


@pytest.fixture
def database(tmp_path):
    with AlertDatabase(tmp_path / "alerts.sqlite") as opened:
        yield opened


def delays(*minutes):
    """Return 15 samples for each minute with its value."""
    return [float(value) for value in minutes for _ in range(15)]


def call(name, values, start=START, **user):
    channel = user.pop("channel", "room")
    users = [User(uid="1", values={ROUND_TRIP: values}, **user)]
    return StoredCall(call_id=name, start=start + 4, users=users, channel=channel, seconds=4 * len(values))


def shown(events):
    return [(event.status, event.group, event.since - START, event.at - START) for event in events]


def test_values_are_the_weighted_means_of_the_samples_of_each_minute(store):
    """Computed a second time, sample by sample: each covers the 4 seconds before it."""
    dice = random.Random(1)
    calls, sums, people = [], defaultdict(lambda: [0.0, 0.0]), defaultdict(set)
    for number in range(12):
        start, network = START + dice.randrange(0, 900, 4) + 4, dice.choice(["WiFi", "4G"])
        values = [dice.choice([0, 0, 500, 2000]) for _ in range(dice.randrange(5, 60))]
        users = [User(uid=f"u{number}", values={FREEZE: values}, network=network)]
        calls.append(StoredCall(call_id=f"c{number}", start=start, users=users))
        for place, value in enumerate(values):
            key = (-(-(start + 4 * place) // 60) * 60 - 60, network)
            sums[key][0] += min(value / 1000, 4)
            sums[key][1] += 4
            people[key].add(f"u{number}")
    store_calls(store, calls)
    rule = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05, by="network")
    found = store_values(reader(store), rule, Window(START, NOW))
    assert {(each.start, each.group): (round(each.value, 9), each.users) for each in found} == {
        key: (round(x / y, 9), len(people[key])) for key, (x, y) in sums.items()
    }
    assert [each.start for each in found] == sorted(each.start for each in found)


def test_backtest_names_what_would_have_fired(store):
    store_calls(
        store,
        [
            call("bad", delays(100, 400, 400, 400, 100, 100, 100), network="4G"),
            call("good", delays(100, 100, 100, 100, 100), network="WiFi"),
        ],
    )
    rule = AlertRule(name="delay", metric="round_trip_time", above=300, duration=120, by="network")
    result = backtest(store, [rule], since=START, until=NOW, now=NOW)
    (incident,) = result.incidents
    assert shown([incident.fired, incident.resolved]) == [
        ("firing", "4G", 60, 180),
        ("resolved", "4G", 60, 360),
    ]
    assert incident.resolved.until == START + 240
    assert result.windows == {"delay": 12}
    assert json.loads(result.to_json())["incidents"][0]["fired"]["worst"] == 400


def test_backtest_shows_silenced_incidents_and_rules_without_values(store):
    store_calls(store, [call("bad", delays(*[400] * 5))])
    silence = Silence(since=START, until=NOW, alerts=("delay",))
    other = AlertRule(name="audio", metric="audio_score", below=3)
    result = backtest(store, [DELAY, other], since=START, until=NOW, silences=[silence], now=NOW)
    assert [incident.fired.is_silenced for incident in result.incidents] == [True]
    assert result.windows == {"delay": 5, "audio": 0}


def test_score_of_a_minute_is_the_mean_of_its_intervals(scored_store):  # noqa: F811
    """Of Agora and of OpenTok; the intervals are those of the command `score`."""
    sums = defaultdict(lambda: [0.0, 0.0])
    for row in score(scored_store, by="interval", media="audio").to_pylist():
        if row["score"] is not None:
            minute = -(-row["ts"].timestamp() // 60) * 60 - 60
            sums[minute, row["vendor"]][0] += row["score"] * row["seconds"]
            sums[minute, row["vendor"]][1] += row["seconds"]
    rule = AlertRule(name="audio", metric="audio_score", below=3.5, by="vendor")
    found = store_values(reader(scored_store), rule, Window(BEGIN - 600, BEGIN + 7200))
    values = {(each.start, each.group): round(each.value, 6) for each in found}
    assert values == {key: round(total / seconds, 6) for key, (total, seconds) in sums.items()}
    assert {vendor for _, vendor in values} == {"agora", "opentok"}


def test_each_incident_fires_once_over_many_harvests(store, database):
    """The call grows from harvest to harvest, and the incident begins earlier than it seemed."""
    events = []

    def after_harvest(minutes, *calls):
        store_calls(store, calls)
        new = evaluate_store(store, [DELAY], database, since=START, now=START + 60 * minutes)
        again = evaluate_store(store, [DELAY], database, since=START, now=START + 60 * minutes)
        assert again == []
        events.extend(new)

    after_harvest(4, call("a", delays(100, 100, 400, 400)))
    assert shown(events) == [("firing", None, 120, 240)]
    after_harvest(5, call("late", delays(900, 900), start=START + 60))
    after_harvest(7, call("b", delays(400, 400, 400), start=START + 240))
    assert len(events) == 1
    after_harvest(12, call("c", delays(100, 100, 100, 100), start=START + 420))
    assert shown(events[1:]) == [("resolved", None, 120, 540)]
    assert database.queue.counts()["waiting"] == 2


def test_open_incident_is_resolved_although_it_began_before_the_range(store, database):
    store_calls(store, [call("a", delays(400, 400, 400))])
    assert len(evaluate_store(store, [DELAY], database, since="1h", now=START + 180)) == 1
    store_calls(store, [call("b", delays(100, 100, 100), start=START + 180)])
    new = evaluate_store(store, [DELAY], database, since="1m", now=START + 7200)
    assert [event.status for event in new] == ["resolved"]


def test_incident_of_a_changed_rule_is_resolved(store, database):
    store_calls(store, [call("a", delays(400, 400, 400))])
    assert len(evaluate_store(store, [DELAY], database, since=START, now=START + 180)) == 1
    higher = AlertRule(name="delay", metric="round_trip_time", above=500, duration=120)
    (event,) = evaluate_store(store, [higher], database, since=START, now=START + 180)
    assert (event.status, event.reason) == ("resolved", "the rule was changed or removed")
    assert evaluate_store(store, [higher], database, since=START, now=START + 180) == []


def quiet_users(minutes, start):
    """Return a call of five users with no delay, which dilutes that of others."""
    users = [User(uid=f"q{number}", values={ROUND_TRIP: delays(*[0] * minutes)}) for number in range(5)]
    return StoredCall(call_id=f"quiet{start}", start=start + 4, users=users, seconds=60 * minutes)


def test_late_data_that_joins_two_incidents_leaves_none_open(store, database):
    def evaluate(minutes):
        events = evaluate_store(store, [DELAY], database, since=START, now=START + 60 * minutes)
        return [event.status for event in events]

    store_calls(store, [call("a", delays(400, 400, 400, 100, 100, 100, 400, 400, 400))])
    assert evaluate(9) == ["firing", "resolved", "firing"]
    late = [User(uid=f"l{number}", values={ROUND_TRIP: delays(900, 900, 900)}) for number in range(5)]
    store_calls(store, [StoredCall(call_id="late", start=START + 184, users=late)])
    assert evaluate(9) == []
    store_calls(store, [call("c", delays(100, 100, 100), start=START + 540)])
    assert evaluate(12) == ["resolved"]
    assert evaluate(300) == []


def test_incident_that_late_data_denies_is_resolved(store, database):
    store_calls(store, [call("a", delays(400, 400, 400))])
    assert len(evaluate_store(store, [DELAY], database, since=START, now=START + 180)) == 1
    store_calls(store, [quiet_users(3, START)])
    (event,) = evaluate_store(store, [DELAY], database, since=START, now=START + 180)
    assert (event.status, event.reason) == ("resolved", "later data does not confirm it")
    assert evaluate_store(store, [DELAY], database, since=START, now=START + 180) == []


def test_incident_that_went_on_after_it_was_resolved_fires_again(store, database):
    """The longest calls are stored last."""
    store_calls(store, [call("a", delays(400, 400, 400, 100, 100))])
    assert len(evaluate_store(store, [DELAY], database, since=START, now=START + 300)) == 2
    users = [User(uid=f"l{number}", values={ROUND_TRIP: delays(*[900] * 30)}) for number in range(5)]
    store_calls(store, [StoredCall(call_id="long", start=START + 4, users=users, seconds=1800)])
    (event,) = evaluate_store(store, [DELAY], database, since=START, now=START + 1800)
    assert (event.status, event.since) == ("firing", START + 180)
    assert evaluate_store(store, [DELAY], database, since=START, now=START + 1800) == []


def test_silence_of_one_group_does_not_silence_another(store, database):
    rule = AlertRule(
        name="delay", metric="round_trip_time", above=300, duration=120, by="network", silence=3600
    )
    store_calls(store, [call("a", delays(400, 400, 400, 100, 100), network="WiFi")])
    evaluate_store(store, [rule], database, since=START, now=START + 300)
    store_calls(store, [call("b", delays(400, 400, 400), start=START + 900, network="4G")])
    events = evaluate_store(store, [rule], database, since="5m", now=START + 1080)
    assert [(event.status, event.group) for event in events] == [("firing", "4G")]


def test_alert_of_a_group_is_resolved_when_others_have_later_data(store, database):
    rule = AlertRule(name="delay", metric="round_trip_time", above=300, duration=120, by="channel")
    store_calls(store, [call("a", delays(400, 400, 400), channel="one")])
    assert len(evaluate_store(store, [rule], database, since=START, now=START + 180)) == 1
    store_calls(store, [call("b", delays(100), start=START + 900, channel="two")])
    (event,) = evaluate_store(store, [rule], database, since=START, now=START + 960)
    assert (event.status, event.group, event.reason) == ("resolved", "one", "no data")


def test_rules_without_values_in_a_store_are_refused(store, database):
    rule = AlertRule(name="users", metric="user_count", above=5)
    with pytest.raises(InvalidRequest, match="only --follow has"):
        evaluate_store(store, [rule], database)
    with pytest.raises(InvalidRequest, match="no whole minute"):
        backtest(store, [DELAY], since=NOW, until=NOW + 10)
