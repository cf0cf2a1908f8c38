"""`agora-analytics alert`: a store and Real-time, with a receiver on a real socket."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from agora_analytics.cli import main
from agora_analytics.simulator import Impairment, Simulator, World, serve_in_thread
from agora_analytics.store import open_store
from tests.alerts.receiver import SECRET
from tests.insight.stored_calls import ROUND_TRIP, StoredCall, User, store_calls

RULES = """
[webhook]
url = "{url}"
[[alert]]
name = "delay"
metric = "round_trip_time"
above = 300
for = "2m"
by = "network"
"""


class Receiver(ThreadingHTTPServer):
    """A receiver on loopback. Its answers are popped from `answers`; after that, it accepts everything."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.events, self.received = [], [], threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.server.answers.pop(0) if self.server.answers else 204
        if answer == "cut":
            return  # closes the connection without a response
        self.send_response(answer)
        self.end_headers()
        if answer == 204:
            self.server.events.append(Verifier(SECRET).verify(body, dict(self.headers)))
            self.server.received.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver(monkeypatch, tmp_path):
    monkeypatch.setenv("AGORA_ALERT_SECRET", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path):
    """A store with an incident that ended half an hour ago."""
    start = int(time.time()) // 60 * 60 - 3600
    delays = [100.0] * 15 + [400.0] * 60 + [100.0] * 60
    users = [User(uid="1", values={ROUND_TRIP: delays}, network="4G")]
    store = open_store(tmp_path / "calls.store", create=True, durable=False)
    store_calls(store, [StoredCall(call_id="a", start=start + 4, users=users)])
    return store


def test_events_of_a_store_are_delivered_once(receiver, store, tmp_path, capsys):
    (tmp_path / "alerts.toml").write_text(RULES.format(url=receiver.url))
    assert main(["alert", "--store", str(store.path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["FIRING", "RESOLVED"]
    assert main(["alert", "--store", str(store.path)]) == 0
    assert capsys.readouterr().out == ""
    assert [event["type"] for event in receiver.events] == ["alert.firing", "alert.resolved"]
    assert {event["data"]["group"] for event in receiver.events} == {"4G"}
    assert [event["text"] for event in receiver.events] == [line.split(maxsplit=1)[1] for line in printed]


@pytest.mark.parametrize("answer", [500, "cut"])
def test_undelivered_events_are_kept_and_the_exit_code_says_so(receiver, store, tmp_path, capsys, answer):
    """The first attempt fails, so `resolved` waits as well. Both are due again when the state says so."""
    (tmp_path / "alerts.toml").write_text(RULES.format(url=receiver.url))
    receiver.answers = [answer]
    assert main(["alert", "--store", str(store.path), "--wait", "0"]) == 75
    assert "not delivered yet: 2 events; run the command again" in capsys.readouterr().err
    make_due(tmp_path / "alerts.sqlite")
    assert main(["alert", "--store", str(store.path)]) == 0
    assert [event["data"]["status"] for event in receiver.events] == ["firing", "resolved"]


def make_due(path):
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET next_at = 0")
    connection.close()


def test_dry_run_needs_no_webhook_and_keeps_no_state(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alerts.toml").write_text(RULES.format(url="https://a.example"))
    for _ in range(2):
        assert main(["alert", "--store", str(store.path), "--dry-run"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
    assert not (tmp_path / "alerts.sqlite").exists()


def test_backtest_as_table_and_json(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alerts.toml").write_text(RULES.format(url="https://a.example"))
    assert main(["alert", "--store", str(store.path), "--backtest", "--since", "2h"]) == 0
    written = capsys.readouterr()
    assert "400 ms" in written.out
    assert "Nothing was delivered." in written.out + written.err
    assert main(["alert", "--store", str(store.path), "--backtest", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["alert"], row["group"], row["worst"], row["is_silenced"]) == ("delay", "4G", 400, False)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "either --follow, or --store STORE"),
        (["--follow", "--backtest"], "--backtest needs --store STORE"),
        (["--follow", "--since", "1d"], "--since is for --store"),
        (["--follow", "--until", "1d"], "are for --backtest"),
        (["--follow", "--output", "a.csv"], "are for --backtest"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(words, reason, capsys):
    assert main(["alert", *words]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_follow_delivers_an_incident_of_real_time(receiver, start, tmp_path):
    """The real command over real sockets: it runs in the middle of an incident, and Ctrl-C stops it."""
    now = int(time.time())
    cpu = Impairment(cause="cpu", severity=0.9, since=now - 7200, until=now + 7200)
    times = {"since": now - 3600, "until": now + 600, "impairments": [cpu]}
    world = World.generate(seed=1, calls=100, simple=True, **times)
    rule = '[[alert]]\nname = "freezes"\nmetric = "video_freeze_rate"\nabove = 0.2\n'
    (tmp_path / "alerts.toml").write_text(f'[webhook]\nurl = "{receiver.url}"\n{rule}')
    with serve_in_thread(Simulator(world, "enterprise")) as url:
        process = start(
            "alert", "--follow", env={"AGORA_BASE_URL": url, "AGORA_APP_ID": world.app_id, "AGORA_ALERT_SECRET": SECRET}
        )  # fmt: skip
        assert process.stderr.readline().startswith("following 1 rule with 1 metric; events go to 127.0.0.1")
        assert process.stdout.readline().startswith("FIRING")
        assert receiver.received.wait(60)
        process.send_signal(2)
        assert process.wait(60) == 130
    (event,) = receiver.events
    assert (event["type"], event["data"]["alert"]) == ("alert.firing", "freezes")
