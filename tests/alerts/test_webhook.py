"""Delivery to a webhook: signatures, retries, order, and each event once."""

import itertools
import sqlite3

import anyio
import httpx
import pytest

from agora_analytics import AsgiTransport
from agora_analytics.alerts import AlertDatabase, AlertEvent, AlertRule, Webhook, WebhookSender
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import ConfigurationError
from agora_analytics.testing import VirtualClock, run_virtual
from tests.alerts.receiver import SECRET, Receiver
from tests.conftest import NOW

RULE = AlertRule(name="freezes", metric="video_freeze_rate", above=0.05)


def event(status="firing", group=None, since=0.0):
    return AlertEvent(status=status, rule=RULE, group=group, since=since, at=20, value=0.2, worst=0.2)


def kinds(receiver):
    """Return the group and the status of each delivery."""
    data = [receiver.events[name]["data"] for _, name in receiver.deliveries]
    return [(each["group"], each["status"]) for each in data]


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
        database.queue.add(events, "realtime", clock.now())
        webhook = Webhook(url="http://127.0.0.1:9/hook?token=1", secret=SECRET)
        sender = WebhookSender(webhook, database.queue, AsgiTransport(receiver), clock.now)
        with anyio.move_on_after(seconds):
            await sender.run()

    run_virtual(work(), clock)


def test_accepted_event_is_sent_once(database, clock):
    receiver = Receiver(clock.now)
    deliver(database, receiver, clock, 3600, [event()])
    assert [time for time, _ in receiver.deliveries] == [pytest.approx(NOW, abs=1)]
    assert database.queue.counts() == {"waiting": 0, "delivered": 1, "failed": 0}
    deliver(database, receiver, clock, 3600)
    assert len(receiver.deliveries) == 1


@pytest.mark.parametrize("answer", [500, 404, 429, 302])
def test_refused_event_is_sent_until_it_is_accepted(database, clock, answer):
    receiver = Receiver(clock.now, lambda time: answer if time < NOW + 600 else 200)
    deliver(database, receiver, clock, 900, [event()])
    assert database.queue.counts()["delivered"] == 1
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
    assert kinds(receiver) == [("a", "firing"), ("b", "firing"), ("a", "firing")]
    assert len(receiver.events) == 2
    assert database.queue.counts()["delivered"] == 2


def test_resolved_waits_for_firing_of_the_same_alert(database, clock):
    receiver = Receiver(clock.now, lambda time: 503 if time < NOW + 30 else 200)
    deliver(database, receiver, clock, 300, [event(), event("resolved"), event(group="b")])
    assert receiver.statuses == ["firing", "firing", "resolved"]
    first = next(number for number, (time, _) in enumerate(receiver.deliveries) if time >= NOW + 30)
    accepted = kinds(receiver)[first:]
    assert sorted(map(str, accepted)) == [
        "('b', 'firing')",
        "(None, 'firing')",
        "(None, 'resolved')",
    ]
    assert accepted.index((None, "firing")) < accepted.index((None, "resolved"))


def test_event_is_given_up_after_a_day_and_kept(database, clock):
    receiver = Receiver(clock.now, lambda _: 500)
    deliver(database, receiver, clock, 2 * 86_400, [event()])
    assert database.queue.counts() == {"waiting": 0, "delivered": 0, "failed": 1}
    assert NOW + 86_000 < receiver.deliveries[-1][0] <= NOW + 86_400


def test_receiver_that_is_gone_gets_no_more(database, clock):
    receiver = Receiver(clock.now, lambda _: 410)
    deliver(database, receiver, clock, 3600, [event()])
    assert (len(receiver.deliveries), database.queue.counts()["failed"]) == (1, 1)


def test_event_that_was_being_sent_survives_a_kill(database, clock, tmp_path):
    """The process ends during an attempt; the next one sends the event again, with the same id."""
    receiver = Receiver(clock.now, lambda time: "hang after reading" if time < NOW + 5 else 200)
    deliver(database, receiver, clock, 5, [event()])
    database.close()
    with AlertDatabase(tmp_path / "alerts.sqlite") as again:
        deliver(again, receiver, clock, 120)
        assert again.queue.counts()["delivered"] == 1
    assert len(receiver.deliveries) == 2
    assert len(receiver.events) == 1


def test_two_processes_send_an_event_once(database, clock, tmp_path):
    receiver = Receiver(clock.now)

    async def work():
        events = [event(group=str(number)) for number in range(20)]
        database.queue.add(events, "realtime", clock.now())
        with AlertDatabase(tmp_path / "alerts.sqlite") as other:
            async with anyio.create_task_group() as tasks:
                for each in (database, other):
                    webhook = Webhook(url="http://127.0.0.1:9/", secret=SECRET)
                    tasks.start_soon(
                        WebhookSender(webhook, each.queue, AsgiTransport(receiver), clock.now).send_due
                    )

    run_virtual(work(), clock)
    assert len(receiver.deliveries) == len(receiver.events) == 20


@pytest.mark.parametrize(
    ("url", "secret", "reason"),
    [
        ("hooks.example.com", SECRET, "not valid"),
        ("http://hooks.example.com/a", SECRET, "use https"),
        ("https://hooks.example.com/token-of-the-url", "short", "at least|less than 16"),
        ("https://hooks.example.com/token-of-the-url", "whsec_!!", "not valid"),
        ("https://hooks.example.com/token-of-the-url", "whsec_\u00e9 and more than 16", "not valid"),
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


def test_retry_is_due_although_the_clock_was_set_back(database, clock):
    receiver = Receiver(clock.now, lambda time: 500 if time >= NOW else 200)
    deliver(database, receiver, clock, 1, [event()])
    clock.step(-3600)
    deliver(database, receiver, clock, 60)
    assert database.queue.counts()["delivered"] == 1


def test_url_is_not_logged_even_if_the_program_asks_httpx_for_its_lines(database, caplog):
    """The URL of a webhook may be its only secret."""
    caplog.set_level("DEBUG", logger="httpx")
    caplog.set_level("DEBUG", logger="agora_analytics")

    async def work():
        database.queue.add([event()], "realtime", 0.0)
        webhook = Webhook(url="http://127.0.0.1:9/token-of-the-url?token=1", secret=SECRET)
        async with HttpxTransport(httpx.AsyncClient(transport=httpx.MockTransport(answer))) as transport:
            await WebhookSender(webhook, database.queue, transport, lambda: 0.0).send_due()

    requests = []

    def answer(request):
        requests.append(str(request.url))
        return httpx.Response(500)

    anyio.run(work)
    assert requests == ["http://127.0.0.1:9/token-of-the-url?token=1"]
    assert "token-of-the-url" not in caplog.text


def test_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE events (a TEXT)")
    connection.close()
    with pytest.raises(ConfigurationError, match="not a database of alerts"):
        AlertDatabase(path)
    path.write_bytes(b"text" * 1000)
    with pytest.raises(ConfigurationError, match=r"cannot use .*other.sqlite"):
        AlertDatabase(path)
    assert path.read_bytes() == b"text" * 1000
