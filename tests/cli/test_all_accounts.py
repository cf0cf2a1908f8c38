"""`harvest --all-accounts`: the table, a line for each trouble, the exit code, and Ctrl-C."""

import signal
import time

import pytest

from agora_analytics import AccountBegun, AccountReport
from agora_analytics.cli import terminal
from agora_analytics.cli.fleet_progress import FleetProgress
from agora_analytics.engine.events import ResponseReceived
from agora_analytics.errors import AuthenticationError
from agora_analytics.harvest import CallsListed, CallStored, PointsStored
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.fleet.harness import (
    SECRETS,
    agora_entry,
    apsaravideo_entry,
    make_fleet,
    opentok_entry,
    rows,
    truth,
    write_config,
)

ENVIRONMENT = SECRETS | dict.fromkeys(
    ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID", "AGORA_PLAN")
)
HEALTHY = ("acme", "beta")
SIGNALING = agora_entry("chat").replace('vendor = "agora"', 'vendor = "signaling"')


@pytest.fixture
def fleet(tmp_path):
    fleet = make_fleet((*HEALTHY, "wrong", "bare"), int(time.time()) - 7200)
    with serve_in_thread(fleet.simulator) as url:
        write_config(
            tmp_path,
            url,
            agora_entry("acme"),
            agora_entry("wrong", 'customer_secret_env = "FLEET_WRONG_SECRET"'),
            agora_entry("bare", 'customer_secret_env = "FLEET_NO_SUCH_VARIABLE"'),
            opentok_entry("rooms"),
            agora_entry("beta"),
            apsaravideo_entry("live"),
            SIGNALING,
        )
        yield fleet


def test_table_has_a_row_for_each_account_and_stderr_a_line_for_each_trouble(fleet, command, tmp_path):
    done = command("harvest", "--all-accounts", env=ENVIRONMENT)
    assert done.returncode == 77, done.stderr  # of the first account with an error
    states = {line.split()[0]: line for line in done.stdout.splitlines()[3:]}
    assert list(states) == ["acme", "wrong", "bare", "rooms", "beta", "live", "chat"]
    for name, state in {
        "acme": "complete", "beta": "complete", "rooms": "complete", "live": "complete",
        "wrong": "no access", "bare": "wrong setting", "chat": "no harvest",
    }.items():  # fmt: skip
        assert state in states[name]
    assert "Harvested 4 of 6 accounts completely" in done.stdout
    messages = [line for line in done.stderr.splitlines() if line.startswith("agora-analytics: ")]
    assert len(messages) == 2
    assert messages[0].startswith("agora-analytics: wrong: HTTP 401: Invalid authentication credentials")
    assert messages[1].startswith("agora-analytics: bare: account 'bare'")
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS.values())
    expected = {f"app-{name}": truth(fleet.worlds[name], time.time()) for name in HEALTHY}
    assert rows(open_store(tmp_path / "calls.store")) == expected


def test_quiet_run_of_complete_accounts_writes_nothing(fleet, command, tmp_path):
    config = tmp_path / "agora-analytics.toml"
    entries = config.read_text().split("[[account]]")
    config.write_text("[[account]]".join([entries[0], entries[1], entries[5]]))
    done = command("harvest", "--all-accounts", "-q", "--concurrency", "1", "--out", "own", env=ENVIRONMENT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert open_store(tmp_path / "own").counts()["calls"] == 8


def test_ctrl_c_keeps_what_is_stored_and_shows_it(fleet, start, command, tmp_path):
    process = start("harvest", "--all-accounts", env=ENVIRONMENT | {"AGORA_LOG": "debug"})
    for line in process.stderr:
        if "published call" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "stopped; the stored rows are safe, and the same command continues from there" in err
    assert "accounts completely in" in out
    command("harvest", "--all-accounts", env=ENVIRONMENT)
    expected = {f"app-{name}": truth(fleet.worlds[name], time.time()) for name in HEALTHY}
    assert rows(open_store(tmp_path / "calls.store")) == expected


def test_one_account_uses_the_settings_of_the_file(fleet, command, tmp_path):
    done = command("harvest", "--account", "acme", env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "calls.store" in done.stdout
    done = command("opentok", "harvest", "--account", "rooms", "--out", "rooms.store", env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / "rooms.store").counts()["points"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--account", "acme"), "--all-accounts excludes --account; set it in the configuration file"),
        (("--plan", "premium", "--reserve", "5"), "--all-accounts excludes --plan, --reserve"),
        (("--dry-run",), "--all-accounts excludes --dry-run"),
    ],
)
def test_options_of_a_single_account_are_refused(fleet, fails, words, message):
    assert message in fails(2, "harvest", "--all-accounts", *words, env=ENVIRONMENT)


def test_file_without_an_account_that_can_be_harvested_is_an_error(fails, tmp_path):
    write_config(tmp_path, "http://127.0.0.1:1", SIGNALING)
    assert "has no account that can be harvested" in fails(78, "harvest", "--all-accounts", env=ENVIRONMENT)


def test_missing_start_or_store_is_wrong_input(fails):
    assert "missing option --since" in fails(2, "harvest", "--out", "x")
    assert "missing option --out" in fails(2, "harvest", "--since", "1d")


def answered(endpoint="call/metrics"):
    return ResponseReceived(endpoint=endpoint, host="h", status=200, size=1, elapsed=0.1, verdict="done")


def progress_of(accounts, *, ended=()):
    progress = FleetProgress(total=200)
    for number in range(accounts):
        name = f"account-{number:03d}"
        progress.observe(name, AccountBegun(vendor="agora"))
        for event in (
            answered(),
            CallsListed(calls=20, more=False),
            PointsStored(call_id="a", points=1_000),
            CallStored(call_id="a", sessions=2, finished=True),
        ):
            progress.observe(name, event)
    for name, error in ended:
        progress.observe(name, AccountReport(account=name, vendor="agora", error=error))
    return progress


def test_plain_line_has_totals_and_is_shorter_than_120_characters():
    error = AuthenticationError("refused", status=401)
    progress = progress_of(6, ended=[("account-000", None), ("account-001", error)])
    assert progress.line().partition(" ")[2] == (
        "accounts 2 of 200; points 6,000; requests 6; errors 1; active: account-002, account-003, account-004 and 1 more"
    )


def test_live_view_shows_the_totals_and_eight_active_accounts(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    console = terminal.out()
    with console.capture() as captured:
        console.print(progress_of(20).view())
    lines = captured.get().splitlines()
    assert "0 of 200" in lines[0]
    assert lines[1].split("   ") == ["points 20,000", "requests 20"]
    assert [line.split()[0] for line in lines[3:11]] == [f"account-{n:03d}" for n in range(8)]
    assert lines[3].split()[1:] == ["1", "20", "1,000", "1"]
    assert lines[11] == "and 12 more"


def test_wrong_time_is_one_line(fleet, command):
    done = command("harvest", "--all-accounts", "--since", "yesterdayy", env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("agora-analytics: since='yesterdayy' is not a time")
    assert fleet.refused == {}
