"""Delivery to a webhook: signatures, retries, order, and each event once."""

import itertools

import anyio
import pytest

from agora_analytics import AsgiTransport
from agora_analytics.alerts import AlertDatabase, AlertEvent, AlertRule, Webhook, WebhookSender
from agora_analytics.errors import ConfigurationError
from agora_analytics.testing import VirtualClock, run_virtual
from tests.alerts.receiver import SECRET, Receiver
from tests.conftest import NOW

RULE = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05)


def event(status="firing", group=None, since=0.0):
    return AlertEvent(status=status, rule=RULE, group=group, since=since, at=20, value=0.2, worst=0.2)


@pytest.fixture
def clock():
    return VirtualClock(NOW)


@pytest.fixture
def database(tmp_path):
    with AlertDatabase(tmp_path / "alerts.sqlite") as opened:
        yield opened


def deliver(database, receiver, clock, seconds, events=()):
    """Queue events at the present, and send for some seconds."""

    async def work():
        database.queue(events, clock.now())
        webhook = Webhook(url="http://127.0.0.1:9/hook?token=1", secret=SECRET)
        sender = WebhookSender(webhook, database, AsgiTransport(receiver), clock.now)
        with anyio.move_on_after(seconds):
            await sender.run()

    run_virtual(work(), clock)


def test_accepted_event_is_sent_once(database, clock):
    receiver = Receiver(clock.now)
    deliver(database, receiver, clock, 3600, [event()])
    assert receiver.deliveries == [(pytest.approx(NOW, abs=1), event().id)]
    assert database.counts() == {"waiting": 0, "delivered": 1, "failed": 0}
    database.queue([event()], clock.now())
    deliver(database, receiver, clock, 3600)
    assert len(receiver.deliveries) == 1


@pytest.mark.parametrize("answer", [500, 404, 429, 302])
def test_refused_event_is_sent_until_it_is_accepted(database, clock, answer):
    receiver = Receiver(clock.now, lambda time: answer if time < NOW + 600 else 200)
    deliver(database, receiver, clock, 900, [event()])
    assert database.counts()["delivered"] == 1
    times = [time for time, _ in receiver.deliveries]
    assert NOW + 600 <= times[-1] < NOW + 900
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(min(2 * 2**n, 300) / 2 <= pause <= 300 for n, pause in enumerate(pauses))
    assert len(times) < 15


def test_receiver_that_hangs_is_asked_again_and_holds_up_no_other_alert(database, clock):
    """It accepts the second alert at once, while the first one waits for its next attempt."""
    first = [True]

    def answer(_):
        return "hang after reading" if first and first.pop() else 200

    receiver = Receiver(clock.now, answer)
    deliver(database, receiver, clock, 60, [event(group="a"), event(group="b")])
    ids = [name for _, name in receiver.deliveries]
    assert ids == [event(group="a").id, event(group="b").id, event(group="a").id]
    assert len(receiver.events) == 2
    assert database.counts()["delivered"] == 2


def test_resolved_waits_for_firing_of_the_same_alert(database, clock):
    receiver = Receiver(clock.now, lambda time: 503 if time < NOW + 30 else 200)
    deliver(database, receiver, clock, 300, [event(), event("resolved"), event(group="b")])
    assert receiver.statuses == ["firing", "firing", "resolved"]
    accepted = [name for time, name in receiver.deliveries if time >= NOW + 30]
    assert sorted(accepted) == sorted({event().id, event("resolved").id, event(group="b").id})
    assert accepted.index(event().id) < accepted.index(event("resolved").id)


def test_event_is_given_up_after_a_day_and_kept(database, clock):
    receiver = Receiver(clock.now, lambda _: 500)
    deliver(database, receiver, clock, 2 * 86_400, [event()])
    assert database.counts() == {"waiting": 0, "delivered": 0, "failed": 1}
    assert NOW + 86_000 < receiver.deliveries[-1][0] <= NOW + 86_400


def test_receiver_that_is_gone_gets_no_more(database, clock):
    receiver = Receiver(clock.now, lambda _: 410)
    deliver(database, receiver, clock, 3600, [event()])
    assert (len(receiver.deliveries), database.counts()["failed"]) == (1, 1)


def test_event_that_was_being_sent_survives_a_kill(database, clock, tmp_path):
    """The process ends during an attempt; the next one sends the event again, with the same id."""
    receiver = Receiver(clock.now, lambda time: "hang after reading" if time < NOW + 5 else 200)
    deliver(database, receiver, clock, 5, [event()])
    database.close()
    with AlertDatabase(tmp_path / "alerts.sqlite") as again:
        deliver(again, receiver, clock, 120)
        assert again.counts()["delivered"] == 1
    assert [name for _, name in receiver.deliveries] == [event().id] * 2


def test_two_processes_send_an_event_once(database, clock, tmp_path):
    receiver = Receiver(clock.now)

    async def work():
        database.queue([event(group=str(number)) for number in range(20)], clock.now())
        with AlertDatabase(tmp_path / "alerts.sqlite") as other:
            async with anyio.create_task_group() as tasks:
                for each in (database, other):
                    webhook = Webhook(url="http://127.0.0.1:9/", secret=SECRET)
                    tasks.start_soon(
                        WebhookSender(webhook, each, AsgiTransport(receiver), clock.now).send_due
                    )

    run_virtual(work(), clock)
    assert len(receiver.deliveries) == len(receiver.events) == 20


@pytest.mark.parametrize(
    ("url", "secret", "reason"),
    [
        ("hooks.example.com", SECRET, "not valid"),
        ("http://hooks.example.com/a", SECRET, "use https"),
        ("https://hooks.example.com/token-of-the-url", "short", "at least|less than 16"),
        ("https://hooks.example.com/token-of-the-url", "whsec_!!", "not base64"),
    ],
)
def test_wrong_webhook_is_refused_and_its_secrets_are_not_shown(url, secret, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        Webhook(url=url, secret=secret)
    assert "token-of-the-url" not in str(caught.value)
    assert secret not in str(caught.value)
    right = Webhook(url="https://hooks.example.com/token-of-the-url", secret=SECRET)
    assert "token-of-the-url" not in repr(right)
    assert SECRET not in repr(right)
