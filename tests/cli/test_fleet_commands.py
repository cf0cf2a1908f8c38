"""`worker`, and `fleet init`, `plan`, `status` and `remove`, with real processes and a real PostgreSQL."""

import io
import json
import signal
import time

import pytest

from agora_analytics.cli.fleet_status import show_status
from agora_analytics.cli.output import Output
from agora_analytics.fleet.status import AccountStatus, FleetStatus
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.fleet.harness import SECRETS, agora_entry, make_fleet, rows, truth, write_config
from tests.services.fixtures import needs

NOW = 1_795_089_600.0
PASSWORD = "hidden-word"


@pytest.fixture
def environment(environment, postgres, tmp_path):
    """The environment of a fleet, whose password PostgreSQL does not check."""
    needs("procrastinate", "queue", "agora-analytics[fleet]")
    dsn = postgres.dsn.replace("postgres@", f"postgres:{PASSWORD}@")
    account = ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID", "AGORA_PLAN")
    kept = {name: value for name, value in environment.items() if name not in account}
    return kept | SECRETS | {"AGORA_QUEUE": dsn}


@pytest.fixture
def fleet(tmp_path):
    fleet = make_fleet(("acme", "beta", "wrong"), int(time.time()) - 7200)
    with serve_in_thread(fleet.simulator) as url:
        wrong = agora_entry("wrong", 'customer_secret_env = "FLEET_WRONG_SECRET"')
        write_config(tmp_path, url, agora_entry("acme"), agora_entry("beta"), wrong)
        yield fleet


def status(command):
    done = command("fleet", "status", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return {row["account"]: row for row in json.loads(done.stdout)}


def test_worker_harvests_what_is_planned_until_it_is_terminated(fleet, start, command, tmp_path):
    assert command("fleet", "init").returncode == 0
    process = start("worker", "--concurrency", "2")
    ended = []
    for line in process.stderr:
        ended += [line] if "the pass has ended" in line else []
        if len(ended) == 3:
            break
    table = command("fleet", "status")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    for name in ("acme", "beta"):
        assert rows(open_store(tmp_path / "calls.store"))[f"app-{name}"] == truth(
            fleet.worlds[name], time.time()
        )
    found = status(command)
    assert {name: (row["state"], row["outcome"]) for name, row in found.items()} == {
        "acme": ("waiting", "complete"),
        "beta": ("waiting", "complete"),
        "wrong": ("parked", "parked"),
    }
    assert found["acme"]["calls"] == 4
    assert found["acme"]["next_run"] > found["acme"]["ended_at"]
    assert "1 worker at " in table.stdout
    assert "wrong: parked: HTTP 401: Invalid authentication credentials" in table.stdout
    assert "Resolve it, then run: agora-analytics fleet plan wrong" in table.stdout
    assert PASSWORD not in table.stdout + err

    nothing = "Nothing to plan: each account runs, waits for its next pass, or is parked.\n"
    assert command("fleet", "plan").stdout == nothing
    assert command("fleet", "plan", "wrong", "acme").stdout == "Planned: wrong, acme\n"
    assert status(command)["acme"]["state"] == "due"
    table = command("fleet", "status").stdout
    assert "No worker is running. Start one: agora-analytics worker" in table
    done = command("fleet", "remove", "acme", "wrong", "nobody")
    assert done.stdout == "Removed acme\nRemoved wrong\nThe queue has no nobody\n"
    assert {name: row["state"] for name, row in status(command).items()} == {
        "acme": "not planned",
        "beta": "waiting",
        "wrong": "not planned",
    }


def test_stopped_worker_puts_its_passes_back(fleet, start, command):
    command("fleet", "init")
    process = start("worker")
    for line in process.stderr:
        if "the pass begins" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "agora-analytics: stopped; other workers continue the passes in progress"
    assert "Traceback" not in err
    assert {row["state"] for row in status(command).values()} <= {"due", "waiting", "parked"}


def test_missing_schema_ledger_or_account_is_a_wrong_setting(fleet, command, fails, tmp_path):
    for words in (("fleet", "status"), ("fleet", "plan")):
        assert "the database has no queue; run: agora-analytics fleet init" in fails(78, *words)
    for ledger in ("memory", "ledger.sqlite3"):
        message = fails(78, "worker", env={"AGORA_LEDGER": ledger})
        assert "workers share a ledger on a server; use postgresql:// or redis://" in message
    assert "no queue is named; pass --queue, set AGORA_QUEUE" in fails(
        78, "worker", env={"AGORA_QUEUE": None}
    )
    assert "is not valid" in fails(78, "fleet", "status", env={"AGORA_QUEUE": "postgresql://h:x@y@z/d"})
    write_config(tmp_path, "http://127.0.0.1:1")
    assert "has no account that can be harvested" in fails(78, "worker")


def test_server_that_is_away_is_unavailable(fleet, fails, unused_tcp_port):
    away = {"AGORA_QUEUE": f"postgresql://someone:{PASSWORD}@127.0.0.1:{unused_tcp_port}/agora"}
    for words in (("fleet", "init"), ("fleet", "plan"), ("fleet", "status"), ("fleet", "remove", "acme")):
        message = fails(69, *words, env=away)
        assert "PostgreSQL at 127.0.0.1/agora is unavailable" in message
        assert PASSWORD not in message


def test_status_needs_no_configuration_file(command):
    command("fleet", "init")
    assert status(command) == {}


def test_file_may_name_the_queue(environment, command, tmp_path):
    config = tmp_path / "agora-analytics.toml"
    config.write_text(f'queue = "{environment["AGORA_QUEUE"].replace(f":{PASSWORD}", "")}"\n')
    command("fleet", "init", env={"AGORA_QUEUE": None})
    done = command("fleet", "status", env={"AGORA_QUEUE": None})
    assert (done.returncode, done.stderr) == (0, "")


def accounts():
    """An account in each state."""
    common = {
        "vendor": "agora",
        "worker": "harvest-1:4711",
        "begun_at": NOW - 720,
        "ended_at": NOW - 600,
        "calls": 12_345,
    }
    quota = {"quota_endpoint": "call/metrics", "quota_left": 120, "quota_per_day": 10_000}
    return [
        AccountStatus(account="acme", state="waiting", outcome="complete", next_run=NOW + 1200, **common, **quota),
        AccountStatus(account="beta", state="running", outcome="failed", silence=2.0, reason="HTTP 500", failures=3, **common),
        AccountStatus(account="city", state="waiting", outcome="quota used up", next_run=NOW + 40_000, calls_left=321, **common),
        AccountStatus(account="dead", state="no heartbeat", outcome="complete", silence=25.0, **common),
        AccountStatus(account="echo", state="parked", outcome="parked", reason="HTTP 401: refused", **common),
        AccountStatus(account="frog", state="due"),
    ]  # fmt: skip


TABLE = """\
account  last pass             calls  left     quota left  next run
  held by
─────────────────────────────────────────────────────────────────────────
acme     complete 10 min ago  12,345     0  120 of 10,000  in 20 min
beta     failed 10 min ago    12,345     0              -  running
  harvest-1:4711
city     no quota 10 min ago  12,345   321              -  in 11 h 07 min
dead     complete 10 min ago  12,345     0              -  no heartbeat
  harvest-1:4711
echo     parked 10 min ago    12,345     0              -  parked
frog     -                         -     -              -  due
6 accounts
2 workers at 2026-11-19 12:00:00Z; accounts: 2 waiting, 1 running, 1 no
heartbeat, 1 parked, 1 due
beta: failed 3 times in a row: HTTP 500
dead: its worker harvest-1:4711 has sent no heartbeat for 25 s; another one
takes over after 30 s
echo: parked: HTTP 401: refused. Resolve it, then run: agora-analytics fleet
plan echo
"""


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_table_of_eighty_columns_says_what_to_do(monkeypatch):
    for name, value in {"TERM": "dumb", "COLUMNS": "80", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    show_status(FleetStatus(NOW, 2, {}), accounts(), Output())
    assert [line.rstrip() for line in screen.getvalue().splitlines()] == TABLE.splitlines()
