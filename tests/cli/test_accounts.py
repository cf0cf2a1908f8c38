"""Accounts of a configuration file, and the ledger, as options of the command line."""

import json
import re

import pytest

from agora_analytics.simulator import DEMO_APP_ID, ApsaraVideoSimulator, ApsaraVideoWorld, serve_in_thread

OF_ENVIRONMENT = ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID", "AGORA_PLAN")


@pytest.fixture
def config(tmp_path, environment):
    """A file in the working directory of the commands, and an environment that describes no account."""
    environment["DEMO_SECRET"] = environment["AGORA_CUSTOMER_SECRET"]
    for name in OF_ENVIRONMENT:
        del environment[name]
    path = tmp_path / "agora-analytics.toml"
    path.write_text(f"""
[[account]]
name = "demo"
vendor = "agora"
app_id = "{DEMO_APP_ID}"
customer_id = "demo-customer-id"
customer_secret_env = "DEMO_SECRET"
plan = "enterprise"

[[account]]
name = "live"
vendor = "apsaravideo"
app_id_env = "LIVE_APP"
access_key_id = "demo-access-key-id"
access_key_secret_env = "LIVE_SECRET"

[[account]]
name = "rooms"
vendor = "opentok"
api_key = "45000001"
api_secret_env = "DEMO_SECRET"
""")
    return path


def test_account_by_option_and_by_variable(command, config, base_url, world, tmp_path):
    done = command("calls", "--since", "7h", "--limit", "0", "--format", "jsonl", "--account", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(world.calls)
    moved = config.rename(tmp_path / "mine.toml")
    again = command(
        *("calls", "--since", "7h", "--limit", "0", "--format", "jsonl"),
        env={"AGORA_ACCOUNT": "demo", "AGORA_CONFIG": str(moved)},
    )
    assert again.stdout == done.stdout
    used = command(
        "quota", "--account", "demo", "--config", moved, "--format", "json", env={"DEMO_SECRET": None}
    )
    spent = {row["endpoint"]: row["spent"] for row in json.loads(used.stdout)}
    assert spent["call/lists"] == 2  # the customer is the same, so the ledger is
    assert (tmp_path / "state/agora-analytics/ledger.sqlite3").exists()


@pytest.mark.slow
def test_account_of_another_vendor_has_its_own_commands(command, config):
    world = ApsaraVideoWorld.generate(seed=7)
    with serve_in_thread(ApsaraVideoSimulator(world)) as url:
        done = command(
            *("apsaravideo", "metrics", "--account", "live", "--since", "3h", "--format", "json"),
            env={
                "APSARAVIDEO_BASE_URL": url,
                "LIVE_APP": world.app_ids[0],
                "LIVE_SECRET": "demo-access-key-secret",
            },
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)


@pytest.mark.slow
def test_errors_name_the_file_and_the_account(fails, config):
    literal = config.with_name("literal.toml")
    literal.write_text('[[account]]\nname = "a"\nvendor = "agora"\ncustomer_secret = "hush-hush"')
    unknown, vendor, secret, missing, no_file, unset = fails.all(
        (78, ("calls", "--account", "dmo")),
        (78, ("calls", "--account", "rooms")),
        (78, ("calls", "--account", "a", "--config", literal)),
        (78, ("calls", "--config", config)),
        (78, ("calls", "--account", "demo", "--config", "no.toml")),
        (78, ("calls",)),
    )
    assert "did you mean 'demo'?" in unknown
    assert "is of vendor 'opentok'" in vendor
    assert "customer_secret must not be in the file" in secret
    assert "hush" not in secret
    assert "demo, live, rooms" in missing
    assert "no.toml cannot be read" in no_file
    assert "--account" in unset


@pytest.mark.slow
def test_ledger_in_memory_creates_no_file(command, base_url, tmp_path):
    for words, extra in ((("--ledger", "memory"), {}), ((), {"AGORA_LEDGER": "memory"})):
        done = command("calls", "--since", "7h", *words, env=extra)
        assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "state").exists()
    quota = command("quota", env={"AGORA_LEDGER": "memory"})
    assert "Ledger: memory" in quota.stdout


def test_state_folder_that_cannot_be_written_is_one_line(command, base_url, tmp_path):
    (tmp_path / "state").write_text("not a folder")
    done = command("calls", "--since", "7h", env={"PYTHONWARNINGS": ""})
    assert done.returncode == 0
    assert re.fullmatch(r"agora-analytics: cannot write the ledger file .*\n", done.stderr)
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.slow
def test_other_vendors_have_the_option_too(command, environment):
    for group in ("opentok sessions", "apsaravideo metrics", "apsaravideo harvest", "opentok harvest"):
        shown = command(*group.split(), "--help").stdout
        assert all(option in shown for option in ("--ledger", "--account", "--config"))
