"""The rules of docs/howto/alerts.md over a simulated hour of Real-time with one incident."""

from datetime import datetime

import anyio
import pytest
from attrs import frozen

from agora_analytics import AsgiTransport
from agora_analytics.alerts import AlertDatabase, RealtimeAlerts, WebhookSender, read_rules
from agora_analytics.simulator import Impairment, World
from tests.agora.harness import make_harness
from tests.alerts.receiver import SECRET, Receiver
from tests.conftest import NOW
from tests.documents.blocks import ROOT, blocks_of

T = int(NOW)
INCIDENT = (T + 1200, T + 2400)
DOWN = (T + 1200, T + 1800)
PAGE = ROOT / "docs" / "howto" / "alerts.md"


@pytest.fixture(scope="module")
def world():
    cpu = Impairment(cause="cpu", severity=0.6, since=INCIDENT[0], until=INCIDENT[1])
    # Without the incident, less than 5 % of the time is frozen in every window.
    return World.generate(seed=6, since=T - 3600, until=T + 7200, calls=1000, simple=True, impairments=[cpu])


@frozen
class Hour:
    """An hour with alerts on: what the receiver got, and what was printed."""

    receiver: Receiver
    printed: list
    requests: int


def follow_for_an_hour(world, folder, answer, restarts=()):
    """Follow with the rules of the page for an hour. The program is killed and started again after `restarts` seconds."""
    (block,) = [each for each in blocks_of(PAGE) if each.directives.get("file") == "alerts.toml"]
    path = folder / "alerts.toml"
    path.write_text(block.text)
    rules, harness, printed = read_rules(path), make_harness(world), []
    receiver = Receiver(harness.clock.now, answer)

    async def program(client, seconds):
        with AlertDatabase(folder / "alerts.sqlite") as database:
            now = harness.clock.now
            sender = WebhookSender(rules.webhook, database.queue, AsgiTransport(receiver), now)

            def announce(events):
                printed.extend(map(str, events))
                sender.wake()

            alerts = RealtimeAlerts(
                client, rules.rules, database, silences=rules.silences, now=now, on_events=announce
            )
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(sender.run)
                    tasks.start_soon(alerts.run)

    ends = [*restarts, 3600 + 300]
    for start, end in zip([0, *ends], ends, strict=False):
        harness.run(lambda client, seconds=end - start: program(client, seconds))
    return Hour(receiver, printed, sum(harness.requests.values()))


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("AGORA_ALERT_SECRET", SECRET)


@pytest.mark.parametrize(
    ("answer", "restarts"),
    [
        (lambda time: 503 if DOWN[0] <= time < DOWN[1] else 200, ()),
        (lambda time: "hang after reading" if DOWN[0] <= time < DOWN[1] else 200, (1250, 1500, 2500)),
    ],
    ids=["receiver is down for ten minutes", "receiver hangs, and the program is killed three times"],
)
def test_incident_fires_once_and_is_resolved_once(world, tmp_path, answer, restarts):
    hour = follow_for_an_hour(world, tmp_path, answer, restarts)
    events = list(hour.receiver.events.values())
    assert [event["type"] for event in events] == ["alert.firing", "alert.resolved"], hour.printed
    assert {event["data"]["alert"] for event in events} == {"video freezes"}
    fired, resolved = (event["data"] for event in events)
    assert at(fired["since"]) == INCIDENT[0]
    assert at(fired["at"]) == INCIDENT[0] + 120
    assert at(resolved["until"]) == INCIDENT[1]
    accepted = [name for time, name in hour.receiver.deliveries if not DOWN[0] <= time < DOWN[1]]
    assert len(accepted) == len(set(accepted)) == 2
    assert min(time for time, _ in hour.receiver.deliveries if time >= DOWN[1]) < DOWN[1] + 310
    assert len(hour.printed) == 2
    assert hour.requests < 1440 / 24 * 4 * 2


def at(text):
    return datetime.fromisoformat(text).timestamp()
