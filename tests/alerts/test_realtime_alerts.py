"""Rules over Real-time: which queries they need, and what happens around the windows."""

import anyio
import pytest
from attrs import evolve

from agora_analytics import errors
from agora_analytics.agora.follow import LiveWindow
from agora_analytics.agora.stat_records import Point
from agora_analytics.alerts import AlertDatabase, AlertRule, RealtimeAlerts
from agora_analytics.alerts.realtime_alerts import realtime_queries
from agora_analytics.simulator import World
from tests.agora.harness import make_harness
from tests.conftest import NOW

T = int(NOW)
RULE = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05, duration=60)
BY_COUNTRY = AlertRule(name="countries", metric="video_freeze_rate", above=0.05, by="country")


@pytest.fixture(scope="module")
def world():
    return World.generate(seed=6, since=T - 3600, until=T + 7200, calls=200, simple=True)


@pytest.fixture
def database(tmp_path):
    with AlertDatabase(tmp_path / "alerts.sqlite") as opened:
        yield opened


def window(start, *rows):
    """Return a window with (group, value) of the freeze rate."""
    points = tuple(
        Point(
            metric="videoFreezeRate",
            ts=start,
            value=value,
            dimension=None if group is None else "country",
            dimension_value=group,
        )
        for group, value in rows
    )
    return LiveWindow(ts=start, rows=points, metrics=("videoFreezeRate",))


def test_rules_share_queries_where_they_can():
    """A query without values has the largest groups only, so rules with `only` have one of their own."""
    rules = [
        RULE,
        evolve(RULE, name="users", metric="user_count"),
        BY_COUNTRY,
        evolve(BY_COUNTRY, name="some", only=("India", "Malta"), min_users=5),
        evolve(BY_COUNTRY, name="channels", by="channel", only=("a", "b")),
        evolve(RULE, name="browsers", product="WebRTC"),
    ]
    queries = [(each.metrics, each.by, each.values, each.channel) for each in realtime_queries(rules)]
    assert queries == [
        (["userCount", "videoFreezeRate"], None, (), None),
        (["videoFreezeRate"], "country", (), None),
        (["userCount", "videoFreezeRate"], "country", ("India", "Malta"), None),
        (["videoFreezeRate"], None, (), "a"),
        (["videoFreezeRate"], None, (), "b"),
        (["videoFreezeRate"], None, (), None),
    ]


def test_groups_without_a_name_do_not_count_and_absent_ones_are_resolved(database, world):
    alerts = RealtimeAlerts(make_harness(world).client(), [BY_COUNTRY], database, now=lambda: T)
    (query,) = alerts.queries
    events = alerts.add(query, window(T, ("", 0.5), ("Malta", 0.5), ("India", 0.01)))
    assert [(event.status, event.group) for event in events] == [("firing", "Malta")]
    for number in range(1, 17):
        events = alerts.add(query, window(T + 20 * number, ("", 0.5), ("India", 0.01)))
        assert bool(events) == (number == 15)
        if events:
            assert [(each.status, each.group, each.reason) for each in events] == [
                ("resolved", "Malta", "no data")
            ]


def test_many_queries_share_the_quota_of_the_day(world, database):
    """Five channels from noon on: the quota lasts to the end of the day, and it is used."""
    rule = evolve(RULE, by="channel", only=tuple(sorted({call.cname for call in world.calls})[:5]))
    harness = make_harness(world)
    ends = []

    async def job(client):
        alerts = RealtimeAlerts(client, [rule], database, now=harness.clock.now)
        evaluate = alerts.add
        alerts.add = lambda query, window: (
            ends.append(harness.clock.now() - window.end),
            evaluate(query, window),
        )
        with anyio.move_on_after(3600):
            await alerts.run()

    harness.run(job)
    rate = sum(harness.requests.values()) / 3600
    left_per_second = 1440 * 0.9 / 43_200
    assert 0.7 * left_per_second < rate < 1.3 * left_per_second
    assert max(ends) < 400


def test_wrong_credentials_are_raised_as_they_are(world, database):
    harness = make_harness(world)

    async def job(client):
        await RealtimeAlerts(client, [RULE], database, now=harness.clock.now).run()

    with pytest.raises(errors.AuthenticationError):
        harness.run(job, "demo-customer-id", "wrong")


def test_second_process_with_the_same_file_is_refused(world, database, tmp_path):
    harness = make_harness(world)

    async def job(client):
        with AlertDatabase(tmp_path / "alerts.sqlite") as other, other.followed():
            await RealtimeAlerts(client, [RULE], database, now=harness.clock.now).run()

    with pytest.raises(errors.ConfigurationError, match="another process follows Real-time"):
        harness.run(job)


def test_states_of_changed_rules_and_of_the_future_are_dropped(database, world):
    alerts = RealtimeAlerts(make_harness(world).client(), [BY_COUNTRY], database, now=lambda: T)
    alerts.add(alerts.queries[0], window(T, ("Malta", 0.5)))
    assert database.drop_unusable_states([BY_COUNTRY], T) == []
    (event,) = database.drop_unusable_states([BY_COUNTRY], T - 3600)
    assert (event.status, event.reason) == ("resolved", "the clock was set back")
    assert database.evaluated_until(alerts.queries[0].key) is None
    alerts.add(alerts.queries[0], window(T + 20, ("Malta", 0.5)))
    (event,) = database.drop_unusable_states([evolve(BY_COUNTRY, above=0.1)], T)
    assert (event.status, event.reason) == ("resolved", "the rule was changed or removed")
    assert database.queue.counts()["waiting"] == 4


def test_rules_with_the_same_name_are_refused(database, world):
    with pytest.raises(errors.InvalidRequest, match="two alerts have the name"):
        RealtimeAlerts(make_harness(world).client(), [RULE, RULE], database, now=lambda: T)
